import Glibc
import ParleyHTTP
import Testing

@testable import Retrieval

/// A place for an index that is empty at first, and how to remove it.
struct StoreCase: Sendable, CustomTestStringConvertible {
    var name: String
    var make:
        @Sendable () async throws -> (
            store: any VectorStore, another: any VectorStore, remove: @Sendable () async -> Void
        )

    var testDescription: String { name }

    static let all: [StoreCase] =
        [file, qdrant] + (environment("PARLEY_TEST_CHROMA_URL").map { [chroma($0)] } ?? [])
        + (environment("PARLEY_TEST_POSTGRES_URL").map { [postgres($0), postgres($0, graphThreshold: 1)] } ?? [])

    private static let file = StoreCase(name: "file") {
        let folder = try TemporaryFolder()
        let url = "file:\(folder.path)/k.index"
        return (
            try makeStore(url: url, http: http, logger: quiet), try makeStore(url: url, http: http, logger: quiet),
            { withExtendedLifetime(folder) {} }
        )
    }

    private static func chroma(_ server: String) -> StoreCase {
        StoreCase(name: "chroma") {
            let name = "parley-test-\(UInt64.random(in: 0...UInt64.max))"
            let url = "chroma+\(server)/\(name)"
            return (
                try makeStore(url: url, http: http), try makeStore(url: url, http: http),
                {
                    let path = "/api/v2/tenants/default_tenant/databases/default_database/collections/"
                    _ = try? await http.send(HTTPRequest(method: "DELETE", url: server + path + name))
                }
            )
        }
    }
}

extension StoreCase {
    /// A server of the tests' own, see ``ScriptedQdrant``: none can be had.
    fileprivate static let qdrant = StoreCase(name: "qdrant") {
        let server = try ScriptedQdrant()
        let url = "qdrant+\(server.url)/docs"
        return (
            try makeStore(url: url, http: http), try makeStore(url: url, http: http),
            { withExtendedLifetime(server) {} }
        )
    }

    /// - Parameter database: `postgresql://user@host:port/database`; what the tests make there goes with the server.
    fileprivate static func postgres(_ database: String, graphThreshold: Int = 2000) -> StoreCase {
        StoreCase(name: graphThreshold > 1 ? "postgres" : "postgres with a graph") {
            let url = "\(database)/test-\(String(UInt64.random(in: 0...UInt64.max), radix: 36))"
            return (
                try PostgresStore(url: url, graphThreshold: graphThreshold),
                try PostgresStore(url: url, graphThreshold: graphThreshold), {}
            )
        }
    }
}

/// What every ``VectorStore`` does.
@Suite(.serialized) struct StoreConformanceTests {
    private let embedder = AxisEmbedder(axes: ["parcel", "refund", "voucher", "gift", "快递"])

    private func with(
        _ place: StoreCase, _ body: (any VectorStore, _ another: any VectorStore) async throws -> Void
    ) async throws {
        let (store, another, remove) = try await place.make()
        do {
            try await body(store, another)
        } catch {
            await remove()
            throw error
        }
        await remove()
    }

    private let documents = [
        Document(id: "en/parcel.md", title: "Parcels", text: "Your parcel arrives.", language: "en"),
        Document(id: "en/refund.md", title: "Refunds", text: "A refund takes time."),
        Document(id: "zh/快递.md", title: "快递", text: "快递明天到。"),
    ]

    @Test(arguments: StoreCase.all)
    func anEmptyPlaceHasNoIndex(_ place: StoreCase) async throws {
        try await with(place) { store, _ in
            let index = try await store.open()
            #expect(index == nil && store.current == nil)
            let hashes = try await store.contentHashes()
            #expect(hashes.isEmpty)
            await #expect { _ = try await store.search([[1, 0, 0, 0, 0]], topK: 1, timeout: .seconds(60)) } throws: {
                ($0 as? RetrievalError)?.code == .notFound
            }
            try await eventually { await !store.hasIndex() }
            let checked = try await Retriever(embedder: embedder, store: store).check()
            #expect(checked == nil)
        }
    }

    @Test(arguments: StoreCase.all)
    func whatWasIngestedIsFoundNearestFirst(_ place: StoreCase) async throws {
        try await with(place) { store, another in
            let summary = try await Ingestor(embedder: embedder, store: store).ingest(documents)
            #expect(summary.added == 3 && summary.passages == 3)
            let retriever = Retriever(embedder: embedder, store: another)
            let index = try #require(try await retriever.check())
            #expect(index.dimension == 5 && index.embedder == "axes" && index.passages == 3)
            #expect(await retriever.hasIndex())
            let found = try await retriever.matches(
                ["where is my parcel", "快递在哪", "parcel and refund"], topK: 2, timeout: .seconds(60))
            #expect(found.map(\.count) == [2, 2, 2])
            #expect(
                found[0][0].passage
                    == Passage(
                        documentID: "en/parcel.md", ordinal: 1, title: "Parcels", text: "Your parcel arrives.",
                        language: "en"))
            #expect(abs(found[0][0].score - 1) < 1e-5)
            #expect(abs(found[0][1].score) < 1e-5)
            #expect(found[1][0].passage.id == "zh/快递.md#1")
            #expect(found[1][0].passage.text == "快递明天到。")
            #expect(Set(found[2].map(\.passage.documentID)) == ["en/parcel.md", "en/refund.md"])
            #expect(abs(found[2][0].score - 0.70710677) < 1e-5)
            #expect(try await another.search([], topK: 2, timeout: .seconds(60)).isEmpty)
        }
    }

    @Test(arguments: StoreCase.all)
    func moreAreAskedForThanThereAre(_ place: StoreCase) async throws {
        try await with(place) { store, _ in
            _ = try await Ingestor(embedder: embedder, store: store).ingest(documents)
            let found = try await store.search([[1, 0, 0, 0, 0]], topK: 50, timeout: .seconds(60))
            #expect(found.map(\.count) == [3])
            #expect(found[0].map(\.score) == found[0].map(\.score).sorted(by: >))
        }
    }

    @Test(arguments: StoreCase.all)
    func ingestingAgainTouchesOnlyWhatChanged(_ place: StoreCase) async throws {
        try await with(place) { store, another in
            let ingestor = Ingestor(embedder: embedder, store: store)
            _ = try await ingestor.ingest(documents)
            embedder.forget()
            var summary = try await ingestor.ingest(documents)
            #expect(summary.unchanged == 3 && summary.added + summary.changed + summary.removed + summary.passages == 0)
            #expect(embedder.calls == [[EmbedderProbe.text]])

            let changed = [
                documents[0], Document(id: "en/refund.md", title: "Refunds", text: "A voucher instead."),
                Document(id: "en/gift.md", title: "Gifts", text: "A gift."),
            ]
            summary = try await ingestor.ingest(changed)
            #expect(
                [summary.added, summary.changed, summary.unchanged, summary.removed, summary.passages] == [
                    1, 1, 1, 1, 2,
                ])
            #expect(Set(try await another.contentHashes().keys) == ["en/parcel.md", "en/refund.md", "en/gift.md"])
            let found = try await Retriever(embedder: embedder, store: another)
                .matches(["voucher", "快递", "gift"], topK: 1, timeout: .seconds(60))
            #expect(found[0].first?.passage.text == "A voucher instead.")
            #expect(found[1].first?.passage.documentID != "zh/快递.md")
            #expect(found[2].first?.passage.id == "en/gift.md#1")
        }
    }

    @Test(arguments: StoreCase.all)
    func aDocumentThatShrankLosesItsLastPassages(_ place: StoreCase) async throws {
        try await with(place) { store, another in
            let ingestor = Ingestor(embedder: embedder, store: store, options: .init(batchSize: 7, flushSize: 10))
            let long = (1...40).map { "Sentence number \($0) about a parcel that is on its way. " }.joined()
            let first = try await ingestor.ingest([
                Document(id: "a", title: "A", text: long), documents[1], documents[2],
            ])
            #expect(first.passages > 3)
            _ = try await ingestor.ingest([
                Document(id: "a", title: "A", text: "Short parcel."), documents[1], documents[2],
            ])
            #expect(try await another.open()?.passages == 3)
            let found = try await another.search([[1, 0, 0, 0, 0]], topK: 9, timeout: .seconds(60))
            #expect(Set(found[0].map(\.passage.id)) == ["a#1", "en/refund.md#1", "zh/快递.md#1"])
        }
    }

    @Test(arguments: StoreCase.all)
    func aDocumentsFileIsRemembered(_ place: StoreCase) async throws {
        try await with(place) { store, another in
            let folder = try TemporaryFolder()
            for name in ["en/parcel.md", "en/gift.md", "zh/快递.md"] {
                try folder.write("docs/\(name)", "# \(name)\n\nA parcel.")
            }
            let ingestor = Ingestor(embedder: embedder, store: store)
            #expect(try await ingestor.ingest(paths: [folder.path + "/docs"]).added == 3)
            #expect(system("rm '\(folder.path)'/docs/en/gift.md '\(folder.path)'/docs/zh/*") == 0)
            let summary = try await Ingestor(embedder: embedder, store: another).ingest(paths: [
                folder.path + "/docs/en"
            ])
            #expect(summary.unchanged == 1 && summary.removedIDs == ["en/gift.md"])
            #expect(try await another.contentHashes().keys.sorted() == ["en/parcel.md", "zh/快递.md"])
        }
    }

    @Test(arguments: StoreCase.all)
    func documentsThatAreGoneMayBeKept(_ place: StoreCase) async throws {
        try await with(place) { store, _ in
            _ = try await Ingestor(embedder: embedder, store: store).ingest(documents)
            let keeping = Ingestor(embedder: embedder, store: store, options: .init(removesVanished: false))
            #expect(try await keeping.ingest([Document(id: "new", title: "New", text: "A gift.")]).removed == 0)
            #expect(try await store.open()?.passages == 4)
            let emptied = try await Ingestor(embedder: embedder, store: store).ingest([documents[0]])
            #expect(emptied.removed == 3)
            #expect(try await store.open()?.passages == 1)
        }
    }

    /// Answers are kept under the version of what they were made from.
    @Test(arguments: StoreCase.all)
    func everyChangeIsAnotherVersionAndNothingElseIs(_ place: StoreCase) async throws {
        try await with(place) { store, another in
            try await eventually { await another.version() == "none" }
            let ingestor = Ingestor(embedder: embedder, store: store)
            var seen: Set<String> = ["none"]
            // What was there before may have its version again.
            let changed = Document(id: "en/parcel.md", title: "Parcels", text: "A parcel, a gift.", language: "en")
            let changes = [documents, [documents[0], documents[1]], [documents[0]], [changed, documents[1]]]
            for documents in changes {
                _ = try await ingestor.ingest(documents)
                try await eventually { await another.version().map { !seen.contains($0) } ?? false }
                let version = try #require(await another.version())
                #expect(seen.insert(version).inserted)
                _ = try await ingestor.ingest(documents)
                _ = try await another.search([[1, 0, 0, 0, 0]], topK: 1, timeout: .seconds(60))
                #expect(await another.version() == version && store.current != nil)
            }
        }
    }

    @Test(arguments: StoreCase.all)
    func aVectorOfAnotherLengthIsRefusedAndChangesNothing(_ place: StoreCase) async throws {
        try await with(place) { store, another in
            _ = try await Ingestor(embedder: embedder, store: store).ingest(documents)
            let passage = Passage(documentID: "odd", ordinal: 1, title: "T", text: "x")
            for (dimension, vector) in [(5, [1, 0]), (2, [1, 0])] as [(Int, [Float])] {
                let odd = EmbeddedDocument(
                    id: "odd", title: "T", contentHash: "h", passages: [passage], vectors: [vector])
                await #expect {
                    try await store.replace(StoreUpdate(embedder: "axes", dimension: dimension, documents: [odd]))
                } throws: {
                    ($0 as? RetrievalError)?.code == .incompatible
                }
            }
            await #expect { _ = try await another.search([[1, 0]], topK: 1, timeout: .seconds(60)) } throws: {
                ($0 as? RetrievalError)?.code == .incompatible
            }
            #expect(try await another.contentHashes().count == 3)
            #expect(try await another.search([[1, 0, 0, 0, 0]], topK: 9, timeout: .seconds(60))[0].count == 3)
        }
    }

    @Test(arguments: StoreCase.all)
    func anotherEmbedderIsRefusedByReadersAndStartsOverWhenIngesting(_ place: StoreCase) async throws {
        try await with(place) { store, another in
            _ = try await Ingestor(embedder: embedder, store: store).ingest(documents)
            let other = AxisEmbedder(identity: "other", axes: ["parcel", "refund", "快递"])
            let retriever = Retriever(embedder: other, store: another)
            await #expect { try await retriever.check() } throws: {
                guard let error = $0 as? RetrievalError else { return false }
                return error.code == .incompatible && error.message.contains("axes (5 numbers)")
                    && error.message.contains("other (3 numbers)") && error.message.contains("parley ingest")
            }
            await #expect { _ = try await retriever.retrieve(["parcel"], topK: 1, timeout: .seconds(60)) } throws: {
                ($0 as? RetrievalError)?.code == .incompatible
            }
            await #expect { _ = try await another.search([[1, 0, 0]], topK: 1, timeout: .seconds(60)) } throws: {
                ($0 as? RetrievalError)?.code == .incompatible
            }
            let summary = try await Ingestor(embedder: other, store: store).ingest(documents)
            #expect(summary.startedOver && summary.added == 3)
            // The reader that had it open gets on with the new one.
            try await eventually {
                (try? await retriever.retrieve(["快递"], topK: 1, timeout: .seconds(60)))?.first?.first?.id
                    == "zh/快递.md#1"
            }
        }
    }
}
