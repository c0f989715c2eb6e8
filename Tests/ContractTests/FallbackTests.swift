import ParleyJSON
import TestSupport
import Testing

/// `model.fallbacks`: another model answers while the first is away.
@Suite(.enabled(if: Surroundings.areComplete)) struct FallbackTests {
    private static func answer(_ model: String) -> String {
        #"{"model":"\#(model)","choices":[{"index":0,"message":{"role":"assistant","content":"I am \#(model)"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":3}}"#
    }

    private func server(_ model: String, status: Int = 200) async throws -> ScriptedServer {
        try await ScriptedServer { request in
            guard request.isPost else { return (200, #"{"data":[{"id":"\#(model)"}]}"#) }
            return status == 200 ? (200, Self.answer(model)) : (status, #"{"error":{"message":"no"}}"#)
        }
    }

    /// An address at which nobody answers.
    private static let nowhere = "http://127.0.0.1:1/v1"

    @Test func jobsAreAnsweredByTheNextModelThatIsThere() async throws {
        let broken = try await server("broken", status: 500)
        let second = try await server("second")
        let worker = try await Worker.start([
            "model.url": Self.nowhere, "model.name": "first",
            "model.fallbacks": "\(broken.url)/v1|third, \(second.url)/v1|second",
        ])
        try await Producer.with { producer in
            // More than it takes to know that the first is away: no job is put aside.
            for number in 0..<25 {
                let reply = try await producer.ask(
                    #"{"query":"question \#(number)","options":{"model":"mine"}}"#, of: worker)
                let answer = try reply.json["answer"]?.string
                #expect(answer == "I am second")
                #expect(try reply.json["model"]?.string == "second")
                #expect(try reply.json["attempts"]?.int == 1)
            }
            #expect(try await worker.metric("parley_fallbacks_total") == 25)
            #expect(try await worker.metric("parley_model_retries_total") == nil)
            let asked = second.requests.filter(\.isPost).compactMap { try? JSONDocument($0.body).root["model"]?.string }
            #expect(asked.allSatisfy { $0 == "second" } && asked.count == 25)
            #expect(try await producer.isEmpty(worker.dead))
        }
        #expect(try await worker.stop() == 0)
    }

    @Test func aRefusedPromptIsAskedOfNobodyElse() async throws {
        let first = try await server("first", status: 400)
        let second = try await server("second")
        let worker = try await Worker.start([
            "model.url": first.url + "/v1", "model.fallbacks": second.url + "/v1|second",
        ])
        try await Producer.with { producer in
            let reply = try await producer.ask(#"{"query":"an evil question"}"#, of: worker)
            #expect(try reply.errorCode == "model_rejected")
            #expect(second.requests.filter(\.isPost).isEmpty)
        }
        #expect(try await worker.stop() == 0)
    }

    @Test func aStreamComesFromTheNextModelToo() async throws {
        let second = try await ModelServer()
        let worker = try await Worker.start(["model.url": Self.nowhere, "model.fallbacks": second.url])
        try await Producer.with { producer in
            try await producer.publish(#"{"query":"tell me","stream":true}"#, to: worker, id: unique())
            var text = ""
            while true {
                let message = try await producer.nextReply()
                guard message.properties.type == "chat.chunk" else {
                    let answer = try message.answer
                    #expect(answer == "one two three" && text == "one two three")
                    break
                }
                text += try message.json["delta"]?.string ?? ""
            }
        }
        #expect(try await worker.stop() == 0)
    }

    @Test func anAgentHasItsOwn() async throws {
        let (second, third) = (try await server("second"), try await server("third"))
        let worker = try await Worker.start([
            "model.url": Self.nowhere, "model.fallbacks": second.url + "/v1|second",
            "agents.presale.model.fallbacks": third.url + "/v1|third", "agents.aftersale.model.timeout": "30s",
        ])
        try await Producer.with { producer in
            for (agent, model) in [("presale", "third"), ("aftersale", "second")] {
                let reply = try await producer.ask(#"{"query":"which one?","agent":"\#(agent)"}"#, of: worker)
                #expect(try reply.json["model"]?.string == model)
            }
            #expect(try await worker.metric(#"parley_fallbacks_total{agent="presale"}"#) == 1)
        }
        #expect(try await worker.stop() == 0)
    }

    @Test func checkLooksAtEach() async throws {
        let second = try await server("second")
        let settings = [
            "model.url": "builtin:echo", "model.fallbacks": "\(second.url)/v1|second, \(Self.nowhere)|gone",
        ]
        let outcome = try await parley("check", "--json", settings: settings)
        #expect(outcome.status == 3)
        let checks = try outcome.lines.first?["checks"]?.elements ?? []
        func result(_ name: String) -> String? {
            checks.first { $0["name"]?.string == name }?["outcome"]?.string
        }
        #expect(result("model") == "ok" && result("model:fallback.1") == "ok")
        #expect(result("model:fallback.2") == "unreachable")
        let detail = checks.last { $0["name"]?.string == "model:fallback.2" }?["detail"]?.string ?? ""
        #expect(detail.hasPrefix("model.fallbacks, entry 2 (\(Self.nowhere))"), "\(detail)")
    }
}
