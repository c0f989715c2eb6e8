import ParleyJSON
import Testing

@testable import Retrieval

/// One recorded shape of an embedding server's answer.
struct EmbeddingAnswerCase: Sendable, CustomTestStringConvertible {
    var name: String
    var texts = 1
    var status = 200
    var headers: [String] = []
    var body: String
    /// Nil for a failure.
    var vectors: [[Float]]?
    var code: RetrievalError.Code?
    var retryAfter: Duration?

    var testDescription: String { name }

    /// Answers that hold vectors, in whatever dress.
    static let understood: [Self] = [
        .init(
            name: "as OpenAI has it",
            body: #"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[3,4]}]}"#, vectors: [[3, 4]]),
        .init(
            name: "out of order", texts: 3,
            body:
                #"{"data":[{"index":2,"embedding":[5,6]},{"index":0,"embedding":[1,2]},{"index":1,"embedding":[3,4]}]}"#,
            vectors: [[1, 2], [3, 4], [5, 6]]),
        .init(
            name: "no index", texts: 2, body: #"{"data":[{"embedding":[1,2]},{"embedding":[3,4]}]}"#,
            vectors: [[1, 2], [3, 4]]),
        .init(
            name: "the index as text", texts: 2,
            body: #"{"data":[{"index":"1","embedding":[3,4]},{"index":"0","embedding":[1,2]}]}"#,
            vectors: [[1, 2], [3, 4]]),
        .init(name: "base64", body: #"{"data":[{"index":0,"embedding":"AAAAAAAAAEA="}]}"#, vectors: [[0, 2]]),
        .init(
            name: "base64 without padding", body: #"{"data":[{"index":0,"embedding":"AAAAAAAAAEA"}]}"#,
            vectors: [[0, 2]]),
        .init(
            name: "JSON in a string", body: #"{"data":[{"index":0,"embedding":"[0.5, -1]"}]}"#, vectors: [[0.5, -1]]),
        .init(
            name: "numbers in a string", body: #"{"data":[{"index":0,"embedding":"0.5,-1"}]}"#, vectors: [[0.5, -1]]),
        .init(
            name: "numbers as strings", body: #"{"data":[{"index":0,"embedding":["0.5","-1"]}]}"#, vectors: [[0.5, -1]]),
        .init(
            name: "nested in one list", body: #"{"data":[{"index":0,"embedding":[[0.5,-1]]}]}"#, vectors: [[0.5, -1]]),
        .init(
            name: "a list at the top, nested", texts: 2,
            body: #"[{"index":1,"embedding":[[3,4]]},{"index":0,"embedding":[[1,2]]}]"#, vectors: [[1, 2], [3, 4]]),
        .init(name: "lists alone", texts: 2, body: "[[1,2],[3,4]]", vectors: [[1, 2], [3, 4]]),
        .init(
            name: "embeddings", texts: 2, body: #"{"model":"m","embeddings":[[1,2],[3,4]]}"#,
            vectors: [[1, 2], [3, 4]]),
        .init(name: "embeddings by type", body: #"{"embeddings":{"float":[[1,2]]}}"#, vectors: [[1, 2]]),
        .init(name: "one embedding", body: #"{"embedding":[1,2]}"#, vectors: [[1, 2]]),
        .init(name: "data is one object", body: #"{"data":{"embedding":[1,2]}}"#, vectors: [[1, 2]]),
        .init(
            name: "no index but null", texts: 2,
            body: #"{"data":[{"index":null,"embedding":[1,2]},{"index":null,"embedding":[3,4]}]}"#,
            vectors: [[1, 2], [3, 4]]),
        .init(
            name: "objects in embeddings", texts: 2,
            body: #"{"embeddings":[{"index":1,"embedding":[3,4]},{"index":0,"embedding":[1,2]}]}"#,
            vectors: [[1, 2], [3, 4]]),
        .init(name: "values, as Google has it", body: #"{"embeddings":[{"values":[1,2]}]}"#, vectors: [[1, 2]]),
        .init(name: "one of values", body: #"{"embedding":{"values":[1,2]}}"#, vectors: [[1, 2]]),
        .init(name: "by type in data", body: #"{"data":[{"embedding":{"float":[1,2]}}]}"#, vectors: [[1, 2]]),
        .init(
            name: "usage and more",
            body: #"{"id":"e","object":"list","created":1,"model":"m","data":"#
                + #"[{"index":0,"object":"embedding","embedding":[1e-1,-2E1]}],"usage":{"prompt_tokens":0}}"#,
            vectors: [[0.1, -20]]),
        .init(name: "an error that is none", body: #"{"error":null,"data":[{"embedding":[1,2]}]}"#, vectors: [[1, 2]]),
    ]

    /// Answers that say that the embedder is ill: for any question.
    static let ill: [Self] = [
        .init(
            name: "null vector", body: #"{"data":[{"object":"embedding","index":0,"embedding":[null,null,null]}]}"#,
            code: .invalidResponse),
        .init(name: "null for a vector", body: #"{"data":[{"index":0,"embedding":null}]}"#, code: .invalidResponse),
        .init(name: "NaN", body: #"{"data":[{"index":0,"embedding":[NaN,1]}]}"#, code: .invalidResponse),
        .init(name: "NaN as text", body: #"{"data":[{"index":0,"embedding":["nan","1"]}]}"#, code: .invalidResponse),
        .init(
            name: "NaN in base64", body: #"{"data":[{"index":0,"embedding":"AADAfwAAgD8="}]}"#, code: .invalidResponse),
        .init(name: "infinite", body: #"{"data":[{"index":0,"embedding":[1e39,1]}]}"#, code: .invalidResponse),
        .init(name: "empty", body: #"{"data":[{"index":0,"embedding":[]}]}"#, code: .invalidResponse),
        .init(name: "no vectors", body: #"{"data":[]}"#, code: .invalidResponse),
        .init(name: "too few", texts: 2, body: #"{"data":[{"index":0,"embedding":[1,2]}]}"#, code: .invalidResponse),
        .init(name: "too many", body: #"{"data":[{"embedding":[1]},{"embedding":[2]}]}"#, code: .invalidResponse),
        .init(
            name: "an index twice", texts: 2,
            body: #"{"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[2]}]}"#, code: .invalidResponse),
        .init(name: "an index of nothing", body: #"{"data":[{"index":-1,"embedding":[1]}]}"#, code: .invalidResponse),
        .init(
            name: "of two lengths", texts: 2, body: #"{"data":[{"embedding":[1,2]},{"embedding":[1]}]}"#,
            code: .invalidResponse),
        .init(name: "one vector a token", body: #"{"data":[{"embedding":[[1,2],[3,4]]}]}"#, code: .invalidResponse),
        .init(name: "half of it", body: #"{"data":[{"index":0,"embedd"#, code: .invalidResponse),
        .init(name: "nothing", body: "", code: .invalidResponse),
        .init(name: "a page", body: "<html>Sign in to the hotel's network</html>", code: .invalidResponse),
        .init(name: "an error in a 200", body: #"{"error":{"message":"upstream failed"}}"#, code: .invalidResponse),
        .init(name: "a 500 in a 200", body: #"{"error":{"message":"x","code":500}}"#, code: .unavailable),
        .init(name: "a 429 in a 200", body: #"{"error":{"message":"x","code":429}}"#, code: .unavailable),
        .init(name: "a 500", status: 500, body: #"{"error":{"message":"boom"}}"#, code: .unavailable),
        .init(
            name: "loading", status: 503, headers: ["Retry-After: 2"],
            body: #"{"error":{"message":"Loading model","type":"unavailable_error","code":503}}"#, code: .unavailable,
            retryAfter: .seconds(2)),
        .init(
            name: "a limit", status: 429, headers: ["Retry-After: 20"],
            body: #"{"error":{"code":"rate_limit_exceeded"}}"#, code: .unavailable, retryAfter: .seconds(20)),
        .init(name: "a gateway's 404", status: 404, body: "404 page not found\n", code: .unavailable),
        .init(name: "no such path", status: 404, body: #"{"detail":"Not Found"}"#, code: .denied),
        .init(
            name: "no such model", status: 400, body: #"{"error":{"message":"x","code":"model_not_found"}}"#,
            code: .denied),
        .init(
            name: "no such model in words", status: 400,
            body: #"{"detail":"[address=0.0.0.0:39, pid=5] Model not found in the model list, uid: m"}"#, code: .denied),
        .init(
            name: "no model loaded", status: 400,
            body: #"{"error":{"message":"No models loaded. Please load a model.","type":"invalid_request_error"}}"#,
            code: .unavailable),
        .init(
            name: "a key that Google does not take", status: 400,
            body: #"[{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT"}}]"#, code: .denied
        ),
        .init(
            name: "a spent budget", status: 400,
            body: #"{"error":{"message":"Budget has been exceeded!","type":"budget_exceeded","code":"400"}}"#,
            code: .denied),
        .init(
            name: "the part that computes failed", status: 424,
            body: #"{"error":"DriverError(CUDA_ERROR_UNKNOWN)","error_type":"Backend"}"#, code: .unavailable),
        .init(
            name: "overloaded", status: 429, body: #"{"error":"Model is overloaded","error_type":"Overloaded"}"#,
            code: .unavailable),
        .init(
            name: "a wrong key", status: 401,
            body: #"{"error":{"message":"Incorrect API key provided","code":"invalid_api_key"}}"#, code: .denied),
        .init(name: "forbidden", status: 403, body: "Forbidden", code: .denied),
        .init(name: "no money", status: 402, body: #"{"error":{"message":"Insufficient Balance"}}"#, code: .denied),
        .init(
            name: "elsewhere", status: 302, headers: ["Location: https://elsewhere/?token=secret"], body: "",
            code: .denied),
    ]

    /// Answers that concern what was asked.
    static let refused: [Self] = [
        .init(
            name: "bad request", status: 400,
            body: #"{"error":{"message":"invalid input","type":"invalid_request_error"}}"#, code: .rejected),
        .init(
            name: "unprocessable", status: 422, body: #"{"detail":[{"loc":["body"],"msg":"x","type":"value_error"}]}"#,
            code: .rejected),
        .init(name: "bad request without a word", status: 400, body: "", code: .rejected),
        .init(
            name: "too long", status: 400,
            body:
                #"{"error":{"code":400,"message":"request (3031 tokens) exceeds the available context size","type":"exceed_context_size_error"}}"#,
            code: .tooLong),
        .init(
            name: "too long as a 500", status: 500,
            body:
                #"{"error":{"code":500,"message":"input is too large to process. increase the physical batch size","type":"server_error"}}"#,
            code: .tooLong),
        .init(name: "too large", status: 413, body: "", code: .tooLong),
        .init(
            name: "too long for Ollama", status: 400,
            body: #"{"error":{"message":"the input length exceeds the context length","type":"api_error"}}"#,
            code: .tooLong),
        .init(
            name: "too long for text-embeddings-inference", status: 422,
            body: #"{"error":"Input validation error: `inputs` must have less than 512 tokens. Given: 600"}"#,
            code: .tooLong),
        .init(
            name: "too long for vLLM", status: 400,
            body: #"{"object":"error","message":"This model's maximum context length is 512 tokens. However, you "#
                + #"requested 600 tokens in the input for embedding generation.","code":400}"#, code: .tooLong),
        .init(
            name: "too many texts for Infinity", status: 422,
            body: #"{"detail":[{"type":"too_long","loc":["body"],"msg":"List should have at most 2048 items"}]}"#,
            code: .rejected),
        .init(
            name: "quotes what was asked", status: 400,
            body: #"{"error":{"message":"bad input: text 0: invalid"}}"#, code: .rejected),
    ]
}

/// Embedding servers as they really answer.
@Suite struct EmbeddingServerTests {
    /// What a server was sent to embed.
    private static func input(_ request: CannedServer.Request) -> [String] {
        (try? JSONDocument(Array(request.body.utf8)))?.root["input"]?.elements.compactMap(\.string) ?? []
    }

    private static func vectors(_ count: Int) -> (Int, [String], String) {
        let rows = (0..<count).map { #"{"index":\#($0),"embedding":[\#($0 + 1),1]}"# }
        return (200, [], #"{"data":[\#(rows.joined(separator: ","))]}"#)
    }

    private func embedder(
        _ server: CannedServer, _ change: (inout EmbeddingOptions) -> Void = { _ in }
    ) throws -> any Embedder {
        var options = EmbeddingOptions()
        change(&options)
        return try makeEmbedder(url: "\(server.url)/v1", model: "m", options: options, http: http)
    }

    @Test(arguments: EmbeddingAnswerCase.understood)
    func anAnswerThatCanBeReadInOneWayIsRead(_ answer: EmbeddingAnswerCase) async throws {
        let server = try CannedServer { _ in (answer.status, answer.headers, answer.body) }
        defer { server.stop() }
        let texts = (0..<answer.texts).map { "text \($0)" }
        let vectors = try await embedder(server).vectors(of: texts, as: .question, timeout: .seconds(60))
        #expect(vectors.map(\.numbers) == answer.vectors)
        #expect(server.requests.count == 1)
    }

    @Test(arguments: EmbeddingAnswerCase.ill + EmbeddingAnswerCase.refused)
    func aFailureIsOfItsKindAndQuotesNobody(_ answer: EmbeddingAnswerCase) async throws {
        let server = try CannedServer { _ in (answer.status, answer.headers, answer.body) }
        defer { server.stop() }
        let texts = (0..<answer.texts).map { "text \($0)" }
        let results = try await embedder(server).embed(texts, as: .question, timeout: .seconds(60))
        for result in results {
            guard case .failure(let error) = result else {
                Issue.record("\(answer.name) is no success")
                continue
            }
            #expect(error.code == answer.code && error.part == .embedder && error.retryAfter == answer.retryAfter)
            for quoted in ["upstream failed", "boom", "Loading", "Incorrect", "Balance", "secret", "hotel"] {
                #expect(!error.message.contains(quoted))
            }
        }
        let isRefused = EmbeddingAnswerCase.refused.contains { $0.name == answer.name }
        #expect(isRefused || server.requests.count == 1, "an illness is asked about once")
        #expect(server.requests.count <= 1 + OpenAIEmbedder.mostCuts)
    }

    @Test func aWrongKeyNamesItsSettingAndAWrongAddressIts() async throws {
        for (status, setting) in [(401, "embeddings.api_key"), (403, "embeddings.api_key"), (402, "embeddings.url")] {
            let server = try CannedServer { _ in (status, [], #"{"error":{"message":"x"}}"#) }
            defer { server.stop() }
            await #expect {
                _ = try await embedder(server).vectors(of: ["a"], as: .question, timeout: .seconds(60))
            } throws: { ($0 as? RetrievalError)?.message.contains("check \(setting)") == true }
        }
        #expect { _ = try makeEmbedder(url: "http://h/v1", apiKey: "secret\n", http: http) } throws: {
            "\($0)".contains("embeddings.api_key") && !"\($0)".contains("secret")
        }
    }

    @Test(arguments: [400, 413, 422])
    func aBatchThatIsRefusedIsHalvedAndItsSizeRemembered(_ status: Int) async throws {
        let server = try CannedServer { request in
            let count = Self.input(request).count
            guard count <= 10 else {
                return (
                    status, [],
                    #"{"error":{"message":"batch size is invalid, it should not be larger than 10","code":"InvalidParameter"}}"#
                )
            }
            return Self.vectors(count)
        }
        defer { server.stop() }
        let embedder = try embedder(server)
        let texts = (0..<64).map { "text \($0)" }
        #expect(try await embedder.vectors(of: texts, as: .question, timeout: .seconds(60)).count == 64)
        #expect(server.requests.map { Self.input($0).count } == [64, 32, 16] + [Int](repeating: 8, count: 8))
        #expect(server.requests.dropFirst(3).flatMap { Self.input($0) } == texts)
        _ = try await embedder.vectors(of: texts, as: .question, timeout: .seconds(60))
        #expect(server.requests.dropFirst(11).map { Self.input($0).count } == [Int](repeating: 8, count: 8))
    }

    @Test func theBatchIsASetting() async throws {
        let server = try CannedServer { request in Self.vectors(Self.input(request).count) }
        defer { server.stop() }
        let embedder = try embedder(server) { $0.batch = 5 }
        _ = try await embedder.vectors(of: (0..<12).map { "\($0)" }, as: .passage, timeout: .seconds(60))
        #expect(server.requests.map { Self.input($0).count } == [5, 5, 2])
    }

    @Test func oneTextThatIsRefusedTakesNoneWithIt() async throws {
        let server = try CannedServer { request in
            let input = Self.input(request)
            guard !input.contains("text 9") else {
                return (400, [], #"{"error":{"message":"bad: \#(input.joined(separator: "|"))","code":"bad_input"}}"#)
            }
            return Self.vectors(input.count)
        }
        defer { server.stop() }
        let texts = (0..<64).map { "text \($0)" }
        let results = try await embedder(server).embed(texts, as: .question, timeout: .seconds(60))
        #expect(server.requests.count == 13)
        for (text, result) in zip(texts, results) {
            switch result {
            case .success: #expect(text != "text 9")
            case .failure(let error):
                #expect(text == "text 9" && error.code == .rejected)
                #expect(error.message.hasSuffix("with 400 (bad_input)"), "nothing of the service's own sentence")
            }
        }
    }

    /// An error for a whole window quotes all its questions, which are several tenants'.
    @Test(arguments: [500, 429, 400, 200])
    func whatAnErrorQuotesStaysInside(_ status: Int) async throws {
        let server = try CannedServer { request in
            let input = Self.input(request)
            let message = "cannot embed \(input.joined(separator: " and "))"
            return (status, [], #"{"error":{"message":"\#(message)","code":"\#(input.last ?? "")"}}"#)
        }
        defer { server.stop() }
        let texts = ["tenant-a-secret", "tenant-b-secret"]
        for result in try await embedder(server).embed(texts, as: .question, timeout: .seconds(60)) {
            guard case .failure(let error) = result else {
                Issue.record("no success")
                continue
            }
            #expect(!"\(error)".contains("secret") && !error.message.contains("cannot embed"))
            #expect(error.explanation.contains("cannot embed"), "whoever asked by hand may read it")
        }
    }

    @Test func aTextThatTheServerCallsTooLongIsCutAtASentence() async throws {
        let server = try CannedServer { request in
            let input = Self.input(request)
            guard input.allSatisfy({ $0.utf8.count <= 300 }) else {
                return (
                    400, [],
                    #"{"error":{"code":400,"message":"request (900 tokens) exceeds the available context size (60 tokens)","type":"exceed_context_size_error"}}"#
                )
            }
            return Self.vectors(input.count)
        }
        defer { server.stop() }
        let long = (1...40).map { "This is sentence number \($0). " }.joined()
        let results = try await embedder(server).embed(["short", long, "brief"], as: .passage, timeout: .seconds(60))
        #expect(results.allSatisfy { if case .success = $0 { true } else { false } })
        let sent = server.requests.flatMap { Self.input($0) }.filter { $0.hasPrefix("This is") }
        let last = try #require(sent.last)
        #expect(last.utf8.count <= 300 && last.hasSuffix(".") && long.hasPrefix(last))
        #expect(sent.count <= 3 + OpenAIEmbedder.mostCuts)
    }

    @Test func aTextThatIsAlwaysTooLongFailsAfterAFewCuts() async throws {
        let server = try CannedServer { _ in (413, [], "") }
        defer { server.stop() }
        let embedder = try embedder(server)
        let long = String(repeating: "word ", count: 6000)
        await #expect { _ = try await embedder.vectors(of: [long], as: .question, timeout: .seconds(60)) } throws: {
            ($0 as? RetrievalError)?.code == .tooLong
        }
        #expect(server.requests.count == 1 + OpenAIEmbedder.mostCuts)
    }

    @Test func longTextsAreCutBeforehandWhenTheModelsLengthIsKnown() async throws {
        let server = try CannedServer { request in Self.vectors(Self.input(request).count) }
        defer { server.stop() }
        let embedder = try embedder(server) {
            $0.maxTokens = 20
            $0.queryPrefix = "query: "
        }
        let long = (1...40).map { "This is sentence number \($0). " }.joined()
        _ = try await embedder.vectors(of: [long, "short"], as: .question, timeout: .seconds(60))
        #expect(server.requests.count == 1)
        let input = Self.input(server.requests[0])
        #expect(input == ["query: This is sentence number 1. This is sentence number 2.", "query: short"])
    }

    @Test func questionsAndPassagesHaveTheirPrefixes() async throws {
        let server = try CannedServer { request in Self.vectors(Self.input(request).count) }
        defer { server.stop() }
        let embedder = try embedder(server) {
            $0.queryPrefix = "query: "
            $0.passagePrefix = "passage: "
        }
        _ = try await embedder.vectors(of: ["a"], as: .question, timeout: .seconds(60))
        _ = try await embedder.vectors(of: ["a"], as: .passage, timeout: .seconds(60))
        #expect(server.requests.map { Self.input($0) } == [["query: a"], ["passage: a"]])
    }

    @Test func anotherPrefixIsAnotherEmbedder() throws {
        func identity(_ query: String, _ passage: String, _ host: String = "h") throws -> String {
            var options = EmbeddingOptions()
            options.queryPrefix = query
            options.passagePrefix = passage
            return try makeEmbedder(url: "http://\(host)/v1", model: "e5", options: options, http: http).identity
        }
        #expect(try identity("", "") == "e5@http://h/v1", "indexes made before there were prefixes stay valid")
        let e5 = try identity("query: ", "passage: ")
        #expect(EmbedderIdentity.matches(e5, try identity("query: ", "passage: ", "moved")))
        for other in [try identity("", ""), try identity("query: ", ""), try identity("passage: ", "query: ")] {
            #expect(!EmbedderIdentity.matches(e5, other))
        }
    }

    @Test func aServerThatHangsTakesItsTimeOnce() async throws {
        let server = try CannedServer { _ in nil }
        defer { server.stop() }
        let results = try await embedder(server) { $0.batch = 1 }
            .embed((0..<64).map { "\($0)" }, as: .question, timeout: .milliseconds(300))
        #expect(results.allSatisfy { if case .failure(let error) = $0 { error.code == .timedOut } else { false } })
        #expect(server.requests.count <= 1)
    }
}
