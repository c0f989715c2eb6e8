import Testing

@testable import Retrieval

@Suite struct IndexFileTests {
    private func sample(embedder: String = "axes") -> IndexFile {
        var file = IndexFile(embedder: embedder, dimension: 3)
        for id in ["a.md", "b.md"] {
            let passages = (1...3).map {
                Passage(documentID: id, ordinal: $0, title: "T \(id)", heading: "T › S", text: "文本 \($0)")
            }
            file.append(
                EmbeddedDocument(
                    id: id, title: "T \(id)", contentHash: "h\(id)", passages: passages,
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
