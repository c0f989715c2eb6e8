import Foundation
import Testing

@testable import ParleySettings

/// `model.fallbacks`
@Suite struct FallbackSettingsTests {
    private func load(
        _ yaml: String = "", environment: [String: String] = [:], overrides: [(key: String, value: String)] = []
    ) async throws -> Settings {
        let file = FileManager.default.temporaryDirectory.appending(path: "parley-fallbacks-\(UUID().uuidString).yaml")
        try Data(yaml.utf8).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        return try await Settings.load(file: file.path, environment: environment, overrides: overrides)
    }

    private func mistakes(_ yaml: String) async -> [String] {
        do {
            _ = try await load(yaml)
            return []
        } catch { return (error as? SettingsError)?.problems ?? ["\(error)"] }
    }

    @Test func aTextNamesModelsInOrder() async throws {
        let settings = try await load(
            "model: {url: \"http://a/v1\", name: big, timeout: 9s, max_concurrency: 7, api_key: k, omit: seed}",
            overrides: [("model.fallbacks", "http://b:1/v1|small, http://a/v1|old,builtin:extractive")])
        let fallbacks = settings.model.fallbacks
        #expect(fallbacks.map(\.url) == ["http://b:1/v1", "http://a/v1", "builtin:extractive"])
        #expect(fallbacks.map(\.name) == ["small", "old", nil])
        #expect(fallbacks.allSatisfy { $0.timeout == .seconds(9) && $0.maxConcurrency == 7 && $0.omit.isEmpty })
        // The key was given for one server.
        #expect(fallbacks.map(\.apiKey) == [nil, "k", nil])
    }

    @Test func aListInTheFileHasAModelsKeys() async throws {
        let settings = try await load(
            """
            model:
              url: http://a/v1
              fallbacks:
                - http://b/v1|small
                - url: http://c/v1
                  name: dear
                  api_key: secret
                  timeout: 20s
                  max_concurrency: 3
                  omit: [seed, temperature]
                  stream: always
                  reasoning: keep
                  prices: 1, 0.1, 4
            """)
        let fallbacks = settings.model.fallbacks
        #expect(fallbacks.map(\.url) == ["http://b/v1", "http://c/v1"])
        let dear = try #require(fallbacks.last)
        #expect(dear.name == "dear" && dear.apiKey == "secret" && dear.timeout == .seconds(20))
        #expect(dear.maxConcurrency == 3 && dear.omit == [.seed, .temperature] && dear.stream == .always)
        #expect(dear.reasoning == .keep && dear.prices == [1, 0.1, 4])
        #expect(try await load("model: {fallbacks: [\"http://b/v1|m\", \"http://c/v1\"]}").model.fallbacks.count == 2)
    }

    @Test func anAgentHasTheDefaultsUnlessItNamesItsOwn() async throws {
        let settings = try await load(
            """
            model: {url: "http://a/v1", fallbacks: "http://b/v1|m"}
            agents:
              presale: {model: {name: x}}
              logistics: {model: {fallbacks: [{url: "http://c/v1", name: y}]}}
            """)
        #expect(settings.agents["presale"]?.model.fallbacks.map(\.url) == ["http://b/v1"])
        #expect(settings.agents["logistics"]?.model.fallbacks.map(\.name) == ["y"])
        let flagged = try await load(
            "agents: {presale: {model: {fallbacks: [{url: \"http://c/v1\"}]}}}",
            environment: ["PARLEY_AGENTS_PRESALE_MODEL_FALLBACKS": "http://d/v1"])
        #expect(flagged.agents["presale"]?.model.fallbacks.map(\.url) == ["http://d/v1"])
    }

    @Test func mistakesAreNamed() async throws {
        #expect(await mistakes("model: {fallbacks: small}").first?.contains("URL|NAME, URL|NAME") == true)
        for (text, said) in [
            ("http://a/v1|", "no name follows the bar"), ("http://a/v1|b|c", "it has 2 bars"), ("|b", "it has no URL"),
            ("http://a/v1|b,", "entry 2"),
        ] {
            let text = await mistakes("model: {fallbacks: \"\(text)\"}")
            #expect(text.count == 1 && text.first?.contains(said) == true, "\(text)")
        }
        let texts = await mistakes("model: {fallbacks: [\"http://a/v1|b\", \"http://a/v1|b|c\"]}")
        #expect(texts.first?.contains("entry 2") == true && texts.first?.contains("it has 2 bars") == true, "\(texts)")
        let list = await mistakes("model: {fallbacks: [{name: m}, {url: \"http://a/v1\", nmae: m}]}")
        #expect(list.count == 2 && list[0].contains("entry 1 has no url") && list[1].contains("nmae of entry 2"))
        let many = (0..<9).map { "http://h\($0)/v1" }.joined(separator: ", ")
        #expect(await mistakes("model: {fallbacks: \"\(many)\"}").first?.contains("more than 8") == true)
        #expect(await mistakes("limits: {body: [1, 2]}").first?.contains("is a list") == true)
    }

    @Test func theUsualKeyGoesToHostsThatSomebodyNamed() async throws {
        let yaml = """
            model:
              fallbacks:
                - {url: "http://b/v1"}
                - {url: "http://c/v1", api_key: own}
                - {url: "builtin:extractive"}
            """
        let named = try await load(yaml, environment: ["OPENAI_API_KEY": "k"])
        #expect(named.model.fallbacks.map(\.apiKey) == ["k", "own", nil])
        let file = NSTemporaryDirectory() + "parley-found-\(UUID().uuidString).yaml"
        try Data(yaml.utf8).write(to: URL(filePath: file))
        defer { try? FileManager.default.removeItem(atPath: file) }
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: file)
        let found = try await Settings.load(
            file: nil, environment: ["OPENAI_API_KEY": "k"], overrides: [], defaultFile: file)
        #expect(found.model.fallbacks.map(\.apiKey) == [nil, "own", nil])
        #expect(found.keyOddities.contains { $0.contains("model.fallbacks.0") })
        let flagged = try await Settings.load(
            file: nil, environment: ["OPENAI_API_KEY": "k"], overrides: [("model.fallbacks", "http://d/v1")],
            defaultFile: file)
        #expect(flagged.model.fallbacks.map(\.apiKey) == ["k"])
    }
}
