import ChatJobs
import Logging
import ParleyHTTP
import ParleyJSON
import Synchronization
import Testing

@testable import Generation

/// What servers refuse of a request, and what becomes of it.
@Suite struct ParameterTests {
    /// A server that refuses `parameter` by name, and answers well without it.
    private func server(refusing parameter: String, _ body: String? = nil, status: Int = 400) throws -> FakeServer {
        let refusal =
            body
            ?? #"{"error":{"message":"Unsupported parameter: '\#(parameter)'","param":"\#(parameter)","code":"unsupported_parameter"}}"#
        return try FakeServer { request in
            request.json?[parameter] != nil ? [.answer(status, refusal)] : RecordedAnswer.good(request)
        }
    }

    @Test(arguments: ["temperature", "seed"]) func aRefusedDefaultIsLeftOutAndRememberedForItsModel(_ name: String)
        async throws
    {
        let server = try server(refusing: name)
        defer { server.stop() }
        let model = try chatModel(server)
        for _ in 1...3 {
            #expect(try await model.generate(GenerationRequest(query: "q"), onDelta: nil).answer == "Tuesday.")
        }
        #expect(server.requests.map { $0.json?[name] != nil } == [true, false, false, false])
        // Another model is another matter.
        _ = try await model.generate(GenerationRequest(query: "q", model: "big"), onDelta: nil)
        #expect(server.requests.map { $0.json?[name] != nil }.suffix(2) == [true, false])
        for other in ["temperature", "seed"] where other != name {
            #expect(server.requests.allSatisfy { $0.json?[other] != nil })
        }
    }

    @Test func whatAJobAsksForIsSentAndItsRefusalIsTheJobs() async throws {
        let server = try server(refusing: "temperature")
        defer { server.stop() }
        let model = try chatModel(server)
        _ = try await model.generate(GenerationRequest(query: "q"), onDelta: nil)
        let failed = await failure { () throws(JobFailure) in
            try await model.generate(GenerationRequest(query: "q", temperature: 0.9), onDelta: nil)
        }
        #expect(failed?.code == .modelRejected)
        #expect(failed?.message.contains("Unsupported parameter: 'temperature'") == true)
        #expect(server.requests.count == 3)
        #expect(server.requests.last?.json?["temperature"]?.double == 0.9)
    }

    @Test func theLimitOfTokensIsRenamedAndKept() async throws {
        let body =
            #"{"error":{"message":"Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.","param":"max_tokens"}}"#
        let server = try server(refusing: "max_tokens", body)
        defer { server.stop() }
        let model = try chatModel(server)
        for _ in 1...2 { _ = try await model.generate(GenerationRequest(query: "q", maxTokens: 7), onDelta: nil) }
        #expect(server.requests.map { $0.json?["max_completion_tokens"]?.int } == [nil, 7, 7])
        #expect(server.requests.count == 3)
    }

    @Test func aLimitThatNoNameMendsIsRejectedAfterOneMore() async throws {
        let server = try FakeServer { request in
            let name = request.json?["max_tokens"] != nil ? "max_tokens" : "max_completion_tokens"
            return [
                .answer(422, #"{"detail":[{"type":"extra_forbidden","loc":["body","\#(name)"],"msg":"Extra inputs"}]}"#)
            ]
        }
        defer { server.stop() }
        let model = try chatModel(server)
        let failed = await failure { () throws(JobFailure) in
            try await model.generate(GenerationRequest(query: "q", maxTokens: 7), onDelta: nil)
        }
        #expect(failed?.code == .modelRejected)
        #expect(server.requests.count == 2)
    }

    @Test func manyDefaultsAreRefusedOneAfterTheOther() async throws {
        let server = try FakeServer { request in
            for name in ["stream_options", "seed", "temperature"] where request.json?[name] != nil {
                return [.answer(400, #"{"error":{"message":"unknown field `\#(name)`"}}"#)]
            }
            return RecordedAnswer.good(request)
        }
        defer { server.stop() }
        let deltas = Deltas()
        let model = try chatModel(server)
        #expect(try await model.generate(GenerationRequest(query: "q"), onDelta: deltas.handler).answer == "Tuesday.")
        #expect(deltas.all == ["Tuesday."])
        #expect(server.requests.count == 4)
        _ = try await model.generate(GenerationRequest(query: "q"), onDelta: deltas.handler)
        #expect(server.requests.count == 5)
    }

    @Test func whatDidNotHelpIsNotRemembered() async throws {
        let server = try FakeServer { request in
            request.json?["seed"] != nil
                ? [.answer(400, #"{"error":{"message":"seed is broken"}}"#)]
                : [.answer(400, #"{"error":{"message":"the prompt is broken"}}"#)]
        }
        defer { server.stop() }
        let model = try chatModel(server)
        for _ in 1...2 {
            let failed = await failure { () throws(JobFailure) in
                try await model.generate(GenerationRequest(query: "q"), onDelta: nil)
            }
            #expect(failed?.message.contains("the prompt is broken") == true)
        }
        #expect(server.requests.map { $0.json?["seed"] != nil } == [true, false, true, false])
    }

    @Test func manyCallsAtOnceLearnTheSame() async throws {
        let server = try server(refusing: "seed")
        defer { server.stop() }
        let model = try chatModel(server)
        await withTaskGroup(of: String?.self) { group in
            for _ in 1...40 {
                group.addTask { try? await model.generate(GenerationRequest(query: "q"), onDelta: nil).answer }
            }
            for await answer in group { #expect(answer == "Tuesday.") }
        }
        let before = server.requests.count
        _ = try await model.generate(GenerationRequest(query: "q"), onDelta: nil)
        #expect(server.requests.count == before + 1)
    }

    @Test func aServerThatOnlyStreamsIsAskedToStreamFromThenOn() async throws {
        let server = try FakeServer { request in
            request.json?["stream"]?.bool == true
                ? RecordedAnswer.good(request)
                : [.answer(400, #"{"error":{"message":"This model only supports streaming"}}"#)]
        }
        defer { server.stop() }
        let model = try chatModel(server)
        for _ in 1...2 { _ = try await model.generate(GenerationRequest(query: "q"), onDelta: nil) }
        #expect(server.requests.map { $0.json?["stream"]?.bool } == [false, true, true])
    }

    @Test func aRefusalThatRepeatsTheWholePromptIsReadAllTheSame() async throws {
        let echo = String(repeating: "x", count: 300_000)
        let body =
            #"{"detail":[{"loc":["body","seed"],"msg":"Extra inputs are not permitted","input":"\#(echo)"}]}"#
        let server = try server(refusing: "seed", body, status: 422)
        defer { server.stop() }
        #expect(try await chatModel(server).generate(GenerationRequest(query: "q"), onDelta: nil).answer == "Tuesday.")
    }

    @Test func upstreamIsNoStream() async throws {
        let server = try FakeServer { _ in [.answer(400, #"{"error":{"message":"the upstream refused"}}"#)] }
        defer { server.stop() }
        let model = try chatModel(server)
        let failed = await failure { () throws(JobFailure) in
            try await model.generate(GenerationRequest(query: "q"), onDelta: nil)
        }
        #expect(failed?.code == .modelRejected)
        #expect(server.requests.count == 1)
    }

    @Test func whatTheOperatorOmitsIsNeverSent() async throws {
        let server = try FakeServer { RecordedAnswer.good($0) }
        defer { server.stop() }
        let model = try chatModel(server, behaviour: ChatBehaviour(omitted: Set(ChatParameter.allCases)))
        _ = try await model.generate(
            GenerationRequest(query: "q", temperature: 1, maxTokens: 5, seed: 3), onDelta: Deltas().handler)
        for parameter in ChatParameter.allCases { #expect(server.requests.last?.json?[parameter.rawValue] == nil) }
        #expect(server.requests.last?.json?["stream"]?.bool == true)
    }

    @Test func theSystemMessageIsFoldedWhereItsRoleIsUnknown() async throws {
        let server = try FakeServer { request in
            request.json?["messages"]?.elements.first?["role"]?.string == "system"
                ? [.answer(500, #"{"error":{"message":"System role not supported"}}"#)] : RecordedAnswer.good(request)
        }
        defer { server.stop() }
        _ = try await chatModel(server).generate(GenerationRequest(query: "q"), onDelta: nil)
        let messages = try #require(server.requests.last?.json?["messages"]?.elements)
        #expect(messages.map { $0["role"]?.string } == ["user"])
        #expect(messages.first?["content"]?.string?.hasPrefix("You are a customer service assistant.") == true)
        #expect(messages.first?["content"]?.string?.hasSuffix("Question: q") == true)
    }

    @Test func theCheckTakesPartAndLetsAModelThink() async throws {
        let server = try FakeServer { request in
            if request.path == "/v1/models" { return [.answer(404, "{}")] }
            if request.json?["max_tokens"] != nil {
                return [
                    .answer(400, #"{"error":{"message":"Use 'max_completion_tokens' instead","param":"max_tokens"}}"#)
                ]
            }
            return [.answer(200, #"{"choices":[{"message":{"content":""},"finish_reason":"length"}]}"#)]
        }
        defer { server.stop() }
        #expect(try await chatModel(server).check() == nil)
        #expect(server.requests.last?.json?["max_completion_tokens"]?.int == 1)
    }

    @Test func timeForAllOfACallIsTheCalls() async throws {
        let server = try FakeServer { request in
            request.json?["seed"] != nil ? [.pause, .answer(400, #"{"error":{"message":"seed?"}}"#)] : [.hold]
        }
        defer { server.stop() }
        let model = try chatModel(server)
        let failed = await failure { () throws(JobFailure) in
            try await model.generate(GenerationRequest(query: "q", timeout: .milliseconds(500)), onDelta: nil)
        }
        #expect(failed?.code == .modelTimeout)
        #expect(server.requests.count <= 2)
    }

    @Test func anUnknownReasonIsLoggedOnce() async throws {
        let server = try FakeServer { _ in
            [.answer(200, #"{"choices":[{"message":{"content":"Tuesday."},"finish_reason":"enough"}]}"#)]
        }
        defer { server.stop() }
        let log = Log()
        let model = try chatModel(server, logger: Logger(label: "test", factory: { _ in log }))
        for _ in 1...3 { _ = try await model.generate(GenerationRequest(query: "my question"), onDelta: nil) }
        #expect(log.lines.count == 1)
        #expect(log.lines.first?.contains("enough") == true)
    }
}

/// Keeps what is logged at notice or above.
private struct Log: LogHandler {
    private final class Kept: Sendable {
        let lines = Mutex<[String]>([])
    }
    private let kept = Kept()
    var lines: [String] { kept.lines.withLock { $0 } }
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.notice
    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        kept.lines.withLock { $0.append("\(event.message) \(event.metadata ?? [:])") }
    }
}
