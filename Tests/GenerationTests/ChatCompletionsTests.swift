import ChatJobs
import ParleyHTTP
import ParleyJSON
import Testing

@testable import Generation

/// Whole answers of a service, and its refusals.
@Suite struct ChatCompletionsTests {
    static let good = """
        {"choices":[{"finish_reason":"stop","index":0,"message":{"role":"assistant","content":"Hello\\n你好"}}],\
        "model":"small-1","usage":{"completion_tokens":24,"prompt_tokens":31,"total_tokens":55}}
        """

    @Test func sendsTheContractsDefaultsAndReadsTheAnswer() async throws {
        let server = try FakeServer { _ in [.answer(200, Self.good)] }
        defer { server.stop() }
        let source = passage("text")
        let answer = try await chatModel(server, apiKey: "sk-1").generate(
            GenerationRequest(query: "hi \"there\"", passages: [source]), onDelta: nil)
        #expect(
            answer
                == Generation(
                    answer: "Hello\n你好", model: "small-1", usage: Usage(promptTokens: 31, completionTokens: 24),
                    sources: [source]))
        let request = try #require(server.requests.first)
        #expect(request.path == "/v1/chat/completions")
        #expect(request.head.contains("authorization: Bearer sk-1"))
        #expect(request.head.contains("content-type: application/json"))
        let body = try #require(request.json)
        #expect(body["model"]?.string == "small")
        #expect(body["temperature"]?.double == 0.3)
        #expect(body["seed"]?.int == 42)
        #expect(body["stream"]?.bool == false)
        #expect(body["max_tokens"] == nil)
        #expect(body["stream_options"] == nil)
        let messages = body["messages"]?.elements.map { $0["role"]?.string }
        #expect(messages == ["system", "user"])
        #expect(body["messages"]?.elements.last?["content"]?.string?.hasSuffix("Question: hi \"there\"") == true)
    }

    @Test func aKeyCanBeReplacedBetweenTwoCalls() async throws {
        let server = try FakeServer { _ in [.answer(200, Self.good)] }
        defer { server.stop() }
        let model: any LanguageModel = try chatModel(server, apiKey: "sk-1")
        let copy = model
        try model.useKey("sk-2")
        _ = try await copy.generate(GenerationRequest(query: "q"), onDelta: nil)
        #expect(server.requests.last?.head.contains("authorization: Bearer sk-2") == true)
        #expect(throws: GenerationConfigurationError.self) { try model.useKey("sk 3") }
        _ = try await copy.generate(GenerationRequest(query: "q"), onDelta: nil)
        #expect(server.requests.last?.head.contains("authorization: Bearer sk-2") == true)
    }

    @Test func sendsWhatTheJobAsksFor() async throws {
        let server = try FakeServer { _ in [.answer(200, Self.good)] }
        defer { server.stop() }
        let model = try chatModel(server, name: nil)
        _ = try await model.generate(GenerationRequest(query: "q"), onDelta: nil)
        _ = try await model.generate(
            GenerationRequest(query: "q", model: "big", temperature: 0, maxTokens: 9, seed: 7), onDelta: nil)
        #expect(server.requests.first?.json?["model"] == nil)
        let body = try #require(server.requests.last?.json)
        #expect(body["model"]?.string == "big")
        #expect(body["temperature"]?.double == 0)
        #expect(body["seed"]?.int == 7)
        #expect(body["max_tokens"]?.int == 9)
        #expect(server.requests.last?.head.lowercased().contains("authorization") == false)
    }

    @Test func withoutUsageTokensAreEstimatedAndTheModelIsTheOneAskedFor() async throws {
        let server = try FakeServer { _ in
            [.answer(200, #"{"choices":[{"message":{"content":"four four"},"finish_reason":"stop"}]}"#)]
        }
        defer { server.stop() }
        let answer = try await chatModel(server).generate(GenerationRequest(query: "q"), onDelta: nil)
        #expect(answer.model == "small")
        #expect(answer.usage.completionTokens == 3)
        #expect(answer.usage.promptTokens > 50)
    }

    @Test(
        arguments: [
            (400, .modelRejected), (413, .modelRejected), (422, .modelRejected), (401, .modelUnavailable),
            (403, .modelRejected),
            (404, .modelUnavailable), (405, .modelUnavailable), (408, .modelTimeout), (429, .rateLimited),
            (302, .modelUnavailable),
            (204, .modelUnavailable), (418, .modelUnavailable), (500, .modelUnavailable), (501, .modelUnavailable),
            (502, .modelUnavailable),
            (503, .modelUnavailable), (504, .modelUnavailable), (529, .modelUnavailable),
        ] as [(Int, ErrorCode)])
    func everyStatusHasItsCode(_ status: Int, _ code: ErrorCode) async throws {
        let server = try FakeServer { _ in
            status == 204
                ? [.send("HTTP/1.1 204 X\r\n\r\n")]
                : [.answer(status, #"{"error":{"message":"no such luck","code":1}}"#)]
        }
        defer { server.stop() }
        let model = try chatModel(server, apiKey: "sk-secret")
        for deltas in [nil, Deltas()] {
            let failed = await failure { () throws(JobFailure) in
                try await model.generate(GenerationRequest(query: "q"), onDelta: deltas?.handler)
            }
            #expect(failed?.code == code)
            #expect(failed?.message.contains("\(status)") == true)
            if status != 204 { #expect(failed?.message.contains("no such luck") == true) }
            #expect(deltas?.all.isEmpty ?? true)
        }
    }

    @Test(arguments: [
        (
            401, #"{"error":{"message":"Incorrect API key provided: sk-secret"}}"#, ErrorCode.modelUnavailable,
            "model.api_key"
        ),
        (400, #"{"error":{"message":"API key not valid"}}"#, .modelUnavailable, "model.api_key"),
        (
            404, #"{"error":{"message":"File Not Found","type":"not_found_error","code":404}}"#, .modelUnavailable,
            "model.url"
        ),
        (404, #"{"error":{"message":"gone","code":"model_not_found"}}"#, .modelRejected, "gone"),
        (
            404, #"{"object":"error","message":"The model `x` does not exist.","code":404}"#, .modelRejected,
            "does not exist"
        ),
        (404, #"{"error":"model 'x' not found, try pulling it first"}"#, .modelRejected, "pulling"),
        (422, #"{"detail":[{"msg":"field required"}]}"#, .modelRejected, "field required"),
        (502, "<html><body>Bad Gateway</body></html>", .modelUnavailable, "502"),
        (500, "plain\nwords", .modelUnavailable, "plain words"),
    ])
    func theServersWordsDecideAndAreQuoted(_ status: Int, _ body: String, _ code: ErrorCode, _ says: String)
        async throws
    {
        let server = try FakeServer { _ in [.answer(status, body)] }
        defer { server.stop() }
        let model = try chatModel(server, apiKey: "sk-secret")
        let failed = await failure { () throws(JobFailure) in
            try await model.generate(GenerationRequest(query: "q"), onDelta: nil)
        }
        #expect(failed?.code == code)
        #expect(failed?.message.contains(says) == true)
        #expect(failed?.message.contains("sk-secret") == false)
        #expect(failed?.message.contains("<html>") == false)
    }

    @Test func quotedMessagesAreShortAndWithoutTheQuestion() async throws {
        let question = "my private question"
        let server = try FakeServer { _ in
            [.answer(400, #"{"error":{"message":"bad: \#(question) \#(String(repeating: "x", count: 5000))"}}"#)]
        }
        defer { server.stop() }
        let model = try chatModel(server)
        let failed = await failure { () throws(JobFailure) in
            try await model.generate(GenerationRequest(query: question), onDelta: nil)
        }
        #expect(failed?.message.contains(question) == false)
        #expect((failed?.message.count ?? 999) < 400)
    }

    @Test(
        arguments: [
            ("Retry-After: 7\r\n", Duration.seconds(7)),
            ("retry-after-ms: 1500\r\nRetry-After: 9\r\n", .milliseconds(1500)),
            ("Retry-After: 0.5\r\n", .milliseconds(500)), ("Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n", .zero),
            ("Retry-After: 99999999\r\n", .seconds(86400)),
            ("x-ratelimit-reset-tokens: 1m2s\r\nx-ratelimit-reset-requests: 20ms\r\n", .seconds(62)),
            ("Retry-After: soon\r\n", nil), ("", nil),
        ] as [(String, Duration?)])
    func theServicesWishForTimeIsKept(_ headers: String, _ wait: Duration?) async throws {
        let server = try FakeServer { _ in [.answer(429, "{}", headers: headers)] }
        defer { server.stop() }
        let model = try chatModel(server)
        let failed = await failure { () throws(JobFailure) in
            try await model.generate(GenerationRequest(query: "q"), onDelta: nil)
        }
        #expect(failed?.code == .rateLimited)
        #expect(failed?.retryAfter == wait)
    }

    @Test func datesAreReadAsSecondsFromNow() {
        let header = [HTTPHeader("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")]
        #expect(RetryAfter.read(header, isLimit: true, now: 784_111_777 - 30) == .seconds(30))
        for (name, value) in [
            ("retry-after", "1994-11-06T08:49:37Z"), ("X-RateLimit-Reset", "784111777000"),
            ("anthropic-ratelimit-requests-reset", "1994-11-06T08:49:37Z"), ("x-ratelimit-reset-requests", "30s"),
        ] {
            let headers = [HTTPHeader(name, value)]
            #expect(RetryAfter.read(headers, isLimit: true, now: 784_111_777 - 30) == .seconds(30), "\(name)")
        }
        for odd in ["Sun, 99 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49 GMT", "inf", "nan", "-5"] {
            #expect(RetryAfter.read([HTTPHeader("retry-after", odd)], isLimit: true) == nil)
        }
    }

    @Test(arguments: [
        "", "oops", "[]", "null", "{}", #"{"choices":[]}"#, #"{"choices":[{}]}"#, #"{"choices":"x"}"#,
        #"{"choices":[{"message":{"content":7},"finish_reason":"stop"}]}"#,
        #"{"choices":[{"message":{"content":""}}]}"#,
        #"{"choices":[{"message":{"content":null},"finish_reason":"tool_calls"}]}"#,
        #"{"error":{"message":"overloaded"}}"#,
        #"{"choices":[{"message":{"content":"cut off"#,
    ])
    func garbageIsAnUnavailableModel(_ body: String) async throws {
        let server = try FakeServer { _ in [.answer(200, body)] }
        defer { server.stop() }
        let model = try chatModel(server)
        for deltas in [nil, Deltas()] {
            let failed = await failure { () throws(JobFailure) in
                try await model.generate(GenerationRequest(query: "q"), onDelta: deltas?.handler)
            }
            #expect(failed?.code == .modelUnavailable)
        }
    }

    @Test func aContentFilterIsARejection() async throws {
        let server = try FakeServer { _ in
            [.answer(200, #"{"choices":[{"message":{"content":"half"},"finish_reason":"content_filter"}]}"#)]
        }
        defer { server.stop() }
        let model = try chatModel(server)
        let failed = await failure { () throws(JobFailure) in
            try await model.generate(GenerationRequest(query: "q"), onDelta: nil)
        }
        #expect(failed?.code == .modelRejected)
    }

    @Test func anAnswerBeyondEightMegabytesIsRefused() async throws {
        let server = try FakeServer { _ in [.answer(200, String(repeating: " ", count: 9 << 20) + Self.good)] }
        defer { server.stop() }
        let model = try chatModel(server)
        for deltas in [nil, Deltas()] {
            let failed = await failure { () throws(JobFailure) in
                try await model.generate(GenerationRequest(query: "q"), onDelta: deltas?.handler)
            }
            #expect(failed?.code == .modelUnavailable && failed?.isFinal == true)
        }
    }

    @Test func nobodyListeningAndClosedConnectionsAreUnavailable() async throws {
        let server = try FakeServer { _ in [.close] }
        let model = try chatModel(server)
        let closed = await failure { () throws(JobFailure) in
            try await model.generate(GenerationRequest(query: "q"), onDelta: nil)
        }
        #expect(closed?.code == .modelUnavailable)
        #expect(closed?.blame == .job, "it may be this prompt's doing")
        let nobody = try ChatCompletionsModel(baseURL: "http://127.0.0.1:1/v1", http: testClient)
        let refused = await failure { () throws(JobFailure) in
            try await nobody.generate(GenerationRequest(query: "q"), onDelta: nil)
        }
        #expect(refused?.code == .modelUnavailable)
        #expect(refused?.blame == .absence)
        // Nothing is sent before the handshake is done.
        let secure = try ChatCompletionsModel(
            baseURL: server.url.replacing("http://", with: "https://"), http: testClient)
        let unshaken = await failure { () throws(JobFailure) in
            try await secure.generate(GenerationRequest(query: "q"), onDelta: nil)
        }
        #expect(unshaken?.code == .modelUnavailable)
        #expect(unshaken?.blame == .absence)
        server.stop()
    }

    @Test(arguments: [false, true]) func aSilentServerIsATimeout(_ streams: Bool) async throws {
        let server = try FakeServer { _ in [.hold] }
        defer { server.stop() }
        let model = try chatModel(server, behaviour: ChatBehaviour(alwaysStreams: streams))
        let failed = await failure { () throws(JobFailure) in
            try await model.generate(GenerationRequest(query: "q", timeout: .milliseconds(80)), onDelta: nil)
        }
        #expect(failed?.code == .modelTimeout)
        #expect(await eventually { server.abandoned == 1 })
        let none = await failure { () throws(JobFailure) in
            try await model.generate(GenerationRequest(query: "q", timeout: .zero), onDelta: nil)
        }
        #expect(none?.code == .modelTimeout)
        #expect(server.requests.count == 1)
    }

    /// Whichever of its times is up first, nothing was sent.
    @Test(arguments: [false, true]) func aServerThatNeverAcceptsIsAbsent(_ streams: Bool) async throws {
        let hole = try BlackHole()
        defer { hole.close() }
        let model = try ChatCompletionsModel(baseURL: hole.url, http: testClient)
        let failed = await failure { () throws(JobFailure) in
            try await model.generate(
                GenerationRequest(query: "q", timeout: .milliseconds(300)), onDelta: streams ? Deltas().handler : nil)
        }
        #expect(failed?.code == .modelUnavailable)
        #expect(failed?.blame == .absence)
    }

    @Test(arguments: [("length", Reply.FinishReason.length), ("MAX_TOKENS", .length), ("stop", .stop), ("odd", .stop)])
    func anAnswersEndIsSaidInTheContractsWords(_ word: String, _ reason: Reply.FinishReason) async throws {
        let server = try FakeServer { _ in
            [.answer(200, #"{"choices":[{"message":{"content":"Tues"},"finish_reason":"\#(word)"}]}"#)]
        }
        defer { server.stop() }
        let answer = try await chatModel(server).generate(GenerationRequest(query: "q"), onDelta: nil)
        #expect(answer.finishReason == reason)
    }

    @Test(arguments: [false, true]) func cancellingAbortsTheTransfer(_ streams: Bool) async throws {
        let server = try FakeServer { _ in streams ? [.streamHead, .chunk(": ping\n\n"), .hold] : [.hold] }
        defer { server.stop() }
        let model = try chatModel(server, behaviour: ChatBehaviour(alwaysStreams: streams))
        let task = Task {
            await failure { () throws(JobFailure) in
                try await model.generate(GenerationRequest(query: "q"), onDelta: nil)
            }
        }
        #expect(await eventually { server.requests.count == 1 })
        task.cancel()
        #expect(await task.value?.code == .modelUnavailable)
        #expect(await eventually { server.abandoned == 1 })
    }
}
