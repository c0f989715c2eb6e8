import ChatJobs
import Routing

/// Who answers a question: where its passages are looked for, which model is asked, and how. Agents are configuration
/// (`agents.<name>`); the default one has no name.
package final class Agent: Sendable {
    package let name: String?
    /// Nil when no vector store is configured; `retrieve: always` then fails.
    package let passageSource: (any PassageSource)?
    /// What ``passageSource`` searches. Agents that share a store share its state.
    package let vectors: Dependency
    package let model: any AnswerModel
    /// The same model with another prompt, which makes a question stand alone (`retrieval.rewrite: model`); nil: it is not asked.
    package let rewriter: (any AnswerModel)?
    /// What is behind ``model``. Agents that share a model wait at the same gate.
    package let service: Dependency
    /// Its own model, then those that stand in for it, in the order in which they are asked.
    package let choices: [ModelChoice]
    package let configuration: AgentConfiguration
    let metrics: AgentMetrics

    package init(
        name: String? = nil, passageSource: (any PassageSource)?, vectors: Dependency = .vectors,
        model: any AnswerModel, rewriter: (any AnswerModel)? = nil, service: Dependency = .model,
        fallbacks: [ModelChoice] = [], batches: BatchOffice? = nil, configuration: AgentConfiguration
    ) {
        self.name = name
        self.passageSource = passageSource
        self.vectors = vectors
        self.model = model
        self.rewriter = rewriter
        self.service = service
        choices = [ModelChoice(model, service, configuration, batches: batches)] + fallbacks
        self.configuration = configuration
        metrics = AgentMetrics(agent: name)
    }

    /// Nothing that its answers need is asked of a service: making one twice costs nothing.
    var isLocal: Bool { choices.allSatisfy(\.model.isLocal) && passageSource?.isLocal ?? true }

    /// What has to be there for its jobs to have passages.
    package var passageServices: [Dependency] { [.embeddings, vectors] }

    /// Any of them will do to answer.
    package var modelServices: [Dependency] { choices.map(\.service) }
}

/// How an agent answers; names as in the configuration file.
package struct AgentConfiguration: Sendable {
    /// `model.max_concurrency`: the most calls of its model in flight. Default 512.
    package var modelConcurrency = 512
    /// `model.concurrency: auto`: fewer calls in flight are found to be enough. Default false.
    package var findsConcurrency = false
    /// `model.hedge`: a second call is made where the first is late. Default false.
    package var hedges = false
    /// `model.timeout`: for one call; a job's deadline may shorten it. Default 60 s.
    package var modelTimeout: Duration = .seconds(60)
    /// `model.prices`; nil: replies say nothing of money.
    package var prices: Prices?
    /// `retrieval.timeout`: for a window's embedding and search. Default 10 s.
    package var retrievalTimeout: Duration = .seconds(10)
    /// `retrieval.mode`: for jobs that say nothing. Default `auto`.
    package var retrieve: JobOptions.Retrieve = .auto
    /// `retrieval.top_k`: for jobs that say nothing. Default 4.
    package var topK = 4
    /// `retrieval.rewrite`: whether follow-ups are searched for together with what they follow up. Default off.
    package var appendsFollowedUp = false
    /// `retrieval.empty: refuse`: what is said, without asking the model, when no passages were found for a question. Nil: the
    /// model is asked.
    package var refusal: (@Sendable (_ question: String) -> String)?
    /// What its model is known by in all workers that share its limits.
    package var limitName = ""
    /// All else in the settings that has a part in an answer, as a digest: the model, its fallbacks and their parameters, the
    /// prompt, the embedder. Any text that changes with any of them.
    package var identity: [UInt8] = []

    package init() {}
}
