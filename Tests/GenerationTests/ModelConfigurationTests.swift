import ChatJobs
import Foundation
import ParleyJSON
import Testing

@testable import Generation

@Suite struct ModelConfigurationTests {
    @Test func theURLNamesTheModel() throws {
        #expect(try makeModel(url: "builtin:extractive", http: testClient) is ExtractiveModel)
        #expect(try makeModel(url: "builtin:echo", http: testClient) is EchoModel)
        let model = try #require(
            try makeModel(url: "https://host/v1/", name: "", http: testClient) as? ChatCompletionsModel)
        #expect(model.completionsURL.string == "https://host/v1/chat/completions")
        #expect(model.name == nil)
    }

    @Test(arguments: ["builtin:magic", "", "host:80/v1", "ftp://host", "http://"])
    func aURLThatNamesNothingIsRefused(_ url: String) {
        let error = #expect(throws: GenerationConfigurationError.self) { _ = try makeModel(url: url, http: testClient) }
        #expect(error?.key == "model.url")
        #expect(error?.message.contains("builtin:extractive") == true)
    }

    @Test func aKeyThatCannotBeSentIsRefusedWithoutShowingIt() {
        let error = #expect(throws: GenerationConfigurationError.self) {
            _ = try makeModel(url: "http://h/v1", apiKey: "sk-1\n", http: testClient)
        }
        #expect(error?.key == "model.api_key")
        #expect(error?.message.contains("sk-1") == false)
    }

    @Test func checkLooksTheModelUp() async throws {
        let server = try FakeServer { _ in [.answer(200, #"{"data":[{"id":"small"},{"id":"big"}]}"#)] }
        defer { server.stop() }
        #expect(try await chatModel(server).check() == nil)
        #expect(server.requests.map(\.path) == ["/v1/models"])
    }

    @Test func checkAsksTheModelWhenTheListDoesNotSettleIt() async throws {
        let server = try FakeServer { request in
            request.path == "/v1/models"
                ? [.answer(200, #"{"data":[{"id":"big"}]}"#)]
                : request.json?["model"]?.string == "alias"
                    ? [.answer(200, ChatCompletionsTests.good)]
                    : [.answer(404, #"{"error":{"code":"model_not_found"}}"#)]
        }
        defer { server.stop() }
        #expect(try await chatModel(server, name: "alias").check() == nil)
        let said = try await chatModel(server, name: "wrong").check()
        #expect(said?.contains("model.name is \"wrong\"") == true)
        #expect(said?.contains("big") == true)
        #expect(server.requests.last?.json?["max_tokens"]?.int == 1)
    }

    @Test func checkSaysWhatIsWrong() async throws {
        let refusing = try FakeServer { _ in [.answer(401, "{}")] }
        defer { refusing.stop() }
        #expect(try await chatModel(refusing).check()?.contains("set model.api_key") == true)
        #expect(
            try await chatModel(refusing, apiKey: "sk-x").check()?.contains("refuses the key in model.api_key") == true)
        let lost = try FakeServer { _ in [.answer(404, "{}")] }
        defer { lost.stop() }
        #expect(try await chatModel(lost).check()?.contains("model.url") == true)
        let nobody = try ChatCompletionsModel(baseURL: "http://127.0.0.1:1/v1", http: testClient)
        #expect(await nobody.check()?.contains("nothing answers at http://127.0.0.1:1") == true)
    }
}

/// Against a real OpenAI-compatible server, whose base URL (ending in `/v1`) is in `PARLEY_TEST_LLM_URL`.
@Suite(.enabled(if: ProcessInfo.processInfo.environment["PARLEY_TEST_LLM_URL"] != nil))
struct RealModelTests {
    private let url = ProcessInfo.processInfo.environment["PARLEY_TEST_LLM_URL"] ?? ""
    private let request = GenerationRequest(
        query: "Explain in three sentences how I return a parcel.",
        passages: [passage("You can return parcels within 30 days.", title: "Returns")], maxTokens: 24)

    @Test func answersWholeAndStreamed() async throws {
        let model = try makeModel(url: url, http: testClient)
        #expect(await model.check() == nil)
        let whole = try await model.generate(request, onDelta: nil)
        #expect(!whole.answer.isEmpty)
        #expect(whole.usage.promptTokens > 20)
        #expect(whole.usage.completionTokens > 0)
        let deltas = Deltas()
        let streamed = try await model.generate(request, onDelta: deltas.handler)
        #expect(deltas.text == streamed.answer)
        #expect(deltas.all.count > 1)
        #expect(streamed.usage.promptTokens > 20)
    }

    @Test func refusesWhatIsTooLongAndMayBeCancelled() async throws {
        let model = try makeModel(url: url, behaviour: ChatBehaviour(alwaysStreams: true), http: testClient)
        var tooLong = request
        tooLong.query = String(repeating: "word ", count: 200_000)
        let refused = await failure { [tooLong] () throws(JobFailure) in try await model.generate(tooLong, onDelta: nil)
        }
        #expect(refused?.code == .modelRejected)
        var quick = request
        quick.timeout = .milliseconds(10)
        let late = await failure { [quick] () throws(JobFailure) in try await model.generate(quick, onDelta: nil) }
        #expect(late?.code == .modelTimeout)
        var long = request
        long.maxTokens = 2000
        let task = Task { [long] in
            await failure { () throws(JobFailure) in try await model.generate(long, onDelta: nil) }
        }
        #expect(await eventually { await testClient.inFlight > 0 })
        task.cancel()
        #expect(await task.value?.code == .modelUnavailable)
    }
}
