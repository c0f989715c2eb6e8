import ChatJobs

/// A model with several endpoints, asked with one prompt: each call goes to the endpoint that its pool says, and to another at
/// once when the first did nothing for it.
package struct PooledAnswers: AnswerModel {
    let members: [any AnswerModel]
    let pool: EndpointPool
    /// Who begins alike prefers the same endpoint.
    fileprivate let order: [Int]
    private var trail: CallTrail?

    /// - Parameters:
    ///   - members: the model at each of the pool's endpoints.
    ///   - key: what its prompts begin with.
    package init(_ members: [any AnswerModel], pool: EndpointPool, key: String) {
        self.members = members
        self.pool = pool
        order = pool.order(for: key)
    }

    package var isLocal: Bool { false }
    package var name: String { members.first?.name ?? "" }
    package func probe() async -> Bool { await pool.probeAll() }

    package func answer(
        _ job: Job, passages: [Source], timeout: Duration, onDelta: DeltaSink?
    ) async throws(JobFailure) -> Answer {
        let began = pool.clock.now
        var tried: Set<Int> = []
        var last: JobFailure?
        while let place = begin(without: tried) {
            let started = pool.clock.now
            do throws(JobFailure) {
                let answer = try await members[place].answer(
                    job, passages: passages, timeout: timeout - (started - began), onDelta: onDelta)
                _ = pool.end(place, .answered, after: pool.clock.now - started)
                return answer
            } catch {
                let now = pool.clock.now
                let verdict = trail?.isBeaten == true ? .late : EndpointBook.Verdict(error)
                let failure = error.ofOneEndpoint(pool.end(place, verdict, after: now - started))
                guard failure.isFree, now - began < timeout, !Task.isCancelled else { throw failure }
                tried.insert(place)
                last = failure
            }
        }
        throw failure(after: last)
    }

    /// For a call with a rival: it goes elsewhere if it can, and may be ended.
    func leaving(_ trail: CallTrail) -> PooledAnswers {
        var model = self
        model.trail = trail
        return model
    }

    private func begin(without tried: Set<Int>) -> Int? {
        guard let trail else { return pool.begin(order, without: tried) }
        let avoided = trail.avoided
        let elsewhere = avoided.isEmpty ? nil : pool.begin(order, without: tried.union(avoided))
        let place = elsewhere ?? pool.begin(order, without: tried)
        if let place { trail.note(place) }
        return place
    }

    /// With some left that say no to this question, it is their word that counts.
    func failure(after last: JobFailure?) -> JobFailure {
        if let last, last.code == .modelRejected { return last }
        return pool.absence(after: last)
    }
}

/// The same of a model that takes several prompts in a call.
package struct PooledBatches: BatchAnswerModel {
    private let members: [any BatchAnswerModel]
    private let pooled: PooledAnswers

    package init(_ members: [any BatchAnswerModel], pool: EndpointPool, key: String) {
        self.members = members
        pooled = PooledAnswers(members, pool: pool, key: key)
    }

    package var isLocal: Bool { false }
    package var name: String { pooled.name }
    /// What each of them takes.
    package var maxBatch: Int { members.reduce(.max) { min($0, $1.maxBatch) } }
    package var maxBatchTokens: Int { members.reduce(.max) { min($0, $1.maxBatchTokens) } }

    package func answer(
        _ job: Job, passages: [Source], timeout: Duration, onDelta: DeltaSink?
    ) async throws(JobFailure) -> Answer {
        try await pooled.answer(job, passages: passages, timeout: timeout, onDelta: onDelta)
    }

    package func probe() async -> Bool { await pooled.probe() }

    package func prompt(for job: Job, passages: [Source], timeout: Duration) -> BatchPrompt {
        members[0].prompt(for: job, passages: passages, timeout: timeout)
    }

    package func answers(to prompts: [BatchPrompt], timeout: Duration) async -> [Result<Answer, JobFailure>] {
        let pool = pooled.pool
        let began = pool.clock.now
        var tried: Set<Int> = []
        var last: JobFailure?
        while let place = pool.begin(pooled.order, without: tried) {
            let started = pool.clock.now
            let results = await members[place].answers(to: prompts, timeout: timeout - (started - began))
            let now = pool.clock.now
            let failures = results.compactMap(\.failure)
            // One call has one fate for its server: answered when any of its prompts is.
            let isAnswered = failures.count < results.count
            let verdict = isAnswered ? .answered : failures.first.map(EndpointBook.Verdict.init) ?? .ill
            let hasOther = pool.end(place, verdict, after: now - started)
            guard !isAnswered, failures.allSatisfy(\.isFree), now - began < timeout, !Task.isCancelled else {
                return results.map { $0.mapError { $0.ofOneEndpoint(hasOther) } }
            }
            tried.insert(place)
            last = failures.first
        }
        return prompts.map { _ in .failure(pooled.failure(after: last)) }
    }
}

extension EndpointBook.Verdict {
    /// What a failure of a call shows of its endpoint.
    init(_ failure: JobFailure) {
        self =
            switch (failure.blame, failure.code) {
            case _ where Task.isCancelled: .nothing
            // No such model there, at one of them perhaps.
            case (_, .modelRejected): failure.isFree ? .nothing : .useful
            case (.overload, _): .paused(for: failure.retryAfter)
            case _ where failure.isFree: .absent(retryAfter: failure.retryAfter)
            case (.absence, _): .absent(retryAfter: failure.retryAfter)
            case (_, .internal): .nothing
            case (_, .modelTimeout): .late
            default: .ill
            }
    }
}

extension Result {
    fileprivate var failure: Failure? {
        if case .failure(let failure) = self { failure } else { nil }
    }
}
