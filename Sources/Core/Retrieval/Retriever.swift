import ChatJobs

/// Finds the passages that questions can be answered from: one call of the embedder and one of the store for all
/// questions of a window.
package struct Retriever: Sendable {
    package let embedder: any Embedder
    package let store: any VectorStore

    package init(embedder: any Embedder, store: any VectorStore) {
        self.embedder = embedder
        self.store = store
    }

    /// Whether there is an index, as far as can be told without waiting: for "with no index, no retrieval".
    ///
    /// It may turn out wrong: ``retrieve(_:topK:timeout:)`` then throws
    /// ``RetrievalError/Code-swift.struct/notFound``, which means the same.
    package var hasIndex: Bool { store.hasIndex }

    /// Opens the index and makes sure that the embedder fits it. No index is not an error.
    ///
    /// - Returns: what the index holds; nil when there is none yet.
    /// - Throws: ``RetrievalError/Code-swift.struct/incompatible`` naming both, when model or dimension differ; and
    ///   whatever keeps the store or the embedder from answering.
    @discardableResult
    package func check(timeout: Duration = .seconds(10)) async throws(RetrievalError) -> StoreDescription? {
        guard let index = try await store.open() else { return nil }
        var dimension = embedder.dimension
        if dimension == nil, index.dimension != nil {
            dimension = try await embedder.embed(["dimension"], timeout: timeout).first?.count
        }
        try verify(index, dimension: dimension)
        return index
    }

    /// The passages nearest to each question, nearest first, at most `topK`.
    ///
    /// - Parameter timeout: for embedding and searching together.
    package func retrieve(
        _ questions: [String], topK: Int, timeout: Duration
    ) async throws(RetrievalError) -> [[Source]] {
        try await matches(questions, topK: topK, timeout: timeout).map { $0.map(\.source) }
    }

    /// Like ``retrieve(_:topK:timeout:)``, with all that is known of the passages.
    package func matches(
        _ questions: [String], topK: Int, timeout: Duration
    ) async throws(RetrievalError) -> [[Match]] {
        guard !questions.isEmpty, topK > 0 else { return questions.map { _ in [] } }
        let deadline = ContinuousClock.now + timeout
        try await verifyCurrent()
        let vectors: [Embedding]
        do throws(RetrievalError) {
            vectors = try await embedder.embed(questions, timeout: timeout)
        } catch {
            var error = error
            error.part = .embedder
            throw error
        }
        guard vectors.count == questions.count else {
            throw RetrievalError(
                .invalidResponse, "\(embedder.identity) gave \(vectors.count) vectors for \(questions.count) questions")
        }
        let left = deadline - .now
        guard left > .zero else {
            throw RetrievalError(.timedOut, "embedding the questions took all of the \(timeout) for retrieval")
        }
        let queries = zip(questions, vectors).map { SearchQuery(text: $0, vector: $1) }
        let found = try await store.search(queries, topK: topK, timeout: left)
        // The index may have been replaced by another model's on the way.
        if let index = store.current { try verify(index, dimension: vectors.first?.count) }
        return found
    }

    /// An index that does not fit is looked at again, once for each call: it may have been made anew meanwhile.
    private func verifyCurrent() async throws(RetrievalError) {
        guard let known = store.current else { return }
        do throws(RetrievalError) {
            try verify(known, dimension: embedder.dimension)
        } catch {
            guard let index = try await store.open() else {
                throw RetrievalError(.notFound, "there is no index at \(store.location) any more: run parley ingest")
            }
            try verify(index, dimension: embedder.dimension)
        }
    }

    private func verify(_ index: StoreDescription, dimension: Int?) throws(RetrievalError) {
        let sameModel = index.embedder.map { EmbedderIdentity.matches($0, embedder.identity) } ?? true
        let sameSize = index.dimension == nil || dimension == nil || index.dimension == dimension
        guard sameModel, sameSize else {
            throw mismatch(index: index, embedder: embedder.identity, dimension: dimension, at: store.location)
        }
    }
}
