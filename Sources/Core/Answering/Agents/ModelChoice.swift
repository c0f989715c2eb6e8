import ChatJobs

/// A model that an agent may ask: its own, or one that stands in while that is away (`model.fallbacks`).
package final class ModelChoice: Sendable {
    package let model: any AnswerModel
    /// What is behind ``model``. Choices with the same one wait at the same gate.
    package let service: Dependency
    /// `model.max_concurrency`, `model.timeout`, `model.prices` of it.
    let concurrency: Int
    /// `model.concurrency: auto` of it.
    let findsConcurrency: Bool
    let timeout: Duration
    let prices: Prices?
    /// What it is known by in all workers that share its limits.
    let limitName: String
    /// Takes bulk jobs (`model.feed: batch`); nil when they go like the others.
    let batches: BatchOffice?
    /// `model.hedge` of it, where each question has a call of its own.
    let hedges: Bool
    /// It is not the agent's own: a job's wish for a model of that is none for this one.
    let isFallback: Bool

    private init(
        _ model: any AnswerModel, _ service: Dependency, _ concurrency: (most: Int, isFound: Bool),
        _ timeout: Duration, _ prices: Prices?,
        limitName: String, batches: BatchOffice?, hedges: Bool = false, isFallback: Bool
    ) {
        self.model = model
        self.service = service
        self.concurrency = concurrency.most
        findsConcurrency = concurrency.isFound
        self.timeout = timeout
        self.prices = prices
        self.limitName = limitName
        self.batches = batches
        self.isFallback = isFallback
        self.hedges = hedges && !model.isLocal && !(model is any BatchAnswerModel)
    }

    /// One that stands in.
    package convenience init(
        fallback model: any AnswerModel, service: Dependency, concurrency: Int, findsConcurrency: Bool = false,
        timeout: Duration, prices: Prices?, limitName: String
    ) {
        self.init(
            model, service, (concurrency, findsConcurrency), timeout, prices, limitName: limitName, batches: nil,
            isFallback: true)
    }

    /// An agent's own.
    convenience init(
        _ model: any AnswerModel, _ service: Dependency, _ configuration: AgentConfiguration, batches: BatchOffice?
    ) {
        self.init(
            model, service, (configuration.modelConcurrency, configuration.findsConcurrency),
            configuration.modelTimeout, configuration.prices,
            limitName: configuration.limitName, batches: batches, hedges: configuration.hedges,
            isFallback: false)
    }
}

/// What came of asking an agent's models in their order, as far as none of them has answered.
///
/// The failure of the agent's own model stands: what its stand-ins say is no word on the job, since that one may yet answer
/// it. So a prompt that is too long for a small stand-in waits for the large model.
struct ModelTrail {
    private(set) var failure: JobFailure?

    /// - Parameter hasStreamed: subscribers have seen the beginning of an answer; another model's would not go on from there.
    /// - Returns: whether the next model is asked.
    mutating func failed(_ failure: JobFailure, hasStreamed: Bool) -> Bool {
        let isOwn = self.failure == nil
        self.failure = self.failure ?? failure
        guard !hasStreamed, failure.code != .internal else { return false }
        // What its own model refuses, the job is not answered by going elsewhere.
        return !isOwn || failure.code != .modelRejected && !failure.isFinal
    }
}
