import ParleyJSON
import TestSupport
import Testing

/// `parley ingest` as an operator meets it.
@Suite(.enabled(if: Surroundings.areComplete)) struct IngestTests {
    private func folder(of count: Int) throws -> (Folder, [String: String]) {
        let folder = try Folder()
        for number in 0..<count { try folder.write("d\(number).md", "# D\(number)\n\nText number \(number).\n") }
        return (folder, ["vectors.url": "file:\(folder.path)/.k.index"])
    }

    private func numbers(_ outcome: Outcome) throws -> [Int?] {
        let summary = try outcome.lines.first
        return ["added", "changed", "unchanged", "removed", "unreadable"].map { summary?[$0]?.int }
    }

    @Test func aDryRunSaysWhatWouldBeDone() async throws {
        let (folder, settings) = try folder(of: 3)
        let first = try await parley("ingest", folder.path, "--dry-run", "--json", settings: settings)
        #expect(first.status == 0)
        #expect(try numbers(first) == [3, 0, 0, 0, 0])
        #expect(try await parley("search", "text", settings: settings).status == 1, "there is no index yet")
        #expect(try await parley("ingest", folder.path, settings: settings).status == 0)
        try folder.write("d0.md", "# D0\n\nAnother text.\n")
        try folder.write("new.md", "# New\n\nText.\n")
        try folder.write("bad.jsonl", "{")
        folder.remove("d2.md")
        let second = try await parley("ingest", folder.path, "--dry-run", "--json", settings: settings)
        #expect(second.status == 1)
        #expect(try numbers(second) == [1, 1, 1, 1, 1])
        let documents = try second.lines.first?["documents"]
        #expect(documents?["removed"]?.elements.first?.string == "d2.md")
        #expect(documents?["unreadable"]?.elements.first?["path"]?.string?.hasSuffix("bad.jsonl:1") == true)
        let text = try await parley("ingest", folder.path, "--dry-run", settings: settings)
        #expect(text.status == 1 && text.output.contains("removed  d2.md") && text.errors.contains("bad.jsonl"))
    }

    @Test func aDryRunOfNothingReadableSaysSo() async throws {
        let (folder, settings) = try folder(of: 0)
        try folder.write("bad.jsonl", "{")
        let trial = try await parley("ingest", folder.path, "--dry-run", "--json", settings: settings)
        #expect(try trial.status == 1 && numbers(trial) == [0, 0, 0, 0, 1])
        let real = try await parley("ingest", folder.path, settings: settings)
        #expect(real.status == 2 && real.errors.contains("nothing was changed"))
    }

    @Test func removingManyNeedsAYes() async throws {
        let (folder, settings) = try folder(of: 5)
        #expect(try await parley("ingest", folder.path, settings: settings).status == 0)
        folder.remove("d0.md")
        folder.remove("d1.md")
        let refused = try await parley("ingest", folder.path, settings: settings)
        #expect(refused.status == 2 && refused.errors.contains("2 of the 5") && refused.errors.contains("--yes"))
        let kept = try await parley("ingest", folder.path, "--keep", "--json", settings: settings)
        #expect(try kept.status == 0 && numbers(kept) == [0, 0, 3, 0, 0])
        let done = try await parley("ingest", folder.path, "--yes", "--json", settings: settings)
        #expect(try done.status == 0 && numbers(done) == [0, 0, 3, 2, 0])
    }

    @Test func whatIsNoIndexIsNotReplaced() async throws {
        let (folder, _) = try folder(of: 1)
        try folder.write("passwd", "root:x:0:0:root:/root:/bin/bash\n")
        let outcome = try await parley(
            "ingest", "\(folder.path)/d0.md", settings: ["vectors.url": "file:\(folder.path)/passwd"])
        #expect(outcome.status == 2 && outcome.errors.contains("not an index"), "\(outcome.errors)")
        #expect(folder.read("passwd").hasPrefix("root:x"))
    }
}
