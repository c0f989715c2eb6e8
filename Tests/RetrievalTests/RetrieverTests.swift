import Glibc
import Testing

@testable import Retrieval

@Suite struct RetrieverTests {
    private let embedder = AxisEmbedder(axes: ["parcel", "refund"])

    @Test func aWindowIsOneCallOfTheEmbedder() async throws {
        let folder = try TemporaryFolder()
        let store = FileStore(path: "\(folder.path)/k.index", logger: quiet)
        _ = try await Ingestor(embedder: embedder, store: store).ingest([
            Document(id: "a", title: "A", text: "parcel"), Document(id: "b", title: "B", text: "refund"),
        ])
        embedder.forget()
        let retriever = Retriever(embedder: embedder, store: store)
        let found = try await retriever.retrieve(["parcel", "refund", "parcel"], topK: 1, timeout: .seconds(60))
        #expect(found.map { $0.map(\.id) } == [["a#1"], ["b#1"], ["a#1"]])
        #expect(found[0][0].title == "A" && found[0][0].text == "parcel" && abs(found[0][0].score - 1) < 1e-6)
        #expect(embedder.calls == [["parcel", "refund"]])
        #expect(try await retriever.retrieve([] as [String], topK: 1, timeout: .seconds(60)).isEmpty)
        #expect(try await retriever.retrieve(["x"], topK: 0, timeout: .seconds(60)) == [[]])
    }

    @Test func aServiceThatMovedIsTheSameModel() {
        #expect(EmbedderIdentity.matches("m@http://a:1/v1", "m@https://b/v1"))
        #expect(!EmbedderIdentity.matches("m@http://a:1/v1", "n@http://a:1/v1"))
        #expect(!EmbedderIdentity.matches("builtin:lexical/2048/v1", "builtin:lexical/1024/v1"))
    }

    @Test func ingestingNothingChangesNothing() async throws {
        let folder = try TemporaryFolder()
        try folder.write("docs/x.png", "x")
        let store = FileStore(path: "\(folder.path)/k.index", logger: quiet)
        let ingestor = Ingestor(embedder: embedder, store: store)
        _ = try await ingestor.ingest([Document(id: "a", title: "A", text: "parcel")])
        await #expect { _ = try await ingestor.ingest(paths: ["\(folder.path)/docs"]) } throws: {
            "\($0)".contains("no documents in") && "\($0)".contains("x.png")
        }
        #expect(try await store.open()?.documents == 1)
    }

    @Test func ingestingOverADamagedFileStartsOver() async throws {
        let folder = try TemporaryFolder()
        let store = FileStore(path: "\(folder.path)/k.index", logger: quiet)
        _ = try await Ingestor(embedder: embedder, store: store).ingest([Document(id: "b", title: "B", text: "letter")])
        #expect(truncate("\(folder.path)/k.index", 100) == 0)
        let summary = try await Ingestor(embedder: embedder, store: store).ingest([
            Document(id: "a", title: "A", text: "parcel")
        ])
        #expect(summary.startedOver && summary.added == 1)
        #expect(try await store.open()?.passages == 1)
    }

    @Test func progressCountsPassages() async throws {
        let folder = try TemporaryFolder()
        try folder.write("docs/a.md", (1...60).map { "Sentence \($0) about a parcel on its way to you. " }.joined())
        let store = FileStore(path: "\(folder.path)/k.index", logger: quiet)
        let seen = Recorder()
        let summary = try await Ingestor(embedder: embedder, store: store, options: .init(batchSize: 2))
            .ingest(paths: ["\(folder.path)/docs"]) { seen.add($0) }
        let progress = seen.all
        #expect(progress.first?.phase == .reading && progress.last?.phase == .storing)
        #expect(progress.last?.done == summary.passages && progress.last?.total == summary.passages)
        #expect(embedder.calls.allSatisfy { $0.count <= 2 })
    }
}
