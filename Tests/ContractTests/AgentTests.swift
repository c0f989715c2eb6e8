import ParleyJSON
import TestSupport
import Testing

/// Agents are configuration: each with passages and a model of its own, and jobs find theirs.
@Suite(.enabled(if: Surroundings.areComplete)) struct AgentTests {
    private static let articles = [
        ("presale", "laptops.md", "# Laptops\n\nThe light laptop X2 suits students best.\n"),
        ("aftersale", "returns.md", "# Returns\n\nA damaged laptop can be returned within 30 days.\n"),
        ("logistics", "delivery.md", "# Delivery\n\nThe courier delivers a laptop within two days.\n"),
    ]

    private func settings(_ folder: Folder) -> [String: String] {
        var settings = [
            "retrieval.mode": "auto", "model.url": "builtin:extractive", "vectors.url": "file:\(folder.path)/all.index",
        ]
        for (agent, _, _) in Self.articles {
            settings["agents.\(agent).vectors.url"] = "file:\(folder.path)/\(agent).index"
        }
        return settings
    }

    /// The default agent only.
    private func alone(_ folder: Folder) -> [String: String] {
        settings(folder).filter { !$0.key.hasPrefix("agents.") }
    }

    /// A folder of articles and an index for each agent.
    private func ingest(_ folder: Folder, _ settings: [String: String]) async throws {
        for (agent, name, text) in Self.articles {
            try folder.write(name, text)
            let outcome = try await parley(
                "ingest", "--agent", agent, "\(folder.path)/\(name)", "--json", settings: settings)
            #expect(outcome.status == 0, "\(outcome.errors)")
        }
    }

    @Test func eachAgentAnswersFromItsOwnPassages() async throws {
        let folder = try Folder()
        let settings = settings(folder)
        try await ingest(folder, settings)
        let worker = try await Worker.start(settings)
        try await Producer.with { producer in
            let question = #""query":"What about my laptop?""#
            for (agent, name, _) in Self.articles {
                let reply = try await producer.ask("{\(question),\"agent\":\"\(agent)\"}", of: worker)
                #expect(try reply.json["agent"]?.string == agent)
                let sources = try reply.json["sources"]?.elements.compactMap { $0["id"]?.string } ?? []
                #expect(sources.allSatisfy { $0.hasPrefix(name) } && !sources.isEmpty, "\(agent): \(sources)")
            }
            let routed = try await producer.ask(
                #"{"query":"When will the courier deliver the laptop that I ordered yesterday?"}"#, of: worker)
            #expect(try routed.json["agent"]?.string == "logistics")
            #expect(try routed.answer?.contains("two days") == true)
            let unknown = try await producer.ask("{\(question),\"agent\":\"billing\"}", of: worker)
            #expect(try unknown.json["agent"]?.string == "billing")
            #expect(try unknown.json["sources"]?.elements.isEmpty == true, "the default agent has no index")
            #expect(try await worker.metric(#"parley_questions_total{agent="logistics"}"#) == 2)
        }
        let found = try await parley("search", "--agent", "presale", "laptop", "--json", settings: settings)
        #expect(try found.lines.first?["results"]?.elements.first?["title"]?.string == "Laptops")
        let nobody = try await parley("search", "--agent", "billing", "laptop", settings: settings)
        #expect(nobody.status == 2)
        #expect(nobody.errors.contains("aftersale, logistics, presale"))
        #expect(try await worker.stop() == 0)
    }

    @Test func thanksCostNoRetrieval() async throws {
        let folder = try Folder()
        let model = try await ModelServer()
        let settings = alone(folder).merging(["model.url": model.url]) { $1 }
        try folder.write("returns.md", Self.articles[1].2)
        #expect(try await parley("ingest", folder.path + "/returns.md", settings: settings).status == 0)
        let worker = try await Worker.start(settings)
        try await Producer.with { producer in
            let thanks = #""query":"Thank you so much, have a nice day, and many more!""#
            let spared = try await producer.ask("{\(thanks)}", of: worker)
            #expect(try spared.json["sources"]?.elements.isEmpty == true)
            let always = try await producer.ask(#"{\#(thanks),"options":{"retrieve":"always"}}"#, of: worker)
            #expect(try always.json["sources"]?.elements.count == 1)
            #expect(try await worker.metric("parley_retrievals_spared_total") == 1)
        }
        #expect(try await worker.stop() == 0)
        let off = try await Worker.start(
            settings.merging(["routing.model": "off"]) { $1 })
        try await Producer.with { producer in
            let reply = try await producer.ask(
                #"{"query":"Thank you so much, have a nice day, and many more!"}"#, of: off)
            #expect(try reply.json["sources"]?.elements.count == 1)
        }
        #expect(try await off.stop() == 0)
    }

    @Test func aFollowUpIsSearchedForWithItsQuestion() async throws {
        let folder = try Folder()
        let settings = alone(folder)
        try folder.write("returns.md", Self.articles[1].2)
        #expect(try await parley("ingest", folder.path + "/returns.md", settings: settings).status == 0)
        let worker = try await Worker.start(settings)
        try await Producer.with { producer in
            let reply = try await producer.ask(
                #"{"query":"And if it is damaged?","history":[{"role":"user","content":"Can I return my laptop?"}]}"#,
                of: worker)
            #expect(try reply.json["rewritten_query"]?.string == "Can I return my laptop? And if it is damaged?")
            #expect(try reply.answer?.contains("30 days") == true)
        }
        #expect(try await worker.stop() == 0)
    }

    @Test func theModelIsAskedToMakeAFollowUpStandAlone() async throws {
        let folder = try Folder()
        let model = try await ModelServer()
        let settings = alone(folder).merging(["model.url": model.url, "retrieval.rewrite": "model"]) { $1 }
        try folder.write("returns.md", Self.articles[1].2)
        #expect(try await parley("ingest", folder.path + "/returns.md", settings: settings).status == 0)
        let worker = try await Worker.start(settings)
        try await Producer.with { producer in
            let reply = try await producer.ask(
                #"{"query":"And damaged?","history":[{"role":"user","content":"Can I return my laptop?"}]}"#, of: worker
            )
            #expect(try reply.json["usage"]?["calls"]?.int == 2)
            #expect(try reply.json["usage"]?["prompt_tokens"]?.int == 14)
            #expect(model.questions.count == 2)
            let asked = model.questions.first ?? ""
            #expect(asked.contains("Question: And damaged?") && asked.hasSuffix("standing alone:"))
            // The stand-in answers how long the question was.
            #expect(try reply.json["rewritten_query"]?.string == "\(asked.utf8.count) bytes")
            let plain = try await producer.ask(#"{"query":"Can I return my laptop?"}"#, of: worker)
            #expect(try plain.json["usage"]?["calls"]?.int == 1)
            #expect(try plain.json["rewritten_query"] == nil)
        }
        #expect(try await worker.stop() == 0)
    }

    @Test func oneAgentsModelThatIsAwayHoldsUpItsOwnJobsAlone() async throws {
        let model = try await ModelServer()
        let worker = try await Worker.start([
            "model.url": model.url, "agents.night.model.url": "http://127.0.0.1:1/v1",
            "agents.night.prompt.system": "You work at night.", "retry.base": "100ms",
        ])
        try await Producer.with { producer in
            for _ in 0..<20 {
                try await producer.publish(#"{"query":"\#(unique())","agent":"night"}"#, to: worker, id: unique())
            }
            for _ in 0..<5 {
                let reply = try await producer.ask(#"{"query":"\#(unique())"}"#, of: worker)
                #expect(try reply.status == "succeeded")
            }
            _ = try await eventually("the agent's model away") {
                try await worker.get("/readyz").body.contains("model:night") ? true : nil
            }
            #expect(try await producer.isEmpty(worker.dead))
        }
        #expect(try await worker.stop() == 0)
    }

    @Test func wrongSettingsOfAnAgentAreNamed() async throws {
        let wrong = try await parley(
            "check",
            settings: ["agents.presale.model.url": "builtin:nothing", "routing.model": "./none.weights"])
        #expect(wrong.status == 2)
        let text = wrong.output + wrong.errors
        #expect(text.contains("agents.presale.model.url: \"builtin:nothing\""), "\(text)")
        #expect(text.contains("routing.model: ./none.weights"), "\(text)")
        let checked = try await parley(
            "check", settings: ["agents.night.model.url": "http://127.0.0.1:1/v1", "model.url": "builtin:echo"])
        #expect(checked.status == 3)
        #expect(checked.output.contains("model:night"))
    }
}
