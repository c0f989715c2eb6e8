import Glibc
import Testing

@testable import Retrieval

/// What ingestion must not remove.
@Suite struct SafeIngestTests {
    private let embedder = LexicalEmbedder()

    private func store(_ folder: TemporaryFolder) -> FileStore {
        FileStore(path: "\(folder.path)/k.index", logger: quiet)
    }

    private func ids(_ store: FileStore) async throws -> [String] { try await store.contentHashes().keys.sorted() }

    private func ingest(
        _ store: FileStore, _ paths: String..., keep: Bool = false
    ) async throws -> IngestSummary {
        try await Ingestor(embedder: embedder, store: store, options: .init(removesVanished: !keep)).ingest(
            paths: paths)
    }

    /// `docs/en/a.md`, `docs/en/b.md`, `docs/zh/a.md`, ingested.
    private func prepared() async throws -> (TemporaryFolder, FileStore, docs: String) {
        let folder = try TemporaryFolder()
        for name in ["en/a.md", "en/b.md", "zh/a.md"] { try folder.write("docs/\(name)", "# \(name)\n\nText.") }
        let store = store(folder)
        let docs = folder.path + "/docs"
        #expect(try await ingest(store, docs).added == 3)
        return (folder, store, docs)
    }

    @Test func aSubfolderAloneKeepsTheRestAndItsIDs() async throws {
        let (folder, store, docs) = try await prepared()
        unlink("\(docs)/en/b.md")
        unlink("\(docs)/zh/a.md")
        let summary = try await ingest(store, docs + "/en")
        #expect(summary.unchanged == 1 && summary.removedIDs == ["en/b.md"] && summary.added == 0)
        #expect(try await ids(store) == ["en/a.md", "zh/a.md"])
        try folder.write("docs/en/a.md", "# A\n\nOther.")
        #expect(try await ingest(store, docs + "/en/a.md").changedIDs == ["en/a.md"])
        #expect(try await ids(store) == ["en/a.md", "zh/a.md"])
        #expect(try await ingest(store, docs).removedIDs == ["zh/a.md"])
    }

    @Test func anotherFolderIsAdded() async throws {
        let (folder, store, docs) = try await prepared()
        try folder.write("more/c.md", "# C\n\nText.")
        let summary = try await ingest(store, folder.path + "/more")
        #expect(summary.added == 1 && summary.removed == 0)
        #expect(try await ids(store) == ["c.md", "en/a.md", "en/b.md", "zh/a.md"])
        #expect(try await ingest(store, docs).removed == 0)
    }

    @Test func foldersThatHaveNamesInCommonAreBothRead() async throws {
        let (folder, store, docs) = try await prepared()
        defer { withExtendedLifetime(folder) {} }
        let other = FileStore(path: "\(folder.path)/o.index", logger: quiet)
        #expect(try await ingest(other, docs + "/en", docs + "/zh").addedIDs == ["en/a.md", "en/b.md", "zh/a.md"])
        #expect(try await ingest(other, docs + "/zh").unchanged == 1)
        #expect(try await ids(other) == ["en/a.md", "en/b.md", "zh/a.md"])
        #expect(try await ingest(store, docs, docs + "/en/a.md").unchanged == 3, "a file named twice")
    }

    @Test func theFolderAboveTakesOverWhatWasReadFromOneBelow() async throws {
        let folder = try TemporaryFolder()
        for name in ["en/a.md", "en/b.md", "zh/c.md"] { try folder.write("docs/\(name)", "# \(name)\n\nText.") }
        let store = store(folder)
        #expect(try await ingest(store, folder.path + "/docs/en").addedIDs == ["a.md", "b.md"])
        let summary = try await ingest(store, folder.path + "/docs")
        #expect(summary.removedIDs == ["a.md", "b.md"] && summary.renamed == 2 && !summary.removesMany)
        #expect(try await ids(store) == ["en/a.md", "en/b.md", "zh/c.md"])
    }

    @Test func aFolderThatHasMovedIsTheSameFolder() async throws {
        let (folder, store, docs) = try await prepared()
        #expect(rename(docs, folder.path + "/moved") == 0)
        unlink("\(folder.path)/moved/en/b.md")
        let summary = try await ingest(store, folder.path + "/moved")
        #expect(summary.unchanged == 2 && summary.removedIDs == ["en/b.md"])
    }

    @Test func whatCannotBeReadStays() async throws {
        let (folder, store, docs) = try await prepared()
        try folder.write("docs/en/a.md", [0x23, 0xFF, 0xFE])
        unlink("\(docs)/zh/a.md")
        #expect(symlink("../nowhere", "\(docs)/zh/a.md") == 0)
        let summary = try await ingest(store, docs)
        #expect(summary.removed == 0 && summary.unreadable.count == 2)
        #expect(try await ids(store) == ["en/a.md", "en/b.md", "zh/a.md"])
    }

    @Test func linesThatCannotBeReadKeepWhatTheirFileHad() async throws {
        let folder = try TemporaryFolder()
        try folder.write("docs/a.md", "# A\n\nText.")
        try folder.write("docs/l.jsonl", "{\"id\":\"1\",\"text\":\"One.\"}\n{\"id\":\"2\",\"text\":\"Two.\"}\n")
        let store = store(folder)
        #expect(try await ingest(store, folder.path + "/docs").added == 3)
        try folder.write("docs/l.jsonl", "{\"id\":\"1\",\"text\":\"One.\"}\n{\"id\":\"2\",\"te")
        #expect(try await ingest(store, folder.path + "/docs").removed == 0)
        try folder.write("docs/l.jsonl", "{\"id\":\"1\",\"text\":\"One.\"}\n")
        #expect(try await ingest(store, folder.path + "/docs").removedIDs == ["2"])
        #expect(try await ids(store) == ["1", "a.md"])
    }

    @Test func keepingRemovesNothing() async throws {
        let (folder, store, docs) = try await prepared()
        defer { withExtendedLifetime(folder) {} }
        unlink("\(docs)/en/b.md")
        #expect(try await ingest(store, docs, keep: true).removed == 0)
        #expect(try await ids(store).count == 3)
        let other = AxisEmbedder(axes: ["text"])
        await #expect {
            _ = try await Ingestor(embedder: other, store: store, options: .init(removesVanished: false)).ingest(
                paths: [docs])
        } throws: {
            ($0 as? RetrievalError)?.code == .incompatible
                && ($0 as? RetrievalError)?.message.contains("--keep") == true
        }
        let anew = try await Ingestor(embedder: other, store: store).plan(paths: [docs + "/en"]).summary
        #expect(anew.startedOver && anew.removedIDs == ["en/b.md", "zh/a.md"] && anew.removesMany)
    }

    @Test func aPlanChangesNothing() async throws {
        let (folder, store, docs) = try await prepared()
        try folder.write("docs/new.md", "# New\n\nText.")
        unlink("\(docs)/en/b.md")
        unlink("\(docs)/zh/a.md")
        let plan = try await Ingestor(embedder: embedder, store: store).plan(paths: [docs])
        #expect(plan.summary.addedIDs == ["new.md"] && plan.summary.removed == 2 && plan.summary.removesMany)
        #expect(try await ids(store) == ["en/a.md", "en/b.md", "zh/a.md"])
    }

    @Test func moreThanAFifthIsMany() {
        func isMany(_ removed: Int, of known: Int, renamed: Int = 0) -> Bool {
            var summary = IngestSummary()
            (summary.known, summary.renamed) = (known, renamed)
            summary.removedIDs = (0..<removed).map { "\($0)" }
            return summary.removesMany
        }
        #expect(!isMany(2, of: 10) && isMany(3, of: 10) && !isMany(1, of: 1) && isMany(2, of: 2))
        #expect(!isMany(3, of: 10, renamed: 1) && !isMany(0, of: 0))
    }

    @Test(arguments: ["root:x:0:0:root:/root:/bin/bash\n", "P is for parcel and for nothing else at all"])
    func whatIsNoIndexIsLeftAlone(_ text: String) async throws {
        let folder = try TemporaryFolder()
        try folder.write("docs/a.md", "# A\n\nText.")
        try folder.write("k.index", text)
        await #expect { _ = try await ingest(store(folder), folder.path + "/docs") } throws: {
            ($0 as? RetrievalError)?.code == .foreign
        }
        #expect(try folder.read("k.index") == Array(text.utf8))
    }

    @Test func twoAtOnceLoseNothing() async throws {
        let folder = try TemporaryFolder()
        for number in 0..<8 { try folder.write("d\(number)/\(number).md", "# \(number)\n\nText.") }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<8 {
                group.addTask { _ = try await ingest(store(folder), "\(folder.path)/d\(number)") }
            }
            try await group.waitForAll()
        }
        #expect(try await ids(store(folder)).count == 8)
    }

    @Test func aFolderIsNoIndex() async throws {
        let folder = try TemporaryFolder()
        try folder.write("docs/a.md", "# A\n\nText.")
        let store = FileStore(path: folder.path + "/docs", logger: quiet)
        await #expect { _ = try await ingest(store, folder.path + "/docs") } throws: {
            ($0 as? RetrievalError)?.code == .foreign
        }
    }
}
