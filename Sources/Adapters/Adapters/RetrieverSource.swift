import Answering
import ChatJobs
import Pipeline
import Retrieval

/// The retriever as the pipeline's passage source.
package struct RetrieverSource: PassageSource {
    let retriever: Retriever

    package init(retriever: Retriever) { self.retriever = retriever }

    package var isLocal: Bool { retriever.store.computes && retriever.embedder is LexicalEmbedder }

    package func isReady() async -> Bool { retriever.hasIndex }

    package func passages(
        for questions: [String], topK: Int, timeout: Duration
    ) async -> [Result<[Source], PassageFailure>] {
        do throws(RetrievalError) {
            // Two requests and some JSON: cheaper here than the changes of thread.
            let found =
                retriever.store.computes
                ? try await computed(questions, topK, timeout)
                : try await retriever.retrieve(questions, topK: topK, timeout: timeout)
            return found.map { .success($0) }
        } catch {
            return await results(questions, topK, timeout, after: error)
        }
    }

    private func computed(
        _ questions: [String], _ topK: Int, _ timeout: Duration
    ) async throws(RetrievalError) -> [[Source]] {
        try await offTheLoop { () throws(RetrievalError) in
            try await retriever.retrieve(questions, topK: topK, timeout: timeout)
        }
    }

    /// One question that the embedder refuses fails the whole call: then each is asked by itself.
    private func results(
        _ questions: [String], _ topK: Int, _ timeout: Duration, after error: RetrievalError
    ) async -> [Result<[Source], PassageFailure>] {
        guard questions.count > 1, !error.isTransient, error.code != .cancelled else {
            let failure = PassageFailure(
                JobFailure(
                    .retrievalFailed, error.message, retryAfter: error.retryAfter,
                    blame: error.outage == nil ? .job : .absence), error.outage)
            return questions.map { _ in .failure(failure) }
        }
        var results: [Result<[Source], PassageFailure>] = []
        for question in questions { results += await passages(for: [question], topK: topK, timeout: timeout) }
        return results
    }

    package func probe(_ dependency: Dependency) async -> Bool {
        do throws(RetrievalError) {
            // Through both services: the check embeds a word when only that tells the dimension.
            _ = try await retriever.check(timeout: .seconds(5))
            return try await !retriever.embedder.embed(["probe"], timeout: .seconds(5)).isEmpty
        } catch {
            return error.outage == nil
        }
    }
}

extension RetrievalError {
    /// The service that was not there for anybody.
    fileprivate var outage: Dependency? {
        let isAway = code == .unreachable || status.map((502...504).contains) ?? false || status == 429
        guard isAway else { return nil }
        return part == .embedder ? .embeddings : .vectors
    }
}
