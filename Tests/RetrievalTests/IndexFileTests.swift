import Testing

@testable import Retrieval

@Suite struct IndexFileTests {
    private func sample(embedder: String = "axes") -> IndexFile {
        var file = IndexFile(embedder: embedder, dimension: 3)
        file.probe = EmbedderProbe(numbers: [0.5, -1, 0.25])
        for id in ["a.md", "b.md"] {
            let passages = (1...3).map {
                Passage(documentID: id, ordinal: $0, title: "T \(id)", heading: "T › S", text: "文本 \($0)")
            }
            file.append(
                EmbeddedDocument(
                    id: id, title: "T \(id)", contentHash: "h\(id)",
                    attributes: id == "a.md"
                        ? Attributes(tenant: "shop", agent: "sale", tags: ["a", "b"], date: CalendarDate("2026-01-31"))
                        : Attributes(),
                    passages: passages,
                    vectors: passages.map { [Float($0.ordinal), 0.5, -1] }))
        }
        return file
    }

    @Test(arguments: ["axes", "builtin:lexical/2048/v1"])
    func whatIsWrittenReadsBack(_ embedder: String) throws {
        let file = sample(embedder: embedder)
        let read = try IndexFile(decoding: file.encoded(), path: "x")
        #expect(read == file)
        #expect(read.passage(4) == file.passage(4))
        #expect(read.vectors.isEmpty == (embedder != "axes"))
    }

    /// Bytes as an earlier version wrote them.
    private func version1(_ file: IndexFile) -> [UInt8] {
        var payload: [UInt8] = []
        func number(_ value: Int) { payload += (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
        func text(_ bytes: some Collection<UInt8>) {
            number(bytes.count)
            payload += bytes
        }
        text(Array(file.embedder.utf8))
        for value in [file.dimension, file.hasVectors ? 1 : 0, file.documents.count] { number(value) }
        for document in file.documents {
            for part in [document.id, document.title, document.contentHash] { text(Array(part.utf8)) }
        }
        number(file.passages.count)
        for passage in file.passages {
            number(Int(passage.document))
            number(Int(passage.ordinal))
            for part in [passage.language, passage.heading, passage.text] { text(part) }
        }
        for value in file.vectors { number(Int(value.bitPattern)) }
        func eight(_ value: UInt64) -> [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
        return Array("PARLEYIX".utf8) + [1, 0, 0, 0, 0, 0, 0, 0] + eight(UInt64(payload.count))
            + eight(IndexFile.checksum(payload[...])) + payload
    }

    @Test(arguments: ["axes", "builtin:lexical/2048/v1"])
    func whatAnEarlierVersionWroteIsRead(_ embedder: String) throws {
        var file = sample(embedder: embedder)
        let read = try IndexFile(decoding: version1(file), path: "x")
        file.probe = nil
        for place in file.documents.indices { file.documents[place].attributes = Attributes() }
        #expect(read == file)
    }

    @Test func whatALaterVersionWroteIsRefusedAndSaysWhatToDo() {
        var bytes = sample().encoded()
        bytes[8] = 3
        #expect { _ = try IndexFile(decoding: bytes, path: "x") } throws: {
            ($0 as? RetrievalError)?.code == .foreign && ($0 as? RetrievalError)?.message.contains("update") == true
        }
    }

    @Test func removedDocumentsTakeTheirPassagesAndVectorsAlong() {
        var file = sample()
        file.remove(["a.md", "unknown"])
        #expect(file.documents.map(\.id) == ["b.md"])
        #expect((0..<3).map { file.passage($0).id } == ["b.md#1", "b.md#2", "b.md#3"])
        #expect(file.vectors == [1, 0.5, -1, 2, 0.5, -1, 3, 0.5, -1])
    }

    @Test func aFileCutShortIsAnError() {
        let bytes = sample().encoded()
        for length in 0..<bytes.count {
            #expect(throws: RetrievalError.self) { try IndexFile(decoding: Array(bytes[..<length]), path: "x") }
        }
    }

    @Test func anyFlippedByteIsAnError() {
        let bytes = sample().encoded()
        var random = Seeded(state: 5)
        for _ in 0..<2000 {
            var damaged = bytes
            let place = Int.random(in: 0..<bytes.count, using: &random)
            // Bytes 12 … 15 say nothing.
            guard !(12..<16).contains(place) else { continue }
            damaged[place] ^= UInt8.random(in: 1...255, using: &random)
            #expect(throws: RetrievalError.self) { try IndexFile(decoding: damaged, path: "x") }
        }
    }

    /// Behind a checksum that fits, as somebody could write on purpose.
    @Test func damageBehindAValidChecksumNeverTraps() {
        let bytes = sample().encoded()
        var random = Seeded(state: 6)
        for _ in 0..<5000 {
            var damaged = bytes
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                damaged[Int.random(in: 32..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            let checksum = IndexFile.checksum(damaged[32...])
            for byte in 0..<8 { damaged[24 + byte] = UInt8(truncatingIfNeeded: checksum >> UInt64(8 * byte)) }
            guard let file = try? IndexFile(decoding: damaged, path: "x") else { continue }
            let snapshot = IndexSnapshot(file)
            _ = try? snapshot.search(SearchQuery(text: "文本", vector: [1, 0, 0]), topK: 4)
        }
    }
}
