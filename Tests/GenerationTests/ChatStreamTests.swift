import ChatJobs
import ParleyHTTP
import ParleyJSON
import Testing

@testable import Generation

/// Streamed answers.
@Suite struct ChatStreamTests {
    /// As llama.cpp streams: a comment, null first content, usage in a chunk without choices.
    static let llama = """
        :

        data: {"choices":[{"finish_reason":null,"index":0,"delta":{"role":"assistant","content":null}}],"model":"small-1"}

        data: {"choices":[{"finish_reason":null,"index":0,"delta":{"content":"Hel"}}],"model":"small-1"}

        data: null

        : ping

        data: {"choices":[{"finish_reason":null,"index":0,"delta":{"content":"lo 你"}}],"model":"small-1"}

        data: {"choices":[{"finish_reason":null,"index":0,"delta":{"content":"好"}}],"model":"small-1"}

        data: {"choices":[{"finish_reason":"stop","index":0,"delta":{}}],"model":"small-1"}

        data: {"choices":[],"model":"small-1","usage":{"completion_tokens":3,"prompt_tokens":12,"total_tokens":15}}

        data: [DONE]


        """

    private func server(_ parts: [String], end: [FakeServer.Step] = [.streamEnd]) throws -> FakeServer {
        try FakeServer { _ in [.streamHead] + parts.map { .chunk($0) } + end }
    }

    private func failureCode(_ server: FakeServer, _ deltas: Deltas = Deltas()) async throws -> JobFailure? {
        let model = try chatModel(server)
        return await failure { () throws(JobFailure) in
            try await model.generate(GenerationRequest(query: "q"), onDelta: deltas.handler)
        }
    }

    /// What calls cost that come to no answer: as counted, else estimated; nothing where the call was refused.
    @Test(
        arguments: [
            ([FakeServer.Step.streamHead, .chunk(llamaBeginning), .close], 1, true),
            ([.streamHead, .close], 0, true),
            ([.close], 0, true),
            ([.answer(200, filtered)], 5, false),
            ([.answer(503, "{}")], nil, true),
            ([.answer(429, "{}")], nil, true),
            ([.answer(200, "<html>no model</html>")], nil, true),
        ] as [([FakeServer.Step], Int?, Bool)])
    func aCallThatComesToNoAnswerSaysWhatItCost(_ steps: [FakeServer.Step], _ tokens: Int?, _ isEstimated: Bool)
        async throws
    {
        let server = try FakeServer { _ in steps }
        defer { server.stop() }
        let call = try #require(try await failureCode(server)).call
        #expect(call?.usage.completionTokens == tokens)
        guard let call else { return }
        #expect(call.usage.isEstimated == isEstimated)
        #expect(call.usage.promptTokens > 0 && call.usage.calls == 1)
        #expect(call.model == (tokens == 1 ? "small-1" : "small"))
    }

    private static let llamaBeginning =
        #"data: {"choices":[{"finish_reason":null,"index":0,"delta":{"content":"Hel"}}],"model":"small-1"}"# + "\n\n"
    private static let filtered =
        #"{"choices":[{"finish_reason":"content_filter","message":{"content":""}}],"usage":{"prompt_tokens":9,"completion_tokens":5}}"#

    @Test func nobodyIsChargedForAServerThatIsNotThere() async throws {
        let server = try server([])
        server.stop()
        let failure = try #require(try await failureCode(server))
        #expect(failure.blame == .absence && failure.call == nil)
    }

    @Test func theAnswerArrivesInPiecesAndWhole() async throws {
        let server = try server([Self.llama])
        defer { server.stop() }
        let deltas = Deltas()
        let answer = try await chatModel(server).generate(GenerationRequest(query: "q"), onDelta: deltas.handler)
        #expect(
            answer
                == Generation(answer: "Hello 你好", model: "small-1", usage: Usage(promptTokens: 12, completionTokens: 3))
        )
        #expect(deltas.text == answer.answer)
        #expect(!deltas.all.contains(""))
        let body = try #require(server.requests.first?.json)
        #expect(body["stream"]?.bool == true)
        #expect(body["stream_options"]?["include_usage"]?.bool == true)
    }

    @Test func anyCutBetweenChunksGivesTheSameAnswer() throws {
        let bytes = Array(Self.llama.utf8)
        let failures = FailureMapping(url: try .init("http://h/v1"), apiKey: nil, query: "")
        for size in 1...200 {
            var reader = AnswerReader(failures)
            var text = ""
            for start in stride(from: 0, to: bytes.count, by: size) {
                text += try reader.feed(Array(bytes[start..<min(start + size, bytes.count)]))
            }
            text += try reader.finish()
            #expect(text == "Hello 你好")
            #expect(reader.isDone)
            #expect(reader.answer.usage(of: []) == Usage(promptTokens: 12, completionTokens: 3))
        }
    }

    @Test func byteByByteOverTheWire() async throws {
        let text = Self.llama
        let steps = text.unicodeScalars.map { String($0) }
        let server = try server(steps)
        defer { server.stop() }
        let deltas = Deltas()
        let answer = try await chatModel(server).generate(GenerationRequest(query: "q"), onDelta: deltas.handler)
        #expect(answer.answer == "Hello 你好")
        #expect(deltas.text == "Hello 你好")
    }

    @Test func alwaysStreamStreamsForJobsThatDoNot() async throws {
        let server = try server([Self.llama])
        defer { server.stop() }
        let model = try chatModel(server, behaviour: ChatBehaviour(alwaysStreams: true))
        #expect(try await model.generate(GenerationRequest(query: "q"), onDelta: nil).answer == "Hello 你好")
        #expect(server.requests.first?.json?["stream"]?.bool == true)
    }

    @Test func aConnectionServesTheNextStream() async throws {
        let server = try server([Self.llama], end: [.pause, .streamEnd])
        defer { server.stop() }
        let client = makeTestClient()
        let model = try chatModel(server, http: client)
        for _ in 1...5 {
            _ = try await model.generate(GenerationRequest(query: "q"), onDelta: Deltas().handler)
            #expect(await eventually { await client.inFlight == 0 })
        }
        #expect(server.connections == 1)
    }

    @Test func theAnswerDoesNotWaitForAServerThatIsSlowToClose() async throws {
        let server = try server([Self.llama], end: [.hold])
        defer { server.stop() }
        let answer = try await chatModel(server).generate(
            GenerationRequest(query: "q", timeout: .seconds(300)), onDelta: Deltas().handler)
        #expect(answer.answer == "Hello 你好")
        #expect(server.abandoned == 0)
    }

    @Test func withoutUsageTokensAreEstimated() async throws {
        let server = try server([#"data: {"choices":[{"delta":{"content":"退货 ok"},"finish_reason":"stop"}]}"# + "\n\n"])
        defer { server.stop() }
        let answer = try await chatModel(server).generate(GenerationRequest(query: "q"), onDelta: Deltas().handler)
        #expect(answer.usage.completionTokens == 3)
        #expect(answer.model == "small")
    }

    @Test func aServerThatDoesNotStreamIsUnderstood() async throws {
        let server = try FakeServer { _ in [.answer(200, ChatCompletionsTests.good)] }
        defer { server.stop() }
        let deltas = Deltas()
        let answer = try await chatModel(server).generate(GenerationRequest(query: "q"), onDelta: deltas.handler)
        #expect(answer.answer == "Hello\n你好")
        #expect(deltas.all == ["Hello\n你好"])
    }

    @Test func anErrorInTheStreamIsAnUnavailableModel() async throws {
        let first = #"data: {"choices":[{"delta":{"content":"Hel"}}]}"# + "\n\n"
        for event in [
            #"data: {"error":{"message":"out of memory","code":500}}"#, #"data: {"error":"out of memory"}"#,
            "event: error\ndata: {\"message\":\"out of memory\"}",
        ] {
            let server = try server([first, event + "\n\n"])
            defer { server.stop() }
            let failed = try await failureCode(server)
            #expect(failed?.code == .modelUnavailable)
            #expect(failed?.message.contains("out of memory") == true)
        }
    }

    @Test func aStreamThatBreaksOffIsAnUnavailableModel() async throws {
        let first = #"data: {"choices":[{"delta":{"content":"Hel"}}]}"# + "\n\n"
        for end in [[FakeServer.Step.close], [.streamEnd]] {
            let server = try server([first], end: end)
            defer { server.stop() }
            let deltas = Deltas()
            #expect(try await failureCode(server, deltas)?.code == .modelUnavailable)
            // A connection that breaks may take with it what was not read yet.
            #expect("Hel".hasPrefix(deltas.text))
        }
    }

    @Test(arguments: ["data: {oops", "data: {\"choices\":[{\"delta\":{\"content\":7}}]}", "data: [DONE]"])
    func garbageInTheStreamIsAnUnavailableModel(_ event: String) async throws {
        let server = try server([event + "\n\n"])
        defer { server.stop() }
        #expect(try await failureCode(server)?.code == .modelUnavailable)
    }

    @Test func aContentFilterEndsInARejection() async throws {
        let server = try server([
            #"data: {"choices":[{"delta":{},"finish_reason":"content_filter"}]}"# + "\n\ndata: [DONE]\n\n"
        ])
        defer { server.stop() }
        #expect(try await failureCode(server)?.code == .modelRejected)
    }

    @Test func anEndlessStreamIsCutOff() async throws {
        let event = #"data: {"choices":[{"delta":{"content":"\#(String(repeating: "x", count: 60_000))"}}]}"# + "\n\n"
        let server = try server(Array(repeating: event, count: 200))
        defer { server.stop() }
        #expect(try await failureCode(server)?.code == .modelUnavailable)
    }

    @Test func aTakerThatFailsAbortsTheTransfer() async throws {
        let first = #"data: {"choices":[{"delta":{"content":"Hel"}}]}"# + "\n\n"
        let server = try server([first], end: [.hold])
        defer { server.stop() }
        let model = try chatModel(server)
        let failed = await failure { () throws(JobFailure) in
            try await model.generate(
                GenerationRequest(query: "q"), onDelta: { _ in throw JobFailure(.revoked, "taken back") })
        }
        #expect(failed?.code == .revoked)
        #expect(await eventually { server.abandoned == 1 })
    }
}
