import ParleyJSON
import Synchronization
import Testing

@testable import Retrieval

/// Answers as told and counts.
private final class ScriptedEmbedder: Embedder {
    let identity = "axes"
    let dimension: Int? = nil
    private let answer: @Sendable (String) -> Result<Embedding, RetrievalError>
    private let asked = Mutex<[[String]]>([])
    var calls: [[String]] { asked.withLock { $0 } }

    init(_ answer: @escaping @Sendable (String) -> Result<Embedding, RetrievalError>) { self.answer = answer }

    func embed(
        _ texts: [String], as role: TextRole, timeout: Duration
    ) async -> [Result<Embedding, RetrievalError>] {
        asked.withLock { $0.append(texts) }
        return texts.map(answer)
    }
}

/// Refuses or fails as told and counts.
private final class ScriptedStore: VectorStore {
    let location = "scripted"
    let current: StoreDescription?
    private let answer: @Sendable ([SearchQuery]) throws(RetrievalError) -> Void
    private let asked = Mutex<[[String]]>([])
    var calls: [[String]] { asked.withLock { $0 } }

    init(
        dimension: Int? = nil, embedder: String? = nil,
        _ answer: @escaping @Sendable ([SearchQuery]) throws(RetrievalError) -> Void = { _ in }
    ) {
        current = StoreDescription(dimension: dimension, embedder: embedder, passages: 1, documents: 1)
        self.answer = answer
    }

    func hasIndex() async -> Bool { true }
    func version() async -> String? { "1" }
    func open(timeout: Duration) async throws(RetrievalError) -> StoreDescription? { current }
    func search(_ queries: [SearchQuery], topK: Int, timeout: Duration) async throws(RetrievalError) -> [[Match]] {
        asked.withLock { $0.append(queries.map(\.text)) }
        try answer(queries)
        return queries.map { query in
            [Match(passage: Passage(documentID: query.text, ordinal: 1, title: "T", text: "t"), score: 1)]
        }
    }
    func contentHashes() async throws(RetrievalError) -> [String: String] { [:] }
    func replace(_ update: StoreUpdate) async throws(RetrievalError) {}
}

@Suite struct RetrieverRefusalTests {
    private let questions = (0..<64).map { "question \($0)" }
    private let embedder = ScriptedEmbedder { _ in .success([1, 0]) }

    private func ids(_ results: [Result<[Match], RetrievalError>]) -> [String?] {
        results.map { try? $0.get().first?.passage.documentID }
    }

    @Test func aQuestionThatTheEmbedderRefusesFailsAlone() async {
        let refusal = RetrievalError(.rejected, "refused", status: 400)
        let embedder = ScriptedEmbedder { $0 == "question 7" ? .failure(refusal) : .success([1, 0]) }
        let store = ScriptedStore()
        let results = await Retriever(embedder: embedder, store: store)
            .results(questions, topK: 1, timeout: .seconds(60))
        #expect(ids(results) == questions.map { $0 == "question 7" ? nil : $0 })
        #expect(throws: refusal.blamed(on: .embedder)) { try results[7].get() }
        #expect(embedder.calls.count == 1 && store.calls.count == 1)
    }

    @Test func aQuestionThatTheStoreRefusesFailsAlone() async {
        let store = ScriptedStore { queries throws(RetrievalError) in
            if queries.contains(where: { $0.text == "question 7" }) {
                throw RetrievalError(.rejected, "refused", status: 422)
            }
        }
        let results = await Retriever(embedder: embedder, store: store)
            .results(questions, topK: 1, timeout: .seconds(60))
        #expect(ids(results) == questions.map { $0 == "question 7" ? nil : $0 })
        #expect(embedder.calls.count == 1)
        #expect(store.calls.count == 13)
    }

    @Test func aStoreThatGoesAwayIsNotAskedOnceForEachQuestion() async {
        let count = Mutex(0)
        let store = ScriptedStore { queries throws(RetrievalError) in
            let call = count.withLock { count in
                count += 1
                return count
            }
            throw call == 1
                ? RetrievalError(.rejected, "refused", status: 400) : RetrievalError(.unreachable, "refused connection")
        }
        let results = await Retriever(embedder: embedder, store: store)
            .results(questions, topK: 1, timeout: .seconds(60))
        #expect(store.calls.count == 2)
        for result in results {
            #expect { try result.get() } throws: {
                let error = $0 as? RetrievalError
                return error?.code == .unreachable && error?.part == .store
            }
        }
    }

    @Test func equalQuestionsAreAskedOnce() async {
        let store = ScriptedStore()
        let results = await Retriever(embedder: embedder, store: store)
            .results(["a", "b", "a", "a", "b"], topK: 1, timeout: .seconds(60))
        #expect(ids(results) == ["a", "b", "a", "a", "b"])
        #expect(embedder.calls == [["a", "b"]] && store.calls == [["a", "b"]])
    }

    @Test func vectorsOfAnotherLengthThanTheIndexHoldsAreTheEmbeddersIllness() async {
        let sizes = Mutex([3, 2])
        let embedder = ScriptedEmbedder { _ in
            .success(Embedding([Float](repeating: 1, count: sizes.withLock { $0.removeFirst() })))
        }
        let store = ScriptedStore(dimension: 2, embedder: "axes")
        let retriever = Retriever(embedder: embedder, store: store)
        let sick = await retriever.results(["a"], topK: 1, timeout: .seconds(60))
        #expect { try sick[0].get() } throws: {
            let error = $0 as? RetrievalError
            return error?.code == .incompatible && error?.part == .embedder
        }
        #expect(store.calls.isEmpty)
        // One sick answer does not refuse the sound ones after it.
        #expect(ids(await retriever.results(["a"], topK: 1, timeout: .seconds(60))) == ["a"])
    }

    @Test func anIndexOfAnotherModelIsTheStoresAndCostsNoCall() async {
        let store = ScriptedStore(dimension: 2, embedder: "other")
        let results = await Retriever(embedder: embedder, store: store).results(["a"], topK: 1, timeout: .seconds(60))
        #expect { try results[0].get() } throws: {
            let error = $0 as? RetrievalError
            return error?.code == .incompatible && error?.part == .store
        }
        #expect(embedder.calls.isEmpty && store.calls.isEmpty)
    }

    @Test func aProbeSearchesWithoutTheEmbedderAndEmbedsWithoutTheStore() async throws {
        let broken = ScriptedStore(dimension: 2, embedder: "axes") { _ throws(RetrievalError) in
            throw RetrievalError(.invalidResponse, "a row has no distance")
        }
        let retriever = Retriever(embedder: embedder, store: broken)
        try await retriever.probeEmbedder(timeout: .seconds(60))
        #expect(embedder.calls.count == 1 && broken.calls.isEmpty)
        await #expect(throws: RetrievalError.self) { try await retriever.probeStore(timeout: .seconds(60)) }
        #expect(embedder.calls.count == 1 && broken.calls == [["probe"]])
    }
}

/// Questions that were embedded before.
@Suite struct QuestionVectorsTests {
    @Test func aKnownQuestionIsNotEmbeddedAgain() async {
        let embedder = ScriptedEmbedder { $0 == "bad" ? .failure(RetrievalError(.rejected, "no")) : .success([1, 0]) }
        let retriever = Retriever(
            embedder: embedder, store: ScriptedStore(), vectors: QuestionVectors(capacity: 1 << 20))
        for questions in [["a", "b"], ["b", "c", "a"], ["bad", "c"], ["bad"], ["c"]] {
            let results = await retriever.results(questions, topK: 1, timeout: .seconds(60))
            #expect(results.map { try? $0.get().first?.passage.documentID } == questions.map { $0 == "bad" ? nil : $0 })
        }
        #expect(embedder.calls == [["a", "b"], ["c"], ["bad"], ["bad"]])
    }

    /// The model behind the address is another: what is known does not fit the new index.
    @Test func vectorsThatDoNotFitTheIndexAreForgotten() async {
        let size = Mutex(2)
        let embedder = ScriptedEmbedder { _ in .success(Embedding([Float](repeating: 1, count: size.withLock { $0 }))) }
        let vectors = QuestionVectors(capacity: 1 << 20)
        let before = Retriever(embedder: embedder, store: ScriptedStore(dimension: 2), vectors: vectors)
        _ = await before.results(["a"], topK: 1, timeout: .seconds(60))
        size.withLock { $0 = 3 }
        let after = Retriever(embedder: embedder, store: ScriptedStore(dimension: 3), vectors: vectors)
        let refused = await after.results(["a"], topK: 1, timeout: .seconds(60))
        #expect((try? refused.first?.get()) == nil)
        let found = await after.results(["a"], topK: 1, timeout: .seconds(60))
        #expect((try? found.first?.get())?.count == 1)
    }

    @Test func aVectorIsKeptApartFromTheAnswerThatItCameIn() throws {
        let answer = try JSONDocument(Array("[[1,2.5],[\(String(repeating: "0,", count: 5000))0]]".utf8)).root
        let vector = try #require(answer.elements.first.flatMap { Embedding($0) })
        #expect(vector.kept.vector == vector)
        #expect(vector.kept.cost < 100)
    }
}
