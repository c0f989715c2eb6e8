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
    /// Everything was embedded again, and the new index has taken the old one's place.
    package var startedOver: Bool { reason != nil }
    /// Why, in words.
    package var reason: String?
    /// Passages of changed documents whose vectors were known.
    package var reused = 0
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
        /// For the first call, of one short text: whoever hangs is noticed by it. Default 20 s.
        package var probeTimeout: Duration = .seconds(20)
        /// Make everything anew, whatever the index holds.
        package var makesAnew = false

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
        fileprivate var probe: EmbedderProbe?
    }

    /// What is known of an index.
    private struct Known {
        var marks: [String: DocumentMark] = [:]
        /// Why nothing can be added to it; nil when something can.
        var reason: String?
        /// The embedder's.
        var probe: EmbedderProbe?

        var fits: Bool { reason == nil }
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
        _ documents: [Document], skipped: [SkippedInput], index: Known,
        isGone: (_ id: String, _ mark: DocumentMark) -> Bool
    ) throws(RetrievalError) -> Plan {
        var plan = Plan()
        plan.summary.skipped = skipped
        plan.summary.known = index.marks.count
        plan.summary.reason = index.reason
        plan.probe = index.probe
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
                    "nothing can be added to the index at \(store.location), \(index.reason ?? ""): ingest all of its documents, "
                        + "without --keep"
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
        var filler = Filler(
            ingestor: self, total: total, startsOver: summary.startedOver, removed: plan.removed, probe: plan.probe)
        let changed = summary.startedOver ? [] : Set(summary.changedIDs)
        for start in stride(from: 0, to: cut.count, by: Self.lookAhead) {
            let group = cut[start..<min(start + Self.lookAhead, cut.count)]
            let known = changed.intersection(group.map(\.0.id))
            // What it was embedded to before, it would be embedded to again.
            filler.known = known.isEmpty ? [:] : try await store.vectors(of: known)
            for (document, hash, passages) in group {
                summary.passages += passages.count
                try await filler.add(document, hash: hash, passages: passages, progress: progress)
            }
        }
        try await filler.finish(progress: progress)
        summary.reused = filler.reused
        return summary
    }

    /// Documents whose old vectors are looked up together.
    private static let lookAhead = 1024

    /// What the index holds, and whether more can be added to it.
    private func known() async throws(RetrievalError) -> Known {
        let (probe, dimension) = try await EmbedderProbe.of(embedder, timeout: options.probeTimeout)
        var known = Known(probe: probe)
        do throws(RetrievalError) {
            if let index = try await store.open() { known.reason = reason(against: index, probe, dimension) }
            known.marks = try await store.contentHashes().mapValues { DocumentMark($0) }
        } catch  where error.code == .corrupt {
            known.reason = "which is damaged"
        }
        if known.reason == nil, options.makesAnew, !known.marks.isEmpty { known.reason = "which is to be made anew" }
        return known
    }

    /// Why nothing can be added to an index; nil when something can.
    private func reason(against index: StoreDescription, _ probe: EmbedderProbe?, _ dimension: Int?) -> String? {
        guard let embedder = index.embedder else { return nil }
        if !EmbedderIdentity.matches(embedder, self.embedder.identity) {
            return "which was made with another embedder (\(embedder), now \(self.embedder.identity))"
        }
        if index.isOutdated { return "which an earlier version of Parley made" }
        if index.dimension != nil, index.dimension != dimension {
            return
                "whose vectors have \(index.dimension ?? 0) numbers, and those of \(self.embedder.identity) \(dimension ?? 0)"
        }
        guard EmbedderProbe.isSame(index.probe, probe) else {
            return "which was made with another model of the same name (\(self.embedder.identity))"
        }
        return nil
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
    let startsOver: Bool
    let probe: EmbedderProbe?
    /// Vectors that need not be made, by the texts that they are of.
    var known: [String: [Float]] = [:]
    private(set) var reused = 0
    private var removed: [String]
    private var documents: [(document: Document, hash: String, passages: [Passage])] = []
    /// One for each passage of `documents`; nil until it is embedded.
    private var vectors: [[Float]?] = []
    /// Places in `vectors`, and what is to be embedded for them.
    private var waiting: [(place: Int, passage: Passage)] = []
    private var done = 0
    private var hasFlushed = false
    /// Numbers in a vector.
    private var dimension: Int?

    init(ingestor: Ingestor, total: Int, startsOver: Bool, removed: [String], probe: EmbedderProbe?) {
        self.ingestor = ingestor
        self.total = total
        self.startsOver = startsOver
        self.removed = removed
        self.probe = probe
    }

    mutating func add(
        _ document: Document, hash: String, passages: [Passage], progress: (IngestProgress) -> Void
    ) async throws(RetrievalError) {
        // What is made anew is shown whole, so that the last update has to be known as such.
        if vectors.count >= ingestor.options.flushSize { try await flush(isLast: false, progress) }
        documents.append((document, hash, passages))
        for passage in passages {
            let vector = known[passage.embeddedText]
            if vector == nil { waiting.append((vectors.count, passage)) } else { reused += 1 }
            vectors.append(vector)
        }
        while waiting.count >= ingestor.options.batchSize { try await embed(progress) }
    }

    mutating func finish(progress: (IngestProgress) -> Void) async throws(RetrievalError) {
        if !documents.isEmpty || !removed.isEmpty { try await flush(isLast: true, progress) }
    }

    private mutating func embed(_ progress: (IngestProgress) -> Void) async throws(RetrievalError) {
        let batch = waiting.prefix(ingestor.options.batchSize)
        let made = await ingestor.embedder.embed(
            batch.map(\.passage.embeddedText), as: .passage, timeout: ingestor.options.embedTimeout)
        guard made.count == batch.count else {
            throw RetrievalError(
                .invalidResponse, "\(ingestor.embedder.identity) gave \(made.count) vectors for \(batch.count) passages"
            )
        }
        for (next, vector) in zip(batch, made) {
            do throws(RetrievalError) {
                vectors[next.place] = try vector.get().numbers
            } catch {
                throw error.isRefusal ? error.of("the passage \(next.passage.id)") : error
            }
        }
        waiting.removeFirst(batch.count)
        done += batch.count
        progress(IngestProgress(phase: .embedding, done: done + reused, total: total))
    }

    private mutating func flush(isLast: Bool, _ progress: (IngestProgress) -> Void) async throws(RetrievalError) {
        while !waiting.isEmpty { try await embed(progress) }
        var start = 0
        var ready: [EmbeddedDocument] = []
        for (document, hash, passages) in documents {
            ready.append(
                EmbeddedDocument(
                    id: document.id, title: document.title, contentHash: hash, attributes: document.attributes,
                    passages: passages, vectors: vectors[start..<(start + passages.count)].map { $0 ?? [] }))
            start += passages.count
        }
        dimension = vectors.compactMap { $0?.count }.first ?? dimension ?? ingestor.embedder.dimension
        guard let dimension = dimension ?? ingestor.store.current?.dimension else {
            throw RetrievalError(.invalidResponse, "the dimension of \(ingestor.embedder.identity) is not known")
        }
        progress(IngestProgress(phase: .storing, done: done + reused, total: total))
        var update = StoreUpdate(
            embedder: ingestor.embedder.identity, dimension: dimension, startsOver: startsOver, documents: ready,
            removed: removed, probe: probe)
        update.continues = hasFlushed
        update.isLast = isLast
        try await ingestor.store.replace(update)
        hasFlushed = true
        removed = []
        documents = []
        vectors = []
    }
}
