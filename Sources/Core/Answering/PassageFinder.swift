import ChatJobs
import ParleyPrimitives

/// Looks for a window's passages, and says what came of it to those who watch the services.
struct PassageFinder: Sendable {
    let source: (any PassageSource)?
    let health: HealthMonitor
    let clock: any PipelineClock
    let configuration: AnsweringConfiguration
    let metrics: AnsweringMetrics

    /// Of each inquiry, in order.
    func passages(for inquiries: [Inquiry]) async -> [WindowSearch.Passages] {
        guard let source, await source.isReady() else {
            return inquiries.map { inquiry in
                (inquiry.job.options.retrieve ?? configuration.retrieve) == .always
                    ? .failure(
                        JobFailure(
                            .retrievalFailed, "there is no index to search; run parley ingest, or set vectors.url"))
                    : .success([])
            }
        }
        for dependency in [Dependency.embeddings, .vectors] {
            if let absence = health.absence(of: dependency) {
                let failure = JobFailure(
                    .retrievalFailed, absence.reason, retryAfter: absence.retryAfter, blame: .absence)
                return inquiries.map { _ in .failure(failure) }
            }
        }
        let started = clock.now
        let topK = inquiries.map { $0.job.options.topK ?? configuration.topK }
        let results = await source.passages(
            for: inquiries.map(\.job.searchText), topK: topK.max() ?? configuration.topK,
            timeout: configuration.retrievalTimeout)
        metrics.retrieval.recordNanoseconds((clock.now - started).wholeNanoseconds)
        judge(results, isFirstTry: inquiries.contains(where: \.isFirstTry))
        return inquiries.indices.map { index in
            guard index < results.count else {
                return .failure(JobFailure(.retrievalFailed, "the vector store gave too few results"))
            }
            return results[index].map { Array($0.prefix(topK[index])) }.mapError(\.failure)
        }
    }

    /// What one call says of the services behind it: once, however many jobs shared it.
    private func judge(_ results: [Result<[Source], PassageFailure>], isFirstTry: Bool) {
        for result in results {
            // The first that says something says it all.
            switch result {
            case .success:
                health.succeeded(.embeddings)
                return health.succeeded(.vectors)
            case .failure(let passage):
                guard let dependency = passage.dependency else { continue }
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
