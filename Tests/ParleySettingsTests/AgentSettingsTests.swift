import Foundation
import Testing

@testable import ParleySettings

@Suite struct AgentSettingsTests {
    private func load(
        _ yaml: String = "", environment: [String: String] = [:], overrides: [(key: String, value: String)] = []
    ) async throws -> Settings {
        let file = FileManager.default.temporaryDirectory.appending(path: "parley-agents-\(UUID().uuidString).yaml")
        try Data(yaml.utf8).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        return try await Settings.load(file: file.path, environment: environment, overrides: overrides)
    }

    private func mistakes(
        _ yaml: String = "", environment: [String: String] = [:], overrides: [(key: String, value: String)] = []
    ) async -> [String] {
        do {
            _ = try await load(yaml, environment: environment, overrides: overrides)
            return []
        } catch { return (error as? SettingsError)?.problems ?? ["\(error)"] }
    }

    @Test func whatAnAgentHasNotOfItsOwnIsTheDefaults() async throws {
        let yaml = """
            model: {url: "http://m:8080/v1", name: big, timeout: 9s}
            retrieval: {top_k: 7}
            prompt: {system: Be brief.}
            agents:
              presale:
                vectors: {url: "file:presale.index"}
                model: {name: small}
                retrieval: {rewrite: off}
              logistics:
            """
        let settings = try await load(yaml)
        #expect(settings.agents.keys.sorted() == ["logistics", "presale"])
        let presale = try #require(settings.agents["presale"])
        #expect(presale.vectorsURL == "file:presale.index" && presale.model.name == "small")
        #expect(presale.model.url == "http://m:8080/v1" && presale.model.timeout == .seconds(9))
        #expect(
            presale.retrieval.topK == 7 && presale.retrieval.rewrite == .off && presale.prompt.system == "Be brief.")
        let logistics = try #require(settings.agents["logistics"])
        #expect(logistics.vectorsURL == settings.vectorsURL && logistics.model == settings.model)
        #expect(logistics.retrieval == settings.retrieval && logistics.retrieval.rewrite == .append)
    }

    @Test func agentsComeFromFlagsTheEnvironmentAndTheFile() async throws {
        let settings = try await load(
            "agents.after-sale.retrieval.top_k: 2\n",
            environment: [
                "PARLEY_AGENTS_AFTER_SALE_MODEL_NAME": "m", "PARLEY_AGENTS_VIP_RETRIEVAL_TOP_K": "9",
                "PARLEY_AGENTS_VIP_MODEL_API_KEY_FILE": "",
            ],
            overrides: [("agents.vip.retrieval.top_k", "8"), ("agents.b2b.model.name", "x")])
        #expect(settings.agents.keys.sorted() == ["after-sale", "b2b", "vip"])
        #expect(settings.agents["after-sale"]?.retrieval.topK == 2 && settings.agents["after-sale"]?.model.name == "m")
        #expect(settings.agents["vip"]?.retrieval.topK == 8)
    }

    @Test func secretsStayWithTheServerTheyWereGivenFor() async throws {
        let yaml = """
            model: {url: "https://a.example/v1", api_key: secret}
            vectors: {url: "chroma+http://v.example:8000/all", token: t}
            agents:
              same: {model: {url: "https://a.example/v2"}, vectors: {url: "chroma+http://v.example:8000/own"}}
              other: {model: {url: "https://b.example/v1"}, vectors: {url: "chroma+http://w.example:8000/own"}}
              sly: {model: {url: "https://a.example@b.example/v1"}}
              own: {model: {url: "https://b.example/v1", api_key: mine}}
            """
        let agents = try await load(yaml, environment: ["OPENAI_API_KEY": ""]).agents
        #expect(agents["same"]?.model.apiKey == "secret" && agents["same"]?.vectorsToken == "t")
        #expect(agents["other"]?.model.apiKey == nil && agents["other"]?.vectorsToken == nil)
        #expect(agents["sly"]?.model.apiKey == nil && agents["own"]?.model.apiKey == "mine")
        #expect(!"\(String(reflecting: agents))".contains("secret"))
        // A file that was named may say where it goes.
        let open = try await load(yaml, environment: ["OPENAI_API_KEY": "k"]).agents
        #expect(open["other"]?.model.apiKey == "k" && open["same"]?.model.apiKey == "secret")
    }

    @Test func theOpenAIKeyIsNotForAnAgentOfAFileThatMerelyLiesThere() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "parley-agents-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appending(path: "parley.yaml").path
        try Data("agents: {x: {model: {url: \"https://b.example/v1\"}}}\n".utf8).write(to: URL(filePath: file))
        let settings = try await Settings.load(
            file: nil, environment: ["OPENAI_API_KEY": "k"], overrides: [], defaultFile: file)
        #expect(settings.agents["x"]?.model.apiKey == nil)
        #expect(settings.keyOddities.contains { $0.contains("agents.x.model.url") })
    }

    @Test func everyMistakeOfAnAgentIsNamed() async {
        let yaml = """
            agents:
              presale:
                modle: {url: x}
                retrieval: {top_k: many, rewrite: always}
              None:
                model: {name: x}
              none:
            """
        let text = await mistakes(yaml, overrides: [("agents.presale.prompt.sistem", "x"), ("agents..model.url", "x")])
            .joined(separator: "\n")
        for part in [
            "agents.presale.modle.url", "did you mean agents.presale.model.url?",
            "agents.presale.retrieval.top_k is \"many\"",
            "agents.presale.retrieval.rewrite is \"always\"; allowed: off, append, model",
            "\"None\" cannot be an agent's name",
            "\"none\" cannot be", "did you mean agents.presale.prompt.system?", "agents..model.url",
        ] {
            #expect(text.contains(part), "\(part) is missing in \(text)")
        }
    }

    @Test func theClassifierIsBuiltinOffOrAFile() async throws {
        #expect(try await load().routing.model == .builtin)
        #expect(try await load("routing: {model: off}").routing.model == .off)
        #expect(
            try await load(overrides: [("routing.model", "./shop.weights")]).routing.model == .file("./shop.weights"))
        let text = await mistakes(overrides: [("routing.model", "of")]).joined()
        #expect(text.contains("routing.model is \"of\"") && text.contains("builtin, off, or the path"))
        #expect(await mistakes(overrides: [("retrieval.rewrite", "yes")]).first?.contains("off, append, model") == true)
    }

    @Test func anAgentsVariableIsNotSuspicious() {
        let environment = ["PARLEY_AGENTS_PRESALE_MODEL_URL": "x", "PARLEY_ROUTING_MODLE": "off"]
        #expect(Settings.suspicious(in: environment).count == 1)
    }

    @Test func theSamplesAgentsAreFine() async throws {
        let sample = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../config/sample")
        let settings = try await Settings.load(file: sample.appending(path: "agents.yaml").path, environment: [:])
        #expect(settings.agents.keys.sorted() == ["aftersale", "logistics", "presale"])
        #expect(Set(settings.agents.values.map(\.vectorsURL)).count == 3)
    }
}
