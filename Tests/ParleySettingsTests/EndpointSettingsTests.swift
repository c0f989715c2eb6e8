import Foundation
import Testing

@testable import ParleySettings

/// `model.endpoints`
@Suite struct EndpointSettingsTests {
    private func load(
        _ yaml: String = "", environment: [String: String] = [:], overrides: [(key: String, value: String)] = []
    ) async throws -> Settings {
        let file = FileManager.default.temporaryDirectory.appending(path: "parley-endpoints-\(UUID().uuidString).yaml")
        try Data(yaml.utf8).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        return try await Settings.load(file: file.path, environment: environment, overrides: overrides)
    }

    private func mistakes(_ yaml: String = "", _ overrides: [(key: String, value: String)] = []) async -> [String] {
        do {
            _ = try await load(yaml, overrides: overrides)
            return []
        } catch { return (error as? SettingsError)?.problems ?? ["\(error)"] }
    }

    private static let two: [Settings.Endpoint] = [
        .init(url: "http://a:1/v1"), .init(url: "https://b/x/v1", weight: 3),
    ]

    @Test(arguments: ["model.endpoints", "model.url"])
    func aTextNamesServersAndTheirWeights(_ key: String) async throws {
        let settings = try await load(overrides: [(key, "http://a:1/v1, https://b/x/v1|3")])
        #expect(settings.model.endpoints == Self.two)
        #expect(settings.model.url == "http://a:1/v1" && settings.model.urls == Self.two.map(\.url))
    }

    @Test(arguments: [
        "[\"http://a:1/v1\", \"https://b/x/v1|3\"]", "[{url: \"http://a:1/v1\"}, {url: \"https://b/x/v1\", weight: 3}]",
        "[\"http://a:1/v1\", {url: \"https://b/x/v1\", weight: 3}]",
        "[{url: \"http://a:1/v1\"}, \"https://b/x/v1|3\"]",
    ])
    func aListInTheFileToo(_ list: String) async throws {
        #expect(try await load("model: {endpoints: \(list)}").model.endpoints == Self.two)
    }

    @Test func oneServerIsNoList() async throws {
        let settings = try await load(overrides: [("model.endpoints", "http://a:1/v1")])
        #expect(settings.model.endpoints.isEmpty && settings.model.url == "http://a:1/v1")
    }

    @Test(arguments: [
        ("http://a/v1, http://b/v1|0", "the weight \"0\""), ("http://a/v1|-2, http://b/v1", "the weight \"-2\""),
        ("http://a/v1|x, http://b/v1", "the weight \"x\""), ("http://a/v1|, http://b/v1", "the weight \"\""),
        ("http://a/v1|1001, http://b/v1", "the weight \"1001\""), ("http://a/v1, HTTP://A:80/v1/", "the base URL"),
        ("http://a/v1, http://A:80/v1/", "as is entry 1"), ("http://a/v1,, http://b/v1", "entry 2 is \"\""),
        ("http://a/v1, builtin:echo", #"entry 2 is "builtin:echo", which has no endpoints"#),
        ("http://a/v1, b:8000", "the base URL of a service"),
    ])
    func whatIsWrongWithThemIsSaid(_ text: String, _ part: String) async {
        for key in ["model.endpoints", "model.url", "agents.x.model.endpoints"] {
            let problems = await mistakes("", [(key, text)])
            #expect(problems.count == 1 && problems[0].hasPrefix(key) && problems[0].contains(part), "\(problems)")
        }
    }

    @Test func entriesOfAListHaveNoOtherKeys() async {
        let problems = await mistakes("model: {endpoints: [{url: \"http://a/v1\", name: big}, {weight: 3}]}")
        #expect(problems.contains { $0.contains("name of entry 1 is no key of an endpoint") })
        #expect(problems.contains { $0.contains("entry 2 is neither") })
    }

    @Test func aURLBesideThemHasNoEffectAndThatIsSaid() async throws {
        var settings = try await load(
            overrides: [("model.endpoints", "http://a/v1, http://b/v1"), ("model.url", "http://b/v1/")])
        #expect(settings.model.urls == ["http://a/v1", "http://b/v1"] && settings.idleOddities == [])
        settings = try await load(
            overrides: [("model.endpoints", "http://a/v1, http://b/v1"), ("model.url", "http://u:hunter2@c/v1")])
        #expect(settings.model.urls == ["http://a/v1", "http://b/v1"])
        #expect(settings.idleOddities.count == 1 && settings.idleOddities[0].hasPrefix("model.url is"))
        #expect(!settings.idleOddities[0].contains("hunter2"))
    }

    @Test func eachServerHasACallWithPromptsUnlessAnotherNumberIsSet() async throws {
        let two = [(key: "model.endpoints", value: "http://a/v1, http://b/v1"), (key: "model.feed", value: "prompts")]
        #expect(try await load(overrides: two).model.maxConcurrency == 2)
        #expect(try await load(overrides: two + [("model.max_concurrency", "7")]).model.maxConcurrency == 7)
    }

    @Test func secondCallsAreForWhoSaysSo() async throws {
        let settings = try await load("agents: {fast: {model: {hedge: true}}, other: {}}")
        #expect(!settings.model.hedges && settings.agents["fast"]?.model.hedges == true)
        #expect(settings.agents["other"]?.model.hedges == false)
    }

    @Test func whatIsForBatchesHasNoEffectWithoutThem() async throws {
        let settings = try await load(overrides: [("model.batch_hours", "22-6")])
        #expect(
            settings.idleOddities == [
                "model.batch_hours has no effect: it is for model.feed: batch, and that is requests"
            ])
        let batch = try await load(
            overrides: [("model.batch_hours", "22-6"), ("model.feed", "batch"), ("model.url", "http://a/v1")])
        #expect(batch.idleOddities == [])
        let agents = try await load(
            """
            model: {url: "http://a/v1", batch_hours: 22-6}
            agents: {night: {model: {feed: batch}}, day: {model: {batch_prices: "1, 1, 1"}}}
            """)
        #expect(agents.idleOddities.map { $0.prefix(30) } == ["agents.day.model.batch_prices "])
    }

    @Test func aPasswordIsNotRepeated() async {
        let problems = await mistakes("", [("model.endpoints", "http://u:hunter2@a/v1|0, http://b/v1")])
        #expect(problems.count == 1 && !problems[0].contains("hunter2"))
    }

    @Test func aBatchIsAtOneServer() async {
        let problems = await mistakes(
            "", [("model.endpoints", "http://a/v1, http://b/v1"), ("model.feed", "batch")])
        #expect(problems.count == 1 && problems[0].contains("model.endpoints has 2 servers"))
    }

    @Test func anAgentHasItsOwnOrTheDefaults() async throws {
        let settings = try await load(
            """
            model: {endpoints: "http://a/v1, http://b/v1", api_key: k}
            agents:
              same: {model: {name: other}}
              some: {model: {url: "http://b/v1"}}
              more: {model: {endpoints: "http://b/v1, http://c/v1"}}
            """)
        #expect(settings.agents["same"]?.model.urls == ["http://a/v1", "http://b/v1"])
        #expect(settings.agents["some"]?.model.urls == ["http://b/v1"])
        #expect(settings.agents["more"]?.model.urls == ["http://b/v1", "http://c/v1"])
        // The key was given for the default's servers.
        #expect(["same", "some", "more"].map { settings.agents[$0]?.model.apiKey } == ["k", "k", nil])
    }

    @Test func theKeyOfTheEnvironmentIsNotForServersOfAFileThatNobodyNamed() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "parley-endpoints-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        for list in ["\"http://a/v1, http://b/v1\"", "[{url: \"http://a/v1\"}, {url: \"http://b/v1\"}]"] {
            let file = folder.appending(path: "parley.yaml").path
            try Data("model: {endpoints: \(list)}".utf8).write(to: URL(filePath: file))
            let settings = try await Settings.load(
                file: nil, environment: ["OPENAI_API_KEY": "k"], defaultFile: file)
            #expect(settings.model.apiKey == nil && settings.withheldKeys == ["model"])
        }
    }
}
