import Answering
import ChatJobs

extension Pipeline {
    /// The passages of each job, from one call for all that want some, and how long that took.
    func retrieve(_ assignments: [Assignment]) async -> ([Result<[Source], JobFailure>], Duration) {
        var found = [Result<[Source], JobFailure>](repeating: .success([]), count: assignments.count)
        let isReady = await passageSource?.isReady() ?? false
        var asking: [Int] = []
        for (index, assignment) in assignments.enumerated() {
            switch assignment.job.options.retrieve ?? configuration.retrieve {
            case .never: break
            case .auto: if isReady { asking.append(index) }
            case .always:
                if isReady {
                    asking.append(index)
                } else {
                    found[index] = .failure(
                        JobFailure(
                            .retrievalFailed, "there is no index to search; run parley ingest, or set vectors.url"))
                }
            }
        }
        guard !asking.isEmpty, let passageSource else { return (found, .zero) }
        for service in [Dependency.embeddings, .vectors] where isOpen(service) {
            let reason = health.away[service] ?? "\(service) is away"
            let failure = JobFailure(.retrievalFailed, reason, retryAfter: .seconds(1), blame: .absence)
            for index in asking { found[index] = .failure(failure) }
            return (found, .zero)
        }
        let started = clock.now
        let topK = asking.map { assignments[$0].job.options.topK ?? configuration.topK }
        let results = await passageSource.passages(
            for: asking.map { assignments[$0].job.query }, topK: topK.max() ?? configuration.topK,
            timeout: configuration.retrievalTimeout)
        for (place, index) in asking.enumerated() {
            guard place < results.count else {
                found[index] = .failure(JobFailure(.retrievalFailed, "the vector store gave too few results"))
                continue
            }
            found[index] = results[place].map { Array($0.prefix(topK[place])) }.mapError(\.failure)
        }
        judge(results)
        let spent = clock.now - started
        metrics.retrieval.recordNanoseconds(spent.nanoseconds)
        return (found, spent)
    }

    /// What one call says of the services behind it.
    private func judge(_ results: [Result<[Source], PassageFailure>]) {
        if Task.isCancelled { return }
        for result in results {
            // One call for all of them: the first that says something says it all.
            switch result {
            case .success:
                worked(.embeddings)
                return worked(.vectors)
            case .failure(let failure):
                if failure.failure.blame != .job, let dependency = failure.dependency {
                    return failed(dependency, failure.failure.message)
                }
            }
        }
    }
}
