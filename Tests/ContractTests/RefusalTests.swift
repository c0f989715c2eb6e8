import ParleyJSON
import TestSupport
import Testing

/// `retrieval.min_score`, `retrieval.empty` and `prompt.refusal`: no passages, no model call.
@Suite(.enabled(if: Surroundings.areComplete)) struct RefusalTests {
    private func prepared(_ model: ModelServer) async throws -> (Folder, [String: String]) {
        let folder = try Folder()
        try folder.write("returns.md", "# Returns\n\nA damaged laptop can be returned within 30 days.\n")
        let settings = [
            "retrieval.mode": "auto", "model.url": model.url, "vectors.url": "file:\(folder.path)/k.index",
            "retrieval.empty": "refuse",
        ]
        #expect(try await parley("ingest", "\(folder.path)/returns.md", settings: settings).status == 0)
        return (folder, settings)
    }

    @Test func withoutPassagesTheModelIsNotAsked() async throws {
        let model = try await ModelServer()
        let (folder, settings) = try await prepared(model)
        let worker = try await Worker.start(
            settings.merging(["prompt.refusal": "Please call us.", "agents.strict.retrieval.min_score": "1"]) { $1 })
        try await Producer.with { producer in
            let refused = try await producer.ask(
                #"{"query":"Kilimanjaro?","options":{"retrieve":"always"}}"#, of: worker)
            #expect(try refused.status == "succeeded" && refused.answer == "Please call us.")
            #expect(try refused.json["usage"]?["calls"]?.int == 0 && refused.json["usage"]?["prompt_tokens"]?.int == 0)
            #expect(try refused.json["sources"]?.elements.isEmpty == true)
            #expect(try refused.json["cited"]?.elements.isEmpty == true)
            #expect(model.questions.isEmpty)
            let known = #""query":"Can I return a damaged laptop?""#
            let strict = try await producer.ask("{\(known),\"agent\":\"strict\"}", of: worker)
            #expect(try strict.answer == "Please call us.", "its min_score is higher than any passage's")
            let answered = try await producer.ask("{\(known)}", of: worker)
            #expect(try answered.json["sources"]?.count == 1 && model.questions.count == 1)
            // The stand-in cites nothing.
            #expect(try await worker.metric("parley_answers_ungrounded_total") == 1)
            let never = try await producer.ask(
                #"{"query":"Kilimanjaro?","options":{"retrieve":"never"}}"#, of: worker)
            #expect(try never.status == "succeeded" && never.answer != "Please call us." && model.questions.count == 2)
            #expect(try await worker.metric("parley_answers_refused_total") == 1)
            #expect(try await worker.metric(#"parley_answers_refused_total{agent="strict"}"#) == 1)
        }
        #expect(try await worker.stop() == 0)
        _ = folder
    }

    @Test func theRefusalIsInTheQuestionsLanguage() async throws {
        let model = try await ModelServer()
        let (folder, settings) = try await prepared(model)
        let worker = try await Worker.start(settings)
        try await Producer.with { producer in
            let chinese = try await producer.ask(
                #"{"query":"法国的首都是哪里？","options":{"retrieve":"always"}}"#, of: worker)
            #expect(try chinese.answer == "知识库中没有找到相关内容。")
            let english = try await producer.ask(
                #"{"query":"Kilimanjaro?","options":{"retrieve":"always"}}"#, of: worker)
            #expect(try english.answer == "I could not find this in the knowledge base.")
            #expect(model.questions.isEmpty)
        }
        #expect(try await worker.stop() == 0)
        _ = folder
    }
}
