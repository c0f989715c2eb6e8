import ParleyJSON
import Testing

@testable import Retrieval

@Suite struct RerankerTests {
    private static let documents = ["one", "two", "three"].map {
        Document(id: "\($0).md", title: $0, text: "same \($0)")
    }

    /// What is found for "same" with the answers of a rerank service, best first.
    private func found(
        topK: Int = 3, candidates: Int = 20, patience: Duration = .seconds(60), path: String = "/v1", answer: String?,
        status: Int = 200
    ) async throws -> (ids: [String], scores: [Float], asked: [CannedServer.Request]) {
        let server = try CannedServer { _ in answer.map { (status, [], $0) } }
        defer { server.stop() }
        let folder = try TemporaryFolder()
        let store = FileStore(path: "\(folder.path)/k.index", logger: quiet)
        let embedder = LexicalEmbedder()
        _ = try await Ingestor(embedder: embedder, store: store).ingest(Self.documents)
        var options = RetrievalOptions()
        options.reranker = try Reranker(
            url: server.url + path, model: "m", candidates: candidates, patience: patience, http: http)
        let matches = try await Retriever(embedder: embedder, store: store, options: options)
            .matches(["same"], topK: topK, timeout: .seconds(60))
        return (matches[0].map(\.passage.documentID), matches[0].map(\.score), server.requests)
    }

    private let plain = ["one.md", "two.md", "three.md"]

    @Test func theServiceDecidesOnTheOrderAndScoresStay() async throws {
        let (ids, scores, asked) = try await found(
            answer: #"{"results":[{"index":2,"relevance_score":0.9},{"index":0,"relevance_score":0.1}]}"#)
        #expect(ids == ["three.md", "one.md", "two.md"], "what it does not name comes behind")
        #expect(scores.allSatisfy { $0 > 0 && $0 <= 1 })
        let request = try #require(asked.first)
        #expect(request.head.hasPrefix("POST /v1/rerank "))
        let body = try JSONDocument(Array(request.body.utf8)).root
        #expect(body["model"]?.string == "m" && body["query"]?.string == "same" && body["top_n"]?.int == 3)
        #expect(
            body["documents"]?.elements.compactMap(\.string) == ["one\nsame one", "two\nsame two", "three\nsame three"])
    }

    @Test func ranksAreByScoreWhateverTheirOrder() async throws {
        let answer =
            #"{"results":[{"index":0,"relevance_score":-3},{"index":1,"relevance_score":2},{"index":2,"relevance_score":1}]}"#
        #expect(try await found(answer: answer).ids == ["two.md", "three.md", "one.md"])
        let bare = #"[{"index":2,"score":2},{"index":1,"score":1}]"#
        #expect(try await found(topK: 2, answer: bare).ids == ["three.md", "two.md"])
    }

    @Test func onlyTheCandidatesAreShown() async throws {
        let (ids, _, asked) = try await found(
            topK: 2, candidates: 2, answer: #"{"results":[{"index":1,"relevance_score":1}]}"#)
        #expect(ids == ["two.md", "one.md"])
        #expect(try JSONDocument(Array(#require(asked.first).body.utf8)).root["documents"]?.count == 2)
    }

    @Test(arguments: [
        "{}", "nonsense", #"{"results":[]}"#, #"{"results":[{"index":3,"relevance_score":1}]}"#,
        #"{"results":[{"index":0,"relevance_score":1},{"index":0,"relevance_score":2}]}"#,
        #"{"results":[{"index":-1,"relevance_score":1}]}"#, #"{"results":[{"index":0}]}"#,
        #"{"results":[{"index":0,"relevance_score":1e999}]}"#,
    ])
    func nonsenseLeavesTheOrder(_ answer: String) async throws {
        #expect(try await found(answer: answer).ids == plain)
    }

    @Test func oneThatIsLateOrRefusesLeavesTheOrder() async throws {
        #expect(try await found(patience: .milliseconds(50), answer: nil).ids == plain)
        #expect(try await found(answer: "{}", status: 503).ids == plain)
    }

    @Test(arguments: [("", "/v1/rerank"), ("/", "/v1/rerank"), ("/v2", "/v2/rerank"), ("/api/rerank", "/api/rerank")])
    func theURLMayBeWrittenInSeveralWays(_ path: String, _ asked: String) async throws {
        let request = try await found(path: path, answer: "{}").asked.first
        #expect(request?.head.hasPrefix("POST \(asked) ") == true, "\(request?.head ?? "")")
    }

    @Test func aWrongURLIsNamed() {
        #expect(throws: RetrievalError.self) { try Reranker(url: "builtin:lexical", http: http) }
        #expect(throws: RetrievalError.self) { try Reranker(url: "http://", http: http) }
        #expect(throws: RetrievalError.self) { try Reranker(url: "http://h", apiKey: "a b", http: http) }
    }
}

@Suite struct AbsenceTests {
    @Test func afterFiveFailuresItIsLeftAloneForAWhile() {
        var absence = Absence()
        let start = ContinuousClock.now
        func asks(after seconds: Int) -> Bool { absence.mayBeAsked(at: start + .seconds(seconds)) }
        var asked: [Bool] = []
        for _ in 0..<Absence.most {
            asked.append(asks(after: 0))
            absence.failed(at: start)
        }
        #expect(asked.allSatisfy { $0 })
        asked = [asks(after: 0), asks(after: 29)]
        #expect(asked == [false, false])
        // One tries it, and the others do not wait for that.
        asked = [asks(after: 30), asks(after: 31)]
        #expect(asked == [true, false])
        absence.failed(at: start + .seconds(31))
        asked = [asks(after: 60), asks(after: 61)]
        #expect(asked == [false, true])
        absence.answered()
        absence.failed(at: start)
        asked = [asks(after: 61)]
        #expect(asked == [true], "failures before an answer do not count any more")
    }

    @Test func aServiceThatFailsIsNotAskedByEveryQuestion() async throws {
        let server = try CannedServer { _ in (500, [], "{}") }
        defer { server.stop() }
        let reranker = try Reranker(url: server.url, patience: .seconds(60), http: http)
        let matches = (1...3).map {
            Match(passage: Passage(documentID: "\($0)", ordinal: 1, title: "T", text: "t"), score: 0)
        }
        for _ in 0..<9 {
            let best = await reranker.best(3, of: [("q", matches)], within: .seconds(60))
            #expect(best == [matches])
        }
        #expect(server.requests.count == Absence.most)
    }
}
