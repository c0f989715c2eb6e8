/// How far ingestion has come.
package struct IngestProgress: Sendable, Equatable {
    package enum Phase: String, Sendable { case reading, embedding, storing }
    package var phase: Phase
    /// Passages done of those to embed; of nothing while reading.
    package var done: Int
    package var total: Int

    package init(phase: Phase, done: Int = 0, total: Int = 0) {
        self.phase = phase
        self.done = done
        self.total = total
    }
}

/// What ingestion did, or would do.
package struct IngestSummary: Sendable, Equatable {
    /// Documents that were not in the index before.
    package var added: Int { addedIDs.count }
    /// Documents whose content is another than before.
    package var changed: Int { changedIDs.count }
    package var unchanged = 0
    /// Documents that are gone from what was read, and so from the index.
    package var removed: Int { removedIDs.count }
    /// Passages that were embedded and stored.
    package var passages = 0
    /// The index was made with another embedder before, so everything was embedded again.
    package var startedOver = false
    package var skipped: [SkippedInput] = []
    /// How many documents the index held before.
    package var known = 0

    package var addedIDs: [String] = []
    package var changedIDs: [String] = []
    package var removedIDs: [String] = []
    /// Of the removed: their file was read, and is there under another id.
    package var renamed = 0

    /// What should have been read and could not be.
    package var unreadable: [SkippedInput] { skipped.filter(\.isUnreadable) }

    /// So many documents go that it might be a mistake: more than a fifth, one alone excepted.
    package var removesMany: Bool {
        let gone = removed - renamed
        return gone > 1 && gone * 5 > known
    }

    package init() {}
}

/// Loads documents into an index: reads them, cuts them into passages, embeds those of new and changed documents, and
/// stores them. Documents of the index are removed when they lay below what was named and are not there any more; what could not
/// be read stays, and so does what lies elsewhere.
package struct Ingestor: Sendable {
    package struct Options: Sendable {
        package var chunker: Chunker
        /// Passages in one call of the embedder. Default 64.
        package var batchSize: Int
        /// Remove documents that are gone. Default true; false adds to what the index holds.
        package var removesVanished: Bool
        /// Passages embedded before they are stored, in whole documents. Default 4,096.
        package var flushSize: Int
        /// For one call of the embedder. Default 120 s.
        package var embedTimeout: Duration

        package init(
            chunker: Chunker = Chunker(), batchSize: Int = 64, removesVanished: Bool = true, flushSize: Int = 4096,
            embedTimeout: Duration = .seconds(120)
        ) {
            self.chunker = chunker
            self.batchSize = max(1, batchSize)
            self.removesVanished = removesVanished
            self.flushSize = max(1, flushSize)
            self.embedTimeout = embedTimeout
        }
    }

    package let embedder: any Embedder
    package let store: any VectorStore
    package let options: Options

    package init(embedder: any Embedder, store: any VectorStore, options: Options = .init()) {
        self.embedder = embedder
        self.store = store
        self.options = options
    }

    /// What is to be done to an index; nothing of it is done yet.
    package struct Plan: Sendable {
        package fileprivate(set) var summary = IngestSummary()
        fileprivate var waiting: [(document: Document, hash: String)] = []
        fileprivate var removed: [String] = []
    }

    /// Ingests the documents below `paths` (see ``DocumentReader``).
    ///
    /// - Parameter progress: called after each batch.
    /// - Throws: ``RetrievalError``; `noDocuments` when a path does not exist or no document was found at all, which
    ///   would empty the index. What was stored before stays stored, and the next run goes on from there.
    @concurrent
    package func ingest(
        paths: [String], progress: @Sendable (IngestProgress) -> Void = { _ in }
    ) async throws(RetrievalError) -> IngestSummary {
        progress(IngestProgress(phase: .reading))
        return try await carryOut(try await plan(paths: paths), progress: progress)
    }

    /// Reads the documents below `paths`, and says what they change.
    ///
    /// - Parameter isTrial: nothing will be done: that nothing could be read is then worth no error.
    @concurrent
    package func plan(paths: [String], isTrial: Bool = false) async throws(RetrievalError) -> Plan {
        let index = try await known()
        let marks = index.marks
        let read = try DocumentReader().find(paths, knownRoots: Set(marks.values.compactMap(\.root)))
        let isOnlyUnreadable = isTrial && read.skipped.contains(where: \.isUnreadable)
        guard !read.documents.isEmpty || isOnlyUnreadable else {
            let reasons = read.skipped.prefix(3).map(\.description).joined(separator: "; ")
            throw RetrievalError(
                .noDocuments,
                "no documents in \(paths.joined(separator: ", ")): nothing was changed\(reasons.isEmpty ? "" : " (\(reasons))")"
            )
        }
        let departed = Departed(read, known: marks)
        return try plan(read.documents, skipped: read.skipped, index: index) { departed.contains($1) }
    }

    /// Ingests documents that were read elsewhere: all there are.
    @concurrent
    package func ingest(
        _ documents: [Document], skipped: [SkippedInput] = [], progress: @Sendable (IngestProgress) -> Void = { _ in }
    ) async throws(RetrievalError) -> IngestSummary {
        let plan = try plan(documents, skipped: skipped, index: try await known()) { _, _ in true }
        return try await carryOut(plan, progress: progress)
    }

    private func plan(
        _ documents: [Document], skipped: [SkippedInput], index: (marks: [String: DocumentMark], fits: Bool),
        isGone: (_ id: String, _ mark: DocumentMark) -> Bool
    ) throws(RetrievalError) -> Plan {
        var plan = Plan()
        plan.summary.skipped = skipped
        plan.summary.known = index.marks.count
        plan.summary.startedOver = !index.fits
        for document in documents {
            let hash = contentHash(document)
            switch index.fits ? index.marks[document.id]?.hash : nil {
            case nil: plan.summary.addedIDs.append(document.id)
            case hash:
                plan.summary.unchanged += 1
                continue
            default: plan.summary.changedIDs.append(document.id)
            }
            plan.waiting.append((document, DocumentMark(hash: hash, origin: document.origin).text))
        }
        let kept = Set(documents.map(\.id))
        let missing = index.marks.filter { !kept.contains($0.key) }
        guard index.fits else {
            // All that is not read now would be lost with the old embedder's vectors.
            guard options.removesVanished || missing.isEmpty else {
                throw RetrievalError(
                    .incompatible,
                    "the index at \(store.location) was made with another embedder than \(embedder.identity), so that nothing "
                        + "can be added to it: ingest all of its documents, without --keep"
                )
            }
            plan.summary.removedIDs = missing.keys.sorted()
            return plan
        }
        guard options.removesVanished else { return plan }
        let gone = missing.filter { isGone($0.key, $0.value) }
        plan.removed = gone.keys.sorted()
        plan.summary.removedIDs = plan.removed
        let places = Set(documents.compactMap { $0.origin?.path })
        plan.summary.renamed = gone.values.count { $0.path.map(places.contains) ?? false }
        return plan
    }

    /// Embeds and stores what was planned.
    @concurrent
    package func carryOut(
        _ plan: Plan, progress: @Sendable (IngestProgress) -> Void = { _ in }
    ) async throws(RetrievalError) -> IngestSummary {
        var summary = plan.summary
        guard !plan.waiting.isEmpty || !plan.removed.isEmpty else { return summary }
        let cut = plan.waiting.map { ($0.document, $0.hash, options.chunker.passages(of: $0.document)) }
        let total = cut.reduce(0) { $0 + $1.2.count }
        var filler = Filler(ingestor: self, total: total, startsOver: summary.startedOver, removed: plan.removed)
        for (document, hash, passages) in cut {
            summary.passages += passages.count
            try await filler.add(document, hash: hash, passages: passages, progress: progress)
        }
        try await filler.finish(progress: progress)
        return summary
    }

    /// What the index holds, and whether more can be added to it: not when it is another embedder's, or damaged.
    private func known() async throws(RetrievalError) -> (marks: [String: DocumentMark], fits: Bool) {
        let fits = try await fits()
        do throws(RetrievalError) {
            return (try await store.contentHashes().mapValues { DocumentMark($0) }, fits)
        } catch  where error.code == .corrupt {
            return ([:], false)
        }
    }

    /// Whether the index, if there is one, was made with this embedder.
    private func fits() async throws(RetrievalError) -> Bool {
        do throws(RetrievalError) {
            guard let index = try await store.open() else { return true }
            guard let embedder = index.embedder else { return true }
            guard EmbedderIdentity.matches(embedder, self.embedder.identity), !index.isOutdated else { return false }
            var dimension = self.embedder.dimension
            if dimension == nil, index.dimension != nil {
                let vectors = try await self.embedder.vectors(
                    of: ["dimension"], as: .passage, timeout: options.embedTimeout)
                dimension = vectors.first?.count
            }
            return index.dimension == nil || index.dimension == dimension
        } catch  where error.code == .corrupt {
            return false
        }
    }

    private func contentHash(_ document: Document) -> String {
        var hash = ContentHash()
        for text in [
            options.chunker.identity, document.title, document.language ?? "", document.attributes.digest,
            document.text,
        ] { hash.add(text) }
        return hash.hex
    }
}

/// Collects passages across documents into full batches, and documents into updates.
private struct Filler {
    let ingestor: Ingestor
    let total: Int
    var startsOver: Bool
    var removed: [String]
    private var documents: [(document: Document, hash: String, passages: [Passage])] = []
    private var vectors: [[Float]] = []
    /// Not embedded yet.
    private var waiting: [Passage] = []
    private var embedded = 0

    init(ingestor: Ingestor, total: Int, startsOver: Bool, removed: [String]) {
        self.ingestor = ingestor
        self.total = total
        self.startsOver = startsOver
        self.removed = removed
    }

    mutating func add(
        _ document: Document, hash: String, passages: [Passage], progress: (IngestProgress) -> Void
    ) async throws(RetrievalError) {
        documents.append((document, hash, passages))
        waiting += passages
        while waiting.count >= ingestor.options.batchSize { try await embed(progress) }
        if vectors.count + waiting.count >= ingestor.options.flushSize { try await flush(progress) }
    }

    mutating func finish(progress: (IngestProgress) -> Void) async throws(RetrievalError) {
        if !documents.isEmpty || !removed.isEmpty { try await flush(progress) }
    }

    private mutating func embed(_ progress: (IngestProgress) -> Void) async throws(RetrievalError) {
        let batch = waiting.prefix(ingestor.options.batchSize)
        let made = await ingestor.embedder.embed(
            batch.map(\.embeddedText), as: .passage, timeout: ingestor.options.embedTimeout)
        guard made.count == batch.count else {
            throw RetrievalError(
                .invalidResponse, "\(ingestor.embedder.identity) gave \(made.count) vectors for \(batch.count) passages"
            )
        }
        for (passage, vector) in zip(batch, made) {
            do throws(RetrievalError) {
                vectors.append(try vector.get().numbers)
            } catch {
                throw error.isRefusal ? error.of("the passage \(passage.id)") : error
            }
        }
        waiting.removeFirst(batch.count)
        embedded += batch.count
        progress(IngestProgress(phase: .embedding, done: embedded, total: total))
    }

    private mutating func flush(_ progress: (IngestProgress) -> Void) async throws(RetrievalError) {
        while !waiting.isEmpty { try await embed(progress) }
        var start = 0
        var ready: [EmbeddedDocument] = []
        for (document, hash, passages) in documents {
            ready.append(
                EmbeddedDocument(
                    id: document.id, title: document.title, contentHash: hash, attributes: document.attributes,
                    passages: passages,
                    vectors: Array(vectors[start..<(start + passages.count)])))
            start += passages.count
        }
        let dimension: Int
        if let known = vectors.first?.count ?? ingestor.embedder.dimension {
            dimension = known
        } else if let known = ingestor.store.current?.dimension {
            dimension = known
        } else {
            throw RetrievalError(.invalidResponse, "the dimension of \(ingestor.embedder.identity) is not known")
        }
        progress(IngestProgress(phase: .storing, done: embedded, total: total))
        try await ingestor.store.replace(
            StoreUpdate(
                embedder: ingestor.embedder.identity, dimension: dimension, startsOver: startsOver, documents: ready,
                removed: removed))
        startsOver = false
        removed = []
        documents = []
        vectors = []
    }
}
