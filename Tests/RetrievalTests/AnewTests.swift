import Synchronization
import Testing

@testable import Retrieval

/// A model of whose vectors nothing is known but that they are its own.
final class ModelEmbedder: Embedder {
    let identity = "model"
    let dimension: Int? = 8
    private let seed: UInt64
    private let noise: Float
    private let asked = Mutex<[(texts: [String], timeout: Duration)]>([])
    private let before: @Sendable (_ call: Int) async throws -> Void

    /// Texts that were embedded as passages, the probe apart.
    var passages: [String] { asked.withLock { $0.flatMap(\.texts).filter { $0 != EmbedderProbe.text } } }
    var timeouts: [Duration] { asked.withLock { $0.map(\.timeout) } }

    /// - Parameter before: what happens before a call of passages is answered, from 1.
    init(seed: UInt64, noise: Float = 0, before: @escaping @Sendable (_ call: Int) async throws -> Void = { _ in }) {
        self.seed = seed
        self.noise = noise
        self.before = before
    }

    func embed(
        _ texts: [String], as role: TextRole, timeout: Duration
    ) async -> [Result<Embedding, RetrievalError>] {
        let call = asked.withLock { asked in
            if role == .passage { asked.append((texts, timeout)) }
            return asked.count { $0.texts != [EmbedderProbe.text] }
        }
        do {
            if role == .passage, texts != [EmbedderProbe.text] { try await before(call) }
        } catch {
            return texts.map { _ in .failure(RetrievalError(.unavailable, "it is ill")) }
        }
        return texts.map { text in
            var random = Seeded(state: text.utf8.reduce(seed) { $0 &* 31 &+ UInt64($1) })
            return .success(Embedding((0..<8).map { _ in Float.random(in: -1...1, using: &random) + noise }))
        }
    }
}

@Suite(.serialized) struct AnewTests {
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

    private func documents(_ count: Int, _ word: String = "old") -> [Document] {
        (0..<count).map { Document(id: "\(word)\($0).md", title: "\(word) \($0)", text: "Text \(word) \($0).") }
    }

    private static let small = Ingestor.Options(batchSize: 4, flushSize: 8)

    @Test(arguments: StoreCase.all)
    func anotherModelOfTheSameNameAndSizeIsNoticed(_ place: StoreCase) async throws {
        try await with(place) { store, another in
            let model = ModelEmbedder(seed: 1)
            _ = try await Ingestor(embedder: model, store: store).ingest(documents(3))
            #expect(try await Retriever(embedder: model, store: another).check()?.passages == 3)
            // On another machine, or with other weights of the same model, vectors are a little different.
            _ = try await Retriever(embedder: ModelEmbedder(seed: 1, noise: 0.05), store: another).check()
            let other = ModelEmbedder(seed: 2)
            for probe in [true, false] {
                await #expect {
                    let retriever = Retriever(embedder: other, store: another)
                    if probe {
                        try await retriever.probeEmbedder(timeout: .seconds(60))
                    } else {
                        try await retriever.check()
                    }
                } throws: {
                    guard let error = $0 as? RetrievalError else { return false }
                    return error.code == .incompatible && error.part == .embedder
                        && error.message.contains("another model") && error.message.contains("parley ingest")
                }
            }
            let keeping = Ingestor(embedder: other, store: store, options: .init(removesVanished: false))
            await #expect { _ = try await keeping.ingest(documents(1)) } throws: {
                ($0 as? RetrievalError)?.message.contains("another model of the same name") == true
            }
            let summary = try await Ingestor(embedder: other, store: store).ingest(documents(3))
            #expect(summary.startedOver && summary.added == 3)
            #expect(summary.reason?.contains("another model of the same name (model)") == true)
            _ = try await Retriever(embedder: other, store: another).check()
        }
    }

    /// Readers find all of the old, then all of the new.
    @Test(arguments: StoreCase.all)
    func whatIsMadeAnewIsSeenWholeOrNotAtAll(_ place: StoreCase) async throws {
        try await with(place) { store, another in
            _ = try await Ingestor(embedder: ModelEmbedder(seed: 1), store: store).ingest(documents(30))
            let reader = Retriever(embedder: ModelEmbedder(seed: 1), store: another)
            _ = try await reader.check()
            let seen = Mutex<[Int]>([])
            let model = ModelEmbedder(seed: 1) { _ in
                let ids = try await another.contentHashes().keys
                let found = try await reader.matches(["Text"], topK: 64, timeout: .seconds(60))[0]
                #expect(ids.allSatisfy { $0.hasPrefix("old") } && ids.count == 30)
                #expect(found.allSatisfy { $0.passage.documentID.hasPrefix("old") })
                seen.withLock { $0.append(found.count) }
            }
            var options = Self.small
            options.makesAnew = true
            let summary = try await Ingestor(embedder: model, store: store, options: options).ingest(
                documents(20, "new"))
            #expect(summary.startedOver && summary.added == 20 && summary.passages == 20)
            #expect(seen.withLock { $0 } == [30, 30, 30, 30, 30])
            #expect(try await another.contentHashes().count == 20)
            try await eventually {
                let found = try? await reader.matches(["Text"], topK: 64, timeout: .seconds(60))[0]
                return found?.count == 20 && found?.allSatisfy { $0.passage.documentID.hasPrefix("new") } == true
            }
            // And from there things go on as ever: changed documents in place, then anew again.
            let changed = documents(20, "new").map { document in
                var document = document
                if document.id == "new7.md" { document.text = "Another text." }
                return document
            }
            let quiet = ModelEmbedder(seed: 1)
            #expect(try await Ingestor(embedder: quiet, store: store).ingest(changed).changed == 1)
            #expect(try await Ingestor(embedder: quiet, store: store, options: options).ingest(documents(9)).added == 9)
            #expect(try await another.contentHashes().count == 9)
            #expect(try await another.open()?.passages == 9)
        }
    }

    @Test(arguments: StoreCase.all)
    func whatIsNotMadeToTheEndLeavesTheOldIndex(_ place: StoreCase) async throws {
        try await with(place) { store, another in
            _ = try await Ingestor(embedder: ModelEmbedder(seed: 1), store: store).ingest(documents(30))
            let ill = ModelEmbedder(seed: 2) { if $0 == 4 { throw CancellationError() } }
            await #expect(throws: RetrievalError.self) {
                _ = try await Ingestor(embedder: ill, store: store, options: Self.small).ingest(documents(30))
            }
            #expect(try await Retriever(embedder: ModelEmbedder(seed: 1), store: another).check()?.passages == 30)
            let well = ModelEmbedder(seed: 2)
            let summary = try await Ingestor(embedder: well, store: another, options: Self.small).ingest(documents(25))
            #expect(summary.startedOver)
            #expect(try await Retriever(embedder: well, store: store).check()?.passages == 25)
        }
    }

    @Test func whatHasNotChangedInADocumentIsNotEmbeddedAgain() async throws {
        let folder = try TemporaryFolder()
        let store = FileStore(path: "\(folder.path)/k.index", logger: quiet)
        let sections = (1...6).map { "## Section \($0)\n\n" + String(repeating: "Words of section \($0). ", count: 30) }
        func document(_ sections: [String]) -> [Document] {
            [Document(id: "a.md", title: "A", text: "# A\n\n" + sections.joined(separator: "\n\n"))]
        }
        let ingestor = { Ingestor(embedder: $0, store: store) }
        let first = ModelEmbedder(seed: 1)
        #expect(try await ingestor(first).ingest(document(sections)).reused == 0)
        var changed = sections
        changed[2] += "Something new."
        let second = ModelEmbedder(seed: 1)
        let summary = try await ingestor(second).ingest(document(changed))
        #expect(summary.changed == 1 && summary.passages == first.passages.count)
        #expect(second.passages.count == 1 && summary.reused == summary.passages - 1)
        #expect(second.passages.allSatisfy { $0.contains("Something new.") })
        // And they are where they belong.
        let retriever = Retriever(embedder: second, store: store)
        let found = try await retriever.matches(["anything"], topK: 20, timeout: .seconds(60))[0]
        #expect(found.map(\.passage.text).joined().contains("Something new."))
        let stored = try await store.vectors(of: ["a.md"])
        for text in first.passages where stored[text] != nil {
            var vector = try await second.vectors(of: [text], as: .passage, timeout: .seconds(60))[0].numbers
            normalize(&vector)
            #expect(zip(vector, stored[text] ?? []).allSatisfy { abs($0 - $1) < 1e-5 })
        }
    }

    @Test func aHangingEmbedderIsNoticedByOneShortText() async throws {
        let folder = try TemporaryFolder()
        let store = FileStore(path: "\(folder.path)/k.index", logger: quiet)
        let model = ModelEmbedder(seed: 1)
        _ = try await Ingestor(embedder: model, store: store).ingest(documents(1))
        #expect(model.timeouts == [.seconds(20), .seconds(120)])
    }

    @Test func probesOfOneModelAreAlikeAndOfTwoAreNot() {
        var random = Seeded(state: 4)
        let vector = (0..<384).map { _ in Float.random(in: -1...1, using: &random) }
        let other = (0..<384).map { _ in Float.random(in: -1...1, using: &random) }
        let probe = EmbedderProbe(of: vector)
        #expect(probe?.numbers.count == 64)
        #expect(EmbedderProbe.isSame(probe, EmbedderProbe(of: vector.map { $0 * 3 })))
        #expect(!EmbedderProbe.isSame(probe, EmbedderProbe(of: other)))
        #expect(EmbedderProbe.isSame(nil, probe) && EmbedderProbe.isSame(probe, nil))
        #expect(EmbedderProbe(of: []) == nil && EmbedderProbe(of: [.nan]) == nil)
    }
}
