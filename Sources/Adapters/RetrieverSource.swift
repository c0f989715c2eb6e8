import ChatJobs
import Pipeline
import Retrieval

/// The retriever as the pipeline's passage source.
public struct RetrieverSource: PassageSource {
    let retriever: Retriever

    public init(retriever: Retriever) { self.retriever = retriever }

    nonisolated(nonsending) public func isReady() async -> Bool { retriever.hasIndex }

    nonisolated(nonsending) public func passages(
        for questions: [String], topK: Int, timeout: Duration
    ) async -> [Result<[Source], JobFailure>] {
        do throws(RetrievalError) {
            let found: [[Source]]
            if retriever.store.computes {
                found = try await offTheLoop { () throws(RetrievalError) in
                    try await retriever.retrieve(questions, topK: topK, timeout: timeout)
                }
            } else {
                // Two requests and some JSON: cheaper here than the changes of thread.
                found = try await retriever.retrieve(questions, topK: topK, timeout: timeout)
            }
            return found.map { .success($0) }
        } catch {
            // One question that the embedder refuses fails the whole call: then each is asked by itself.
            guard questions.count > 1, !error.isTransient, error.code != .cancelled else {
                let failure = JobFailure(.retrievalFailed, error.message, retryAfter: error.retryAfter)
                return questions.map { _ in .failure(failure) }
            }
            var results: [Result<[Source], JobFailure>] = []
            for question in questions { results += await passages(for: [question], topK: topK, timeout: timeout) }
            return results
        }
    }
}
