import ChatJobs

/// Finds the passages that questions can be answered from: one call of the embedder and one of the store for all
/// questions of a search.
package struct Retriever: Sendable {
    package let embedder: any Embedder
    package let store: any VectorStore
    package let options: RetrievalOptions
    private let vectors: QuestionVectors?

    /// - Parameter vectors: of questions that were embedded before; nil: each is embedded anew.
    package init(
        embedder: any Embedder, store: any VectorStore, options: RetrievalOptions = .init(),
        vectors: QuestionVectors? = nil
    ) {
        self.vectors = vectors
        self.embedder = embedder
        self.store = store
        self.options = options
    }

    /// Whether there is an index: for "with no index, no retrieval". See ``VectorStore/hasIndex()``.
    package func hasIndex() async -> Bool { await store.hasIndex() }

    /// See ``VectorStore/hasTenants()``.
    package func hasTenants() async -> Bool { await store.hasTenants() }

    /// See ``VectorStore/version()``; another one, too, when questions are embedded by another model.
    package func version() async -> String? { await store.version().map { "\(embedder.identity) \($0)" } }

    /// Opens the index and makes sure that the embedder fits it. No index is not an error.
    ///
    /// - Returns: what the index holds; nil when there is none yet.
    /// - Throws: ``RetrievalError/Code-swift.struct/incompatible`` naming both, when model or dimension differ; and
    ///   whatever keeps the store or the embedder from answering.
    @discardableResult
    package func check(timeout: Duration = .seconds(10)) async throws(RetrievalError) -> StoreDescription? {
        guard let index = try await store.open(timeout: timeout) else { return nil }
        guard index.dimension != nil else {
            try verify(index, dimension: embedder.dimension)
            return index
        }
        // A name that is wrong needs no call to be told.
        try verify(index, dimension: embedder.dimension)
        try await verifyVectors(of: index, timeout: timeout)
        return index
    }

    private func verifyVectors(of index: StoreDescription, timeout: Duration) async throws(RetrievalError) {
        let (probe, dimension) = try await EmbedderProbe.of(embedder, timeout: timeout)
        try verify(index, dimension: dimension)
        guard EmbedderProbe.isSame(index.probe, probe) else {
            throw RetrievalError(
                .incompatible,
                "\(embedder.identity) makes other vectors than when the index at \(store.location) was made, though its name is the "
                    + "same: it is another model now, or the same one with other settings; run parley ingest again, or bring back the model",
                part: .embedder)
        }
    }

    /// What is found for each question. One that the embedder or the store refuses is a failure of its own; any other
    /// failure is that of all questions that have no passages yet. Equal questions with equal filters are asked once.
    ///
    /// - Parameter timeout: for all of it, however often refused questions are asked anew in smaller numbers.
    package func results(
        _ questions: [RetrievalQuestion], topK: Int, timeout: Duration
    ) async -> [Result<[Match], RetrievalError>] {
        guard !questions.isEmpty, topK > 0 else { return questions.map { _ in .success([]) } }
        if questions.count == 1 { return await distinct(questions, topK: topK, timeout: timeout) }
        var places: [RetrievalQuestion: Int] = [:]
        var unique: [RetrievalQuestion] = []
        for question in questions where places[question] == nil {
            places[question] = unique.count
            unique.append(question)
        }
        let found = await distinct(unique, topK: topK, timeout: timeout)
        return unique.count == questions.count ? found : questions.map { found[places[$0] ?? 0] }
    }

    private func distinct(
        _ questions: [RetrievalQuestion], topK: Int, timeout: Duration
    ) async -> [Result<[Match], RetrievalError>] {
        let deadline = ContinuousClock.now + timeout
        do throws(RetrievalError) {
            // Before anything is asked; the vectors' length is known only afterwards.
            try await verifyCurrent(dimension: nil, timeout: timeout)
        } catch {
            return questions.map { _ in .failure(error) }
        }
        let embedded = await embed(questions.map(\.text), deadline)
        var results = [Result<[Match], RetrievalError>](repeating: .success([]), count: questions.count)
        var queries: [SearchQuery] = []
        var places: [Int] = []
        for (place, vector) in embedded.enumerated() {
            switch vector {
            case .success(let vector):
                let question = questions[place]
                var query = SearchQuery(
                    text: question.text, vector: vector, filter: options.filter.admitting(question.filter))
                query.isHybrid = options.isHybrid
                query.folders = options.folders?(question.text) ?? [:]
                queries.append(query)
                places.append(place)
            case .failure(let error): results[place] = .failure(error.blamed(on: .embedder))
            }
        }
        let found = await search(queries, topK: depth(for: topK), timeout, deadline)
        for (place, found) in zip(places, await best(topK, of: found, queries, deadline)) { results[place] = found }
        return results
    }

    /// Of each question; those that are known are not asked for again.
    private func embed(
        _ questions: [String], _ deadline: ContinuousClock.Instant
    ) async -> [Result<Embedding, RetrievalError>] {
        let known = vectors?.known(questions) ?? questions.map { _ in nil }
        let missing = questions.indices.filter { known[$0] == nil }
        guard !missing.isEmpty else { return known.compactMap { $0.map { .success($0) } } }
        var made = await embedder.embed(missing.map { questions[$0] }, as: .question, timeout: deadline.left)
        if made.count != missing.count {
            let error = RetrievalError(
                .invalidResponse, "\(embedder.identity) gave \(made.count) vectors for \(missing.count) questions",
                part: .embedder)
            made = missing.map { _ in .failure(error) }
        }
        var next = made.makeIterator()
        return questions.indices.compactMap { place in
            if let vector = known[place] { return .success(vector) }
            let result = next.next()
            if case .success(let vector)? = result { vectors?.keep(vector, of: questions[place]) }
            return result
        }
    }

    /// How many passages the store is asked for: some may be dropped, or put below others.
    private func depth(for topK: Int) -> Int {
        // For those that are joined, or say what others say: a server would send texts that are mostly not wanted.
        let spare = store.computes ? topK : 0
        return max(topK + spare, options.reranker?.candidates ?? 0, options.minScore > 0 ? Self.depthBeforeDropping : 0)
    }

    private static let depthBeforeDropping = 50

    /// What is good enough of what was found, in its final order.
    private func best(
        _ topK: Int, of found: [Result<[Match], RetrievalError>], _ queries: [SearchQuery],
        _ deadline: ContinuousClock.Instant
    ) async -> [Result<[Match], RetrievalError>] {
        let good = found.map { result in
            result.map { matches in
                options.minScore > 0 ? matches.filter { Double($0.score) >= options.minScore } : matches
            }
        }
        guard let reranker = options.reranker else {
            return good.map { $0.map { PassageSelection.best(topK, of: $0) } }
        }
        let shown = zip(queries, good).map { query, result in (query.text, (try? result.get()) ?? []) }
        let ordered = await reranker.best(topK, of: shown, within: deadline.left)
        return zip(good, ordered).map { result, matches in
            result.map { _ in PassageSelection.best(topK, of: matches) }
        }
    }

    private func search(
        _ queries: [SearchQuery], topK: Int, _ timeout: Duration, _ deadline: ContinuousClock.Instant
    ) async -> [Result<[Match], RetrievalError>] {
        guard let dimension = queries.first?.vector.count else { return [] }
        let left = deadline.left
        func fail(_ error: RetrievalError) -> [Result<[Match], RetrievalError>] { queries.map { _ in .failure(error) } }
        do throws(RetrievalError) {
            guard left > .zero else {
                throw RetrievalError(
                    .timedOut, "embedding the questions took all of the \(timeout) for retrieval", part: .embedder)
            }
            guard queries.allSatisfy({ $0.vector.count == dimension }) else {
                throw RetrievalError(
                    .invalidResponse, "\(embedder.identity): its vectors differ in length", part: .embedder)
            }
            try await verifyCurrent(dimension: dimension, timeout: left)
        } catch {
            vectors?.forget()
            return fail(error)
        }
        // Who took most of the time is to blame when it is not enough.
        let slow: RetrievalError.Part = left < timeout / 2 ? .embedder : .store
        let (found, _) = await inHalves(queries.count, within: left, part: slow) { range, left throws(RetrievalError) in
            do throws(RetrievalError) {
                let rows = try await store.search(Array(queries[range]), topK: topK, timeout: left)
                guard rows.count == range.count else {
                    throw RetrievalError(
                        .invalidResponse, "\(store.location) answered \(range.count) queries with \(rows.count) rows")
                }
                // Whatever the store makes of filters, nobody is shown what they forbid.
                return zip(rows, queries[range]).map { matches, query in
                    matches.filter { query.filter.admits($0.passage) }
                }
            } catch {
                throw error.blamed(on: error.code == .timedOut ? slow : .store)
            }
        }
        // The index may have been replaced by another model's on the way.
        if let index = store.current {
            do throws(RetrievalError) { try verify(index, dimension: dimension) } catch {
                vectors?.forget()
                return fail(error)
            }
        }
        return found
    }

    /// Whether the embedder answers as the index needs it.
    ///
    /// - Throws: what questions would meet.
    package func probeEmbedder(timeout: Duration) async throws(RetrievalError) {
        guard let index = store.current else {
            _ = try await embedder.vectors(of: ["probe"], as: .question, timeout: timeout)
            return
        }
        try await verifyVectors(of: index, timeout: timeout)
    }

    /// Whether the store answers a search; a store without an index has nothing to search.
    ///
    /// - Throws: what questions would meet.
    package func probeStore(timeout: Duration) async throws(RetrievalError) {
        let deadline = ContinuousClock.now + timeout
        guard let index = try await store.open(timeout: timeout) else { return }
        try verify(index, dimension: nil)
        guard let dimension = index.dimension, dimension > 0 else { return }
        var numbers = [Float](repeating: 0, count: dimension)
        numbers[0] = 1
        let query = SearchQuery(text: "probe", vector: Embedding(numbers))
        _ = try await store.search([query], topK: 1, timeout: max(deadline.left, .milliseconds(1)))
    }

    /// An index that does not fit is looked at again, once for each call: it may have been made anew meanwhile.
    private func verifyCurrent(dimension: Int?, timeout: Duration) async throws(RetrievalError) {
        guard let known = store.current else { return }
        do throws(RetrievalError) {
            try verify(known, dimension: dimension)
        } catch {
            guard let index = try await store.open(timeout: timeout) else {
                throw RetrievalError(.notFound, "there is no index at \(store.location) any more: run parley ingest")
            }
            try verify(index, dimension: dimension)
        }
    }

    private func verify(_ index: StoreDescription, dimension: Int?) throws(RetrievalError) {
        let sameModel = index.embedder.map { EmbedderIdentity.matches($0, embedder.identity) } ?? true
        let sameSize = index.dimension == nil || dimension == nil || index.dimension == dimension
        guard sameModel, sameSize else {
            // The right model with the wrong number of numbers is the embedder's doing.
            let part: RetrievalError.Part = sameModel && index.embedder != nil ? .embedder : .store
            throw mismatch(index: index, embedder: embedder.identity, dimension: dimension, at: store.location)
                .blamed(on: part)
        }
    }
}
