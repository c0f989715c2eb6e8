import ParleyHTTP
import ParleyJSON
import Testing

@testable import Retrieval

/// The clients of embedding services and of Chroma, against answers that real servers would rarely give.
@Suite struct ServiceTests {
    private func embedder(_ server: CannedServer, apiKey: String? = nil) throws -> any Embedder {
        try makeEmbedder(url: "\(server.url)/v1/", model: "m", apiKey: apiKey, http: http)
    }

    @Test func vectorsComeInOrderAndAsTheServiceGaveThem() async throws {
        let server = try CannedServer { _ in
            // The second is base64 of little-endian 0, 2.
            (200, [], #"{"data":[{"index":1,"embedding":"AAAAAAAAAEA="},{"index":0,"embedding":[3,4]}]}"#)
        }
        defer { server.stop() }
        let embedder = try embedder(server, apiKey: "secret")
        #expect(embedder.dimension == nil)
        #expect(
            try await embedder.vectors(of: ["a", "b\n"], as: .question, timeout: .seconds(60)) == [[3, 4], [0, 2]])
        #expect(embedder.dimension == 2)
        #expect(embedder.identity == "m@\(server.url)/v1/")
        let request = try #require(server.requests.first)
        #expect(request.head.hasPrefix("POST /v1/embeddings HTTP/1.1"))
        #expect(request.head.contains("Authorization: Bearer secret"))
        #expect(request.body == #"{"model":"m","input":["a","b\n"]}"#)
    }

    @Test func noKeySendsNoAuthorization() async throws {
        let server = try CannedServer { _ in (200, [], #"{"data":[{"embedding":[1]}]}"#) }
        defer { server.stop() }
        _ = try await embedder(server, apiKey: "").vectors(of: ["a"], as: .question, timeout: .seconds(60))
        #expect(server.requests.first?.head.lowercased().contains("authorization") == false)
    }

    @Test func manyTextsAreSentInSeveralRequests() async throws {
        let server = try CannedServer { request in
            let count = request.body.split(separator: "\"x\"", omittingEmptySubsequences: false).count - 1
            let rows = (0..<count).map { #"{"index":\#($0),"embedding":[1,0]}"# }
            return (200, [], #"{"data":[\#(rows.joined(separator: ","))]}"#)
        }
        defer { server.stop() }
        let vectors = try await embedder(server).vectors(
            of: Array(repeating: "x", count: 600), as: .question, timeout: .seconds(60))
        #expect(vectors.count == 600)
        #expect(server.requests.count == 10)
    }

    @Test(arguments: [
        #"{"data":[]}"#, #"{"data":[{"embedding":[1]},{"embedding":[1]}]}"#, #"{"data":[{"embedding":[]}]}"#,
        #"{"data":[{"embedding":["x"]}]}"#, #"{"data":[{"embedding":"!!"}]}"#,
        #"{"data":[{"index":7,"embedding":[1]}]}"#,
        #"{"data":[{"embedding":[1e999]}]}"#, #"{"data":[{"embedding":[1e-3,-1E+999]}]}"#, "[]", "not json", "",
    ])
    func answersThatAreNoVectorsAreErrors(_ body: String) async throws {
        let server = try CannedServer { _ in (200, [], body) }
        defer { server.stop() }
        let embedder = try embedder(server)
        await #expect { _ = try await embedder.vectors(of: ["a"], as: .question, timeout: .seconds(60)) } throws: {
            ($0 as? RetrievalError)?.code == .invalidResponse
        }
    }

    @Test func statusesBecomeTypedErrors() async throws {
        for (status, headers, code, retryAfter) in [
            (400, [], RetrievalError.Code.rejected, nil), (401, [], .denied, nil),
            (429, ["Retry-After: 7"], .unavailable, Duration.seconds(7)),
            (503, ["Retry-After-Ms: 250"], .unavailable, .milliseconds(250)), (500, [], .unavailable, nil),
        ] as [(Int, [String], RetrievalError.Code, Duration?)] {
            let server = try CannedServer { _ in
                (status, headers, #"{"error":{"message":"that was\n wrong","type":"x"}}"#)
            }
            defer { server.stop() }
            let embedder = try embedder(server)
            do {
                _ = try await embedder.vectors(of: ["a"], as: .question, timeout: .seconds(60))
                Issue.record("a \(status) is an error")
            } catch {
                #expect(error.code == code && error.status == status && error.retryAfter == retryAfter)
                #expect(error.isTransient == (code == .unavailable))
                #expect(error.explanation.contains("that was wrong") && !error.message.contains("wrong"))
            }
        }
    }

    @Test func silenceAndAbsenceAreTransient() async throws {
        let server = try CannedServer { _ in nil }
        let silent = try embedder(server)
        await #expect { _ = try await silent.vectors(of: ["a"], as: .question, timeout: .milliseconds(200)) } throws: {
            ($0 as? RetrievalError)?.code == .timedOut
        }
        server.stop()
        let absent = try makeEmbedder(url: "http://127.0.0.1:1/v1", model: "m", http: http)
        await #expect { _ = try await absent.vectors(of: ["a"], as: .question, timeout: .seconds(60)) } throws: {
            ($0 as? RetrievalError)?.code == .unreachable && ($0 as? RetrievalError)?.isTransient == true
        }
    }

    @Test(arguments: [
        "ftp:x", "file:", "file:folder/", "chroma+http://h:1", "chroma+http://h:1/", "chroma+http://h:1/a",
        "chroma+http://h:1/bad name", "chroma+http:///docs", "chroma+http://h:1/docs?x=1", "http://h/docs", "",
    ])
    func wrongStoreURLsSayWhatIsAllowed(_ url: String) {
        #expect { _ = try makeStore(url: url, http: http) } throws: {
            let error = $0 as? RetrievalError
            return error?.code == .invalidSetting && error?.message.contains("write ") == true
                || "\($0)".contains("3 to 512")
        }
    }

    @Test func wrongEmbedderSettingsSayWhatIsAllowed() throws {
        #expect { _ = try makeEmbedder(url: "builtin:x", http: http) } throws: { "\($0)".contains("builtin:lexical") }
        #expect(try makeEmbedder(url: "http://h/v1", http: http).identity == "default@http://h/v1")
        #expect { _ = try makeEmbedder(url: "http://u:pw@h:x/v1", model: "m", http: http) } throws: {
            "\($0)".contains("port") && !"\($0)".contains("pw")
        }
        #expect(try makeStore(url: "file:///a/b.index", http: http).location == "file:/a/b.index")
        #expect(try makeStore(url: "chroma+http://u:pw@h:1/docs", http: http).location == "chroma+http://h:1/docs")
    }

    @Test(arguments: [
        #"{"ids":[]}"#, #"{"ids":[["a"]],"documents":[["d"]],"metadatas":[[null]],"distances":[["x"]]}"#,
        #"{"ids":[["a"]],"documents":[["d"]],"metadatas":[[null]],"distances":[[-1e39]]}"#,
        #"{"ids":[["a"]],"documents":[[]],"metadatas":[[null]],"distances":[[0.5]]}"#, "[1]", "nonsense",
    ])
    func chromaAnswersThatMakeNoSenseAreErrors(_ body: String) async throws {
        let server = try CannedServer { request in
            request.head.hasPrefix("GET") ? (200, [], #"{"id":"1","dimension":2,"metadata":null}"#) : (200, [], body)
        }
        defer { server.stop() }
        let store = try makeStore(url: "chroma+\(server.url)/docs", http: http)
        await #expect { _ = try await store.search([[1, 0]], topK: 1, timeout: .seconds(60)) } throws: {
            ($0 as? RetrievalError)?.code == .invalidResponse
        }
    }

    @Test func chromaRecordsOfOthersAreReadToo() async throws {
        let server = try CannedServer { request in
            request.head.hasPrefix("GET")
                ? (200, [], #"{"id":"1","dimension":2,"metadata":null,"configuration_json":{"hnsw":{"space":"l2"}}}"#)
                : (
                    200, [],
                    #"{"ids":[["x","d#3"]],"documents":[[null,"text"]],"metadatas":[[null,{"title":"T"}]],"distances":[[1.0,0.5]]}"#
                )
        }
        defer { server.stop() }
        let store = try makeStore(url: "chroma+\(server.url)/docs", http: http)
        let found = try await store.search([[1, 0]], topK: 2, timeout: .seconds(60))
        #expect(found[0].map(\.passage.id) == ["d#3", "x"])
        #expect(found[0].map(\.score) == [0.75, 0.5])
        #expect(found[0].map(\.passage.title) == ["T", "x"])
        #expect(found[0].map(\.passage.documentID) == ["d", "x"])
    }

    /// Hundreds of numbers a question, neither read nor rounded on the way.
    @Test(arguments: ["cosine", "l2"])
    func chromaGetsAVectorAsItsEmbedderWroteIt(_ space: String) async throws {
        let numbers = (0..<40).map { "0.\($0)70710678118654752440e-1" }.joined(separator: ", ")
        let server = try CannedServer { request in
            if request.head.contains("/embeddings ") { return (200, [], #"{"data":[{"embedding":[\#(numbers)]}]}"#) }
            return request.head.hasPrefix("GET")
                ? (
                    200, [],
                    #"{"id":"1","dimension":40,"metadata":null,"configuration_json":{"hnsw":{"space":"\#(space)"}}}"#
                )
                : (200, [], #"{"ids":[["a"]],"documents":[["d"]],"metadatas":[[null]],"distances":[[0.5]]}"#)
        }
        defer { server.stop() }
        let retriever = Retriever(
            embedder: try embedder(server), store: try makeStore(url: "chroma+\(server.url)/docs", http: http))
        #expect(try await retriever.matches(["q"], topK: 1, timeout: .seconds(60)).first?.count == 1)
        let query = try #require(server.requests.last?.body)
        #expect(query.contains(#""query_embeddings":[[\#(numbers)]]"#) == (space == "cosine"))
        let vector = try JSONDocument(Array(query.utf8)).root["query_embeddings"]?.elements.first?.floats ?? []
        let length = vector.reduce(0) { $0 + $1 * $1 }.squareRoot()
        // The other spaces compare lengths too.
        #expect((abs(length - 1) < 1e-4) == (space == "l2"))
    }

    @Test func aCollectionMadeAnewIsLookedUpAgain() async throws {
        let server = try CannedServer { request in
            if request.head.hasPrefix("GET") { return (200, [], #"{"id":"new","dimension":2,"metadata":null}"#) }
            if request.head.contains("/collections/new/") {
                return (200, [], #"{"ids":[["a"]],"documents":[["d"]],"metadatas":[[null]],"distances":[[0.5]]}"#)
            }
            return (404, [], #"{"error":"NotFoundError","message":"gone"}"#)
        }
        defer { server.stop() }
        let store = try ChromaStore(url: "\(server.url)/docs", http: http)
        store.remember(
            ChromaStore.Collection(
                id: "old", queryURL: "\(store.base)/collections/old/query",
                description: StoreDescription(dimension: 2, embedder: nil, passages: 1, documents: nil),
                distanceScale: 1, needsUnitVectors: false))
        #expect(try await store.search([[1, 0]], topK: 1, timeout: .seconds(60)).first?.count == 1)
        #expect(server.requests.count == 3)
    }

    @Test(arguments: [
        [1, -0.5, 0, 0.0078125, 2.5, -12, 999.25] as [Float], [1e-5, -3.3e-7, 0], [0, 0], [1e-30], [-1e20, 1], [],
    ])
    func vectorsKeepTheirDirectionAsJSON(_ vector: [Float]) throws {
        var writer = JSONWriter()
        writer.vector(vector)
        let read = try #require(try JSONDocument(writer.bytes).root.floats)
        #expect(read.count == vector.count)
        let largest = vector.map(abs).max() ?? 0
        for (one, other) in zip(vector, read) { #expect(abs(one - other) <= largest * 1e-5) }
    }
}
