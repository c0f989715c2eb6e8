import Answering
import ChatJobs
import Retrieval
import Synchronization
import Testing

@testable import Adapters

/// Fails as told, or gives two numbers for every text.
private final class FakeEmbedder: Embedder {
    let identity = "fake"
    let dimension: Int? = 2
    private let failure: Mutex<RetrievalError?>

    init(_ failure: RetrievalError? = nil) { self.failure = Mutex(failure) }

    func embed(
        _ texts: [String], as role: TextRole, timeout: Duration
    ) async -> [Result<Embedding, RetrievalError>] {
        let failure = failure.withLock { $0 }
        return texts.map { _ in failure.map { .failure($0) } ?? .success([1, 0]) }
    }
}

/// Fails as told, or finds one passage for every question.
private final class FakeStore: VectorStore {
    let location = "fake"
    let current: StoreDescription? = StoreDescription(dimension: 2, embedder: "fake", passages: 1, documents: 1)
    let failure: RetrievalError?

    init(_ failure: RetrievalError? = nil) { self.failure = failure }

    func hasIndex() async -> Bool { failure?.code != .notFound }
    func version() async -> String? { failure == nil ? "1" : nil }
    func open(timeout: Duration) async throws(RetrievalError) -> StoreDescription? {
        if let failure { throw failure }
        return current
    }
    func search(_ queries: [SearchQuery], topK: Int, timeout: Duration) async throws(RetrievalError) -> [[Match]] {
        if let failure { throw failure }
        return queries.map {
            [Match(passage: Passage(documentID: $0.text, ordinal: 1, title: "T", text: "text"), score: 0.5)]
        }
    }
    func contentHashes() async throws(RetrievalError) -> [String: String] { [:] }
    func replace(_ update: StoreUpdate) async throws(RetrievalError) {}
}

/// A failure, and what it means for a job.
private struct Meaning: Sendable, CustomTestStringConvertible {
    var code: RetrievalError.Code
    var status: Int?
    var blame: JobFailure.Blame
    /// Whether a service is named.
    var isServices = true

    var testDescription: String { "\(code) \(status.map(String.init) ?? "")" }
    var error: RetrievalError {
        RetrievalError(
            code, "what happened", serviceWords: "cannot embed: my secret question", status: status,
            retryAfter: .seconds(3))
    }

    static let all: [Self] = [
        .init(code: .unreachable, blame: .absence), .init(code: .timedOut, blame: .absence),
        .init(code: .unavailable, status: 500, blame: .absence),
        .init(code: .unavailable, status: 503, blame: .absence),
        .init(code: .unavailable, status: 404, blame: .absence),
        .init(code: .unavailable, status: 429, blame: .overload), .init(code: .invalidResponse, blame: .absence),
        .init(code: .denied, status: 401, blame: .absence), .init(code: .denied, status: 403, blame: .absence),
        .init(code: .incompatible, blame: .absence), .init(code: .corrupt, blame: .absence),
        .init(code: .unreadable, blame: .absence), .init(code: .invalidSetting, blame: .absence),
        .init(code: .rejected, status: 400, blame: .job, isServices: false),
        .init(code: .rejected, status: 422, blame: .job, isServices: false),
        .init(code: .tooLong, status: 413, blame: .job, isServices: false),
        .init(code: .notFound, blame: .absence, isServices: false),
        .init(code: .cancelled, blame: .absence, isServices: false),
    ]
}

@Suite struct RetrieverSourceTests {
    private func source(embedder: RetrievalError? = nil, store: RetrievalError? = nil) -> RetrieverSource {
        RetrieverSource(retriever: Retriever(embedder: FakeEmbedder(embedder), store: FakeStore(store)))
    }

    private func questions(_ texts: String...) -> [PassageQuestion] {
        texts.map { PassageQuestion($0, tenant: nil) }
    }

    private func failures(_ source: RetrieverSource) async -> [PassageFailure?] {
        await source.passages(for: questions("a", "b"), topK: 1, timeout: .seconds(60)).map { result in
            if case .failure(let failure) = result { failure } else { nil }
        }
    }

    @Test func whatIsFoundIsGivenAsSources() async throws {
        let found = await source().passages(for: questions("a", "b", "a"), topK: 1, timeout: .seconds(60))
        #expect(try found.map { try $0.get().map(\.id) } == [["a#1"], ["b#1"], ["a#1"]])
        #expect(await source().isReady())
        #expect(await source().trouble() == nil)
    }

    @Test(arguments: Meaning.all)
    private func anEmbeddersFailureHasItsBlameAndQuotesNoQuestion(_ meaning: Meaning) async throws {
        for failure in await failures(source(embedder: meaning.error)) {
            let failure = try #require(failure)
            #expect(failure.failure.code == .retrievalFailed && failure.failure.blame == meaning.blame)
            #expect(failure.dependency == (meaning.isServices ? .embeddings : nil))
            #expect(failure.failure.message == "what happened" && failure.failure.retryAfter == .seconds(3))
        }
    }

    @Test(arguments: Meaning.all)
    private func aStoresFailureHasItsBlameAndQuotesNoQuestion(_ meaning: Meaning) async throws {
        for failure in await failures(source(store: meaning.error)) {
            let failure = try #require(failure)
            #expect(failure.failure.blame == meaning.blame)
            #expect(failure.dependency == (meaning.isServices ? .vectors : nil))
            #expect(failure.failure.message == "what happened")
        }
    }

    /// Each service is asked for itself, and one that times out is not there.
    @Test(arguments: Meaning.all)
    private func aProbeIsTrueWhenTheServiceServes(_ meaning: Meaning) async {
        let isThere = meaning.blame != .absence
        let embedder = source(embedder: meaning.error)
        #expect(await embedder.probe(.embeddings) == isThere)
        #expect(await embedder.probe(.vectors))
        let store = source(store: meaning.error)
        #expect(await store.probe(.vectors) == isThere)
        #expect(await store.probe(.embeddings))
    }
}
