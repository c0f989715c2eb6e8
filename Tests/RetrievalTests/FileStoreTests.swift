import Glibc
import Testing

@testable import Retrieval

@Suite struct FileStoreTests {
    private func update(_ texts: [String], hash: String = "h") -> StoreUpdate {
        let passages = texts.enumerated().map { Passage(documentID: "a.md", ordinal: $0 + 1, title: "A", text: $1) }
        let vectors = passages.indices.map { index in (0..<4).map { $0 == index % 4 ? Float(1) : 0 } }
        return StoreUpdate(
            embedder: "axes", dimension: 4,
            documents: [
                EmbeddedDocument(id: "a.md", title: "A", contentHash: hash, passages: passages, vectors: vectors)
            ])
    }

    @Test func aReaderPicksUpAReplacedFile() async throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/deep/er/k.index"
        let writer = FileStore(path: path, logger: quiet)
        let reader = FileStore(path: path, logger: quiet)
        #expect(await !reader.hasIndex())
        #expect(try await reader.open() == nil)
        try await writer.replace(update(["old"]))
        #expect(await reader.hasIndex())
        try await eventually {
            (try? await reader.search([[1, 0, 0, 0]], topK: 1, timeout: .seconds(60)))?.first?.first?.passage.text
                == "old"
        }
        try await writer.replace(update(["new"]))
        try await eventually {
            try await reader.search([[1, 0, 0, 0]], topK: 1, timeout: .seconds(60)).first?.first?.passage.text == "new"
        }
    }

    /// Gone, cut short or replaced by something else: the last good one stays in use, and somebody is told.
    @Test(arguments: ["gone", "cut short", "foreign", "empty"])
    func aFileThatIsLostLeavesTheLastIndexInUse(_ how: String) async throws {
        let folder = try TemporaryFolder()
        let store = FileStore(path: "\(folder.path)/k.index", logger: quiet)
        try await store.replace(update(["kept"]))
        _ = try await store.open()
        #expect(await store.trouble() == nil)
        let whole = try folder.read("k.index")
        switch how {
        case "gone": unlink(store.path)
        case "cut short": try folder.write("k.index", whole.dropLast(9))
        case "foreign": try folder.write("k.index", "<html>502 Bad Gateway</html>")
        default: try folder.write("k.index", "")
        }
        // Readiness alone finds it: no search is needed.
        try await eventually { await store.trouble()?.contains("the index read before is in use") == true }
        #expect(await store.trouble()?.contains(store.path) == true)
        let found = try await store.search([[1, 0, 0, 0]], topK: 1, timeout: .seconds(60))
        #expect(found.first?.first?.passage.text == "kept")
        #expect(await store.hasIndex())
        // What is none of ours is not replaced.
        if how == "foreign" { unlink(store.path) }
        try await store.replace(
            StoreUpdate(embedder: "axes", dimension: 4, startsOver: true, documents: update(["new"]).documents))
        try await eventually { await store.trouble() == nil }
        let anew = try await store.search([[1, 0, 0, 0]], topK: 1, timeout: .seconds(60))
        #expect(anew.first?.first?.passage.text == "new")
    }

    @Test func aDamagedFileLeavesTheOldIndexInUse() async throws {
        let folder = try TemporaryFolder()
        let store = FileStore(path: "\(folder.path)/k.index", logger: quiet)
        try await store.replace(update(["kept"]))
        _ = try await store.open()
        try folder.write("k.index", try folder.read("k.index").dropLast())
        _ = try await store.open()
        let found = try await store.search([[1, 0, 0, 0]], topK: 1, timeout: .seconds(60))
        #expect(found.first?.first?.passage.text == "kept")
        // A program that starts now has no old index.
        let other = FileStore(path: store.path, logger: quiet)
        await #expect { _ = try await other.open() } throws: { ($0 as? RetrievalError)?.code == .corrupt }
        #expect(await other.hasIndex())
    }

    @Test func aForeignFileIsRefused() async throws {
        let folder = try TemporaryFolder()
        try folder.write("k.index", "hello, this is not an index at all, but it is long enough")
        let store = FileStore(path: "\(folder.path)/k.index", logger: quiet)
        await #expect { _ = try await store.open() } throws: { "\($0)".contains("is not an index file of Parley") }
    }

    @Test func whatIsNoIndexOfOursIsNotReplaced() async throws {
        let folder = try TemporaryFolder()
        let text = "root:x:0:0: not an index"
        try folder.write("passwd", text.utf8)
        let store = FileStore(path: "\(folder.path)/passwd", logger: quiet)
        var anew = update(["x"])
        anew.startsOver = true
        await #expect { try await store.replace(anew) } throws: { ($0 as? RetrievalError)?.code == .foreign }
        await #expect { _ = try await store.contentHashes() } throws: { ($0 as? RetrievalError)?.code == .foreign }
        #expect(try folder.read("passwd") == Array(text.utf8))
        // One of a newer program neither; a damaged one of ours is.
        let index = FileStore(path: "\(folder.path)/k.index", logger: quiet)
        try await index.replace(update(["one"]))
        var newer = try folder.read("k.index")
        newer[8] += 1
        try folder.write("k.index", newer)
        await #expect { try await index.replace(anew) } throws: {
            ($0 as? RetrievalError)?.code == .foreign && "\($0)".contains("newer Parley")
        }
        try folder.write("k.index", newer.prefix(5))
        try await index.replace(anew)
    }

    @Test func theIndexIsItsOwnersAndTheGroupsThatWasLetIn() async throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/k.index"
        let store = FileStore(path: path, logger: quiet)
        func mode() -> mode_t {
            var status = stat()
            stat(path, &status)
            return status.st_mode & 0o777
        }
        try await store.replace(update(["one"]))
        #expect(mode() == 0o600)
        chmod(path, 0o644)
        try await store.replace(update(["two"]))
        #expect(mode() == 0o640)
    }

    @Test func noTemporaryFilesStay() async throws {
        let folder = try TemporaryFolder()
        let store = FileStore(path: "\(folder.path)/k.index", logger: quiet)
        try await store.replace(update(["one"]))
        try await store.replace(update(["two"]))
        #expect(try Files.list(folder.path).names == ["k.index"])
        await #expect {
            try await FileStore(path: "/proc/nowhere/k.index", logger: quiet).replace(update(["x"]))
        } throws: {
            ($0 as? RetrievalError)?.code == .unreadable
        }
    }

    @Test func anIndexOfWordsIsSearchedByText() async throws {
        let folder = try TemporaryFolder()
        let store = FileStore(path: "\(folder.path)/k.index", logger: quiet)
        let embedder = LexicalEmbedder()
        _ = try await Ingestor(embedder: embedder, store: store).ingest([
            Document(id: "a", title: "A", text: "A broken parcel is replaced."),
            Document(id: "b", title: "B", text: "礼品卡两年后过期。"),
        ])
        let found = try await Retriever(embedder: embedder, store: store)
            .retrieve(["my parcel is broken", "礼品卡", "zebra"], topK: 4, timeout: .seconds(60))
        #expect(found.map { $0.map(\.id) } == [["a#1"], ["b#1"], []])
        await #expect {
            _ = try await store.search([LexicalEmbedder.vector(of: "x")], topK: 1, timeout: .seconds(60))
        } throws: {
            ($0 as? RetrievalError)?.code == .incompatible
        }
    }

    @Test func aLargeIndexIsSearchedByAGraphThatFindsTheSame() async throws {
        let folder = try TemporaryFolder()
        let count = 500
        let store = FileStore(path: "\(folder.path)/k.index", graphThreshold: count, logger: quiet)
        var random = Seeded(state: 9)
        func vector() -> [Float] {
            var vector = (0..<16).map { _ in Float.random(in: -1...1, using: &random) }
            normalize(&vector)
            return vector
        }
        let passages = (1...count).map { Passage(documentID: "a", ordinal: $0, title: "A", text: "\($0)") }
        let document = EmbeddedDocument(
            id: "a", title: "A", contentHash: "h", passages: passages, vectors: passages.map { _ in vector() })
        try await store.replace(StoreUpdate(embedder: "random", dimension: 16, documents: [document]))
        _ = try await store.open()
        let queries = (0..<50).map { _ in vector() }
        let exact = try await store.search(queries, topK: 4, timeout: .seconds(60))
        try await eventually { store.hasGraph }
        let near = try await store.search(queries, topK: 4, timeout: .seconds(60))
        let shared = zip(exact, near).map { Set($0.map(\.passage.id)).intersection($1.map(\.passage.id)).count }
        #expect(shared.reduce(0, +) >= 195)
        for (one, other) in zip(exact, near) { #expect(abs(one[0].score - other[0].score) < 1e-4) }
    }
}
