import ParleyJSON
import TestSupport
import Testing

/// Section 7: what is sent to a model, and what becomes of its thinking.
extension ContractTests {
    @Test func aDefaultThatTheModelRefusesCostsNoAttempt() async throws {
        let model = try await ChoosyModel { request in
            request["temperature"] == nil
                ? nil : (400, #"{"error":{"message":"temperature is not supported","param":"temperature"}}"#)
        }
        let worker = try await Worker.start(["model.url": model.url])
        try await Producer.with { producer in
            for _ in 1...2 {
                let reply = try await producer.ask(#"{"query":"When?"}"#, of: worker)
                #expect(try reply.json["answer"]?.string == "Tuesday.")
                #expect(try reply.json["attempts"]?.int == 1)
            }
            #expect(model.requests.count == 3)
            let wish = #"{"query":"When?","options":{"temperature":0.9}}"#
            let failed = try await producer.ask(wish, of: worker)
            #expect(try failed.errorCode == "model_rejected")
            #expect(try failed.json["error"]?["message"]?.string?.contains("temperature is not supported") == true)
        }
        #expect(try await worker.stop() == 0)
    }

    @Test func theOperatorDecidesWhatIsSentAndWhetherThinkingIsKept() async throws {
        let model = try await ChoosyModel { _ in nil }
        let worker = try await Worker.start([
            "model.url": model.url, "model.omit": "seed, temperature", "model.stream": "always",
            "model.reasoning": "keep",
        ])
        try await Producer.with { producer in
            let reply = try await producer.ask(#"{"query":"When?","options":{"seed":7}}"#, of: worker)
            #expect(try reply.json["answer"]?.string == "<think>hm</think>Tuesday.")
            let request = try #require(model.requests.first)
            #expect(request["seed"] == nil)
            #expect(request["temperature"] == nil)
            #expect(request["stream"]?.bool == true)
        }
        #expect(try await worker.stop() == 0)
    }

    @Test func chunksHoldNoThinking() async throws {
        let model = try await ChoosyModel { _ in nil }
        let worker = try await Worker.start(["model.url": model.url])
        try await Producer.with { producer in
            try await producer.publish(#"{"query":"When?","stream":true}"#, to: worker, id: unique())
            var text = ""
            var last = try await producer.nextReply()
            while last.properties.type == "chat.chunk" {
                text += try last.json["delta"]?.string ?? ""
                last = try await producer.nextReply()
            }
            #expect(text == "Tuesday.")
            #expect(try last.json["answer"]?.string == "Tuesday.")
        }
        #expect(try await worker.stop() == 0)
    }
}
