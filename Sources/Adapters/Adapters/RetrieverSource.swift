import Answering
import ChatJobs
import Retrieval

/// The retriever as the pipeline's passage source.
package struct RetrieverSource: PassageSource {
    /// For one probe: longer than a service that works takes, shorter than a job would wait.
    private static let probeTimeout: Duration = .seconds(5)

    let retriever: Retriever

    package init(retriever: Retriever) { self.retriever = retriever }

    package var isLocal: Bool {
        retriever.store.computes && retriever.embedder is LexicalEmbedder && retriever.options.reranker == nil
    }

    package func isReady() async -> Bool { await retriever.hasIndex() }

    package func state() async -> KnowledgeState? {
        // An index file that is another one is read then.
        retriever.store.computes ? await offTheLoop { await look() } : await look()
    }

    /// Whether there are tenants is looked at behind the version: of the two the newer one may have more of them.
    private func look() async -> KnowledgeState? {
        guard let version = await retriever.version() else { return nil }
        return KnowledgeState(version, hasTenants: await retriever.hasTenants())
    }

    /// What is wrong although jobs are answered: an index file that is gone or damaged while the last one is in use.
    package func trouble() async -> String? { await retriever.store.trouble() }

    package func passages(
        for questions: [PassageQuestion], topK: Int, timeout: Duration
    ) async -> [Result<[Source], PassageFailure>] {
        let questions = questions.map { RetrievalQuestion($0.text, filter: PassageFilter(tenant: $0.tenant)) }
        // Two requests and some JSON are cheaper here than the changes of thread.
        let found =
            retriever.store.computes
            ? await offTheLoop { await retriever.results(questions, topK: topK, timeout: timeout) }
            : await retriever.results(questions, topK: topK, timeout: timeout)
        return found.map { result in
            result.map { $0.map(\.source) }.mapError { PassageFailure($0) }
        }
    }

    package func probe(_ dependency: Dependency) async -> Bool {
        do throws(RetrievalError) {
            switch dependency.kind {
            case .embeddings: try await retriever.probeEmbedder(timeout: Self.probeTimeout)
            case .vectors: try await retriever.probeStore(timeout: Self.probeTimeout)
            case .rabbitMQ, .redis, .model: break
            }
            return true
        } catch {
            // It is there when what it says concerns the question, or its own pace.
            return PassageFailure(error).failure.blame != .absence
        }
    }
}

extension PassageFailure {
    /// A question is to blame when the service refuses that very question. All else that goes wrong would go wrong with
    /// any other: time-outs, errors of the server, garbage, a wrong key, an index of another model.
    init(_ error: RetrievalError) {
        let (blame, isServices): (JobFailure.Blame, Bool) =
            switch error.code {
            case .rejected, .tooLong: (.job, false)
            // The index went between the look at it and the search: the next attempt finds none, or the new one.
            case .notFound, .cancelled: (.absence, false)
            case _ where error.status == 429: (.overload, true)
            default: (.absence, true)
            }
        let failure = JobFailure(.retrievalFailed, error.message, retryAfter: error.retryAfter, blame: blame)
        self.init(failure, isServices ? (error.part == .embedder ? .embeddings : .vectors) : nil)
    }
}
