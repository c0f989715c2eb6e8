import ParleyJSON
import TestSupport
import Testing

/// `parley evaluate`: how often retrieval finds the right article.
@Suite(.enabled(if: Surroundings.areComplete)) struct EvaluateTests {
    private static let questions = """
        {"query": "How do I return a damaged parcel?", "article": "returns.md", "lang": "en", "agent": "aftersale"}
        {"query": "Which laptop suits students?", "article": "laptops.md", "lang": "en", "agent": "presale"}

        {"query": "zebra", "article": null, "lang": "en"}
        """

    private func prepared() async throws -> (Folder, [String: String]) {
        let folder = try Folder()
        try folder.write("returns.md", "# Returns\n\nA damaged parcel can be returned within 30 days.\n")
        try folder.write("laptops.md", "# Laptops\n\nThe light laptop suits students best.\n")
        try folder.write("q.jsonl", Self.questions)
        let settings = ["vectors.url": "file:\(folder.path)/k.index"]
        let ingested = try await parley(
            "ingest", "\(folder.path)/returns.md", "\(folder.path)/laptops.md", settings: settings)
        #expect(ingested.status == 0)
        return (folder, settings)
    }

    @Test func sharesAreGivenByLanguageAndAgent() async throws {
        let (folder, settings) = try await prepared()
        let outcome = try await parley("evaluate", "\(folder.path)/q.jsonl", "--json", settings: settings)
        #expect(outcome.status == 0, "\(outcome.errors)")
        let figures = try #require(outcome.lines.first)
        #expect(figures["questions"]?.int == 3 && figures["hit_at_1"]?.double == 1 && figures["mrr"]?.double == 1)
        #expect(figures["hit_at_4"]?.double == 1 && figures["hit_at_10"]?.double == 1)
        #expect(figures["nothing_found"]?.double == 1)
        #expect(figures["by_language"]?["en"]?["questions"]?.int == 3)
        #expect(figures["by_agent"]?["presale"]?["hit_at_1"]?.double == 1)
        #expect(figures["by_agent"]?["presale"]?["nothing_found"]?.isNull == true)
        let table = try await parley("evaluate", "\(folder.path)/q.jsonl", settings: settings)
        #expect(table.output.contains("MRR") && table.output.contains("aftersale") && table.output.contains("100 %"))
    }

    @Test func twoConfigurationsAreCompared() async throws {
        let (folder, settings) = try await prepared()
        try folder.write("other.yaml", "retrieval:\n  min_score: 1\nvectors:\n  url: file:\(folder.path)/k.index\n")
        try folder.write("this.yaml", "vectors:\n  url: file:\(folder.path)/k.index\n")
        let outcome = try await parley(
            "evaluate", "-", "--json", "--config", "\(folder.path)/this.yaml", "--compare", "\(folder.path)/other.yaml",
            input: Self.questions)
        #expect(outcome.status == 0, "\(outcome.errors)")
        let figures = try #require(outcome.lines.first)
        #expect(figures["hit_at_1"]?.double == 1 && figures["compared"]?["hit_at_1"]?.double == 0)
        #expect(figures["compared"]?["nothing_found"]?.double == 1)
        _ = settings
    }

    @Test func whatIsWrongIsNamed() async throws {
        let (folder, settings) = try await prepared()
        let bad = try await parley(
            "evaluate", "-", settings: settings,
            input: "{\"query\": \"q\", \"article\": \"a.md\"}\n{\"query\": \"q\"}\n{\"article\": 1}\n")
        #expect(bad.status == 2)
        #expect(bad.errors.contains("line 2: article") && bad.errors.contains("line 3: query"), "\(bad.errors)")
        #expect(try await parley("evaluate", "-", settings: settings, input: "\n").status == 2)
        #expect(try await parley("evaluate", "\(folder.path)/none.jsonl", settings: settings).status == 2)
        let away = try await parley(
            "evaluate", "\(folder.path)/q.jsonl", settings: ["vectors.url": "chroma+http://127.0.0.1:1/docs"])
        #expect(away.status == 3, "\(away.errors)")
        let none = try await parley(
            "evaluate", "\(folder.path)/q.jsonl", settings: ["vectors.url": "file:\(folder.path)/none.index"])
        #expect(none.status == 1 && none.errors.contains("parley ingest"))
    }
}
