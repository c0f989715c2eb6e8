import ChatJobs
import ParleyPrimitives

/// Looks for passages of an agent's questions, and says what came of it to those who watch the services.
struct PassageFinder: Sendable {
    let agent: Agent
    let health: HealthMonitor
    let clock: any PipelineClock

    /// What is looked for.
    struct Question: Sendable {
        let text: String
        let tenant: String?
        let topK: Int
        /// It fails when there is nothing to search.
        let isMust: Bool
        let isFirstTry: Bool
    }

    /// Of each question, in order.
    func passages(for questions: [Question]) async -> [WindowSearch.Passages] {
        guard let source = agent.passageSource, await source.isReady() else {
            return questions.map { question in
                question.isMust
                    ? .failure(
                        JobFailure(
                            .retrievalFailed, "there is no index to search; run parley ingest, or set vectors.url"))
                    : .success([])
            }
        }
        for dependency in agent.passageServices {
            if let absence = health.absence(of: dependency) {
                let failure = JobFailure(
                    .retrievalFailed, absence.reason, retryAfter: absence.retryAfter, blame: .absence)
                return questions.map { _ in .failure(failure) }
            }
        }
        let started = clock.now
        let results = await source.passages(
            for: questions.map { PassageQuestion($0.text, tenant: $0.tenant) },
            topK: questions.map(\.topK).max() ?? agent.configuration.topK,
            timeout: agent.configuration.retrievalTimeout)
        agent.metrics.retrieval.recordNanoseconds((clock.now - started).wholeNanoseconds)
        judge(results, isFirstTry: questions.contains(where: \.isFirstTry))
        return questions.indices.map { index in
            guard index < results.count else {
                return .failure(JobFailure(.retrievalFailed, "the vector store gave too few results"))
            }
            return results[index].map { Array($0.prefix(questions[index].topK)) }.mapError(\.failure)
        }
    }

    /// What one call says of the services behind it: once, however many jobs shared it.
    private func judge(_ results: [Result<[Source], PassageFailure>], isFirstTry: Bool) {
        for result in results {
            // The first that says something says it all.
            switch result {
            case .success:
                for dependency in agent.passageServices { health.succeeded(dependency) }
                return
            case .failure(let passage):
                guard let kind = passage.dependency else { continue }
                let dependency = kind == .vectors ? agent.vectors : kind
                switch passage.failure.blame {
                case .job: continue
                case .overload:
                    return health.pause(dependency, passage.failure.message, for: passage.failure.retryAfter)
                case .absence, .gateway: return health.failed(dependency, passage.failure.message, .absent)
                }
            }
        }
    }
}

extension PassageFinder.Question {
    init(_ flight: Flight) {
        self.init(
            text: flight.route.rewrittenQuery ?? flight.lead.job.query, tenant: flight.lead.job.tenant,
            topK: flight.route.topK, isMust: flight.route.retrieve == .always, isFirstTry: flight.lead.isFirstTry)
    }
}
