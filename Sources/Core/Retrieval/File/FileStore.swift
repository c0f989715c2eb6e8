import IOLoop
import Logging
import Synchronization

/// An index in one file, for one machine: written whole by `parley ingest`, read by many workers.
///
/// A worker keeps the index in memory and looks at the file's stamp when it searches, at most once a second; a file
/// that was replaced is read. One that cannot be read, or is gone, is reported while the old index serves on: nobody
/// deletes a knowledge base by deleting a file that may be on its way. The file is read and not mapped, so that one cut
/// short under our feet is an error and not a SIGBUS.
///
/// Vectors are compared one by one; from 4,000 passages on by a graph, which is built in
/// memory after loading and while exact search goes on: hnswlib trusts what it loads, so a saved graph would be one
/// more file that must be believed. An index of `builtin:lexical` holds no vectors and is searched by its words.
package final class FileStore: VectorStore {
    private struct State {
        var snapshot: IndexSnapshot?
        var stamp: FileStamp?
        var nextLook: ContinuousClock.Instant?
        /// What is being made anew; it is written when it is whole.
        var anew: IndexFile?
        var isLooking = false
        /// Why the file as it is now cannot be used.
        var failure: RetrievalError?
    }

    private static let lookInterval: Duration = .seconds(1)
    private static let maxFileBytes = 16 << 30

    package let path: String
    private let indexesWords: Bool
    private let graphThreshold: Int
    private let logger: Logger
    private let state = Mutex(State())

    /// - Parameter path: the file; a relative one is relative to the working folder. Need not exist.
    /// - Parameter indexesWords: an index of vectors is searched by its words, too; takes time and memory when it is read.
    package convenience init(
        path: String, indexesWords: Bool = true, logger: Logger = Logger(label: "parley.retrieval")
    ) {
        self.init(path: path, indexesWords: indexesWords, graphThreshold: 4000, logger: logger)
    }

    init(path: String, indexesWords: Bool = true, graphThreshold: Int, logger: Logger) {
        self.path = path
        self.indexesWords = indexesWords
        self.graphThreshold = graphThreshold
        self.logger = logger
    }

    package var computes: Bool { true }
    package var location: String { "file:\(path)" }

    package func hasIndex() async -> Bool { state.withLock { $0.snapshot != nil } || FileStamp(path: path) != nil }

    package var current: StoreDescription? { state.withLock { $0.snapshot }?.file.description }

    @concurrent
    package func version() async -> String? {
        guard let snapshot = try? snapshot(lookNow: false) else { return FileStamp(path: path) == nil ? "none" : nil }
        return snapshot.version
    }

    @concurrent
    package func hasTenants() async -> Bool {
        do throws(RetrievalError) { return try snapshot(lookNow: false)?.hasTenants ?? false } catch { return true }
    }

    /// Why the index in use is not the file's, or why there is none in use.
    @concurrent
    package func trouble() async -> String? {
        _ = try? snapshot(lookNow: false)
        return state.withLock { state in
            state.failure.map {
                state.snapshot == nil ? $0.message : "\($0.message); until then the index read before is in use"
            }
        }
    }

    /// `timeout` is not looked at.
    @concurrent
    package func open(timeout: Duration) async throws(RetrievalError) -> StoreDescription? {
        try snapshot(lookNow: true)?.file.description
    }

    /// `timeout` is not looked at: a search takes about as long as reading the index from memory once.
    @concurrent
    package func search(
        _ queries: [SearchQuery], topK: Int, timeout: Duration
    ) async throws(RetrievalError) -> [[Match]] {
        guard let snapshot = try snapshot(lookNow: false) else {
            throw RetrievalError(.notFound, "there is no index at \(path): run parley ingest")
        }
        var rows: [[Match]] = []
        for query in queries { rows.append(try snapshot.search(query, topK: topK)) }
        return rows
    }

    @concurrent
    package func contentHashes() async throws(RetrievalError) -> [String: String] {
        guard let file = try load()?.file else { return [:] }
        return Dictionary(file.documents.map { ($0.id, $0.contentHash) }) { first, _ in first }
    }

    @concurrent
    package func vectors(of documents: Set<String>) async throws(RetrievalError) -> [String: [Float]] {
        // Not the snapshot: its index of words would be made anew after each change.
        guard let file = try load()?.file, file.hasVectors else { return [:] }
        let wanted = file.documents.map { documents.contains($0.id) }
        var vectors: [String: [Float]] = [:]
        for (index, passage) in file.passages.enumerated() where wanted[Int(passage.document)] {
            let start = index * file.dimension
            vectors[file.passage(index).embeddedText] = Array(file.vectors[start..<(start + file.dimension)])
        }
        return vectors
    }

    /// Two that replace at once wait for each other, and neither loses what the other has stored.
    @concurrent
    package func replace(_ update: StoreUpdate) async throws(RetrievalError) {
        try Files.exclusively(in: Files.folder(of: path)) { () throws(RetrievalError) in try replaceNow(update) }
        state.withLock { $0.nextLook = nil }
    }

    private func replaceNow(_ update: StoreUpdate) throws(RetrievalError) {
        guard (1...IndexFile.maxDimension).contains(update.dimension) else {
            throw RetrievalError(
                .incompatible,
                "\(update.embedder) makes vectors of \(update.dimension) numbers; 1 to \(IndexFile.maxDimension) can be stored"
            )
        }
        var file = IndexFile(embedder: update.embedder, dimension: update.dimension)
        if update.startsOver {
            if update.continues, let begun = state.withLock({ $0.anew }) { file = begun }
        } else if let old = try load()?.file {
            guard EmbedderIdentity.matches(old.embedder, update.embedder), old.dimension == update.dimension else {
                throw mismatch(
                    index: old.description, embedder: update.embedder, dimension: update.dimension, at: location)
            }
            file = old
            file.remove(Set(update.documents.map(\.id)).union(update.removed))
        }
        file.probe = update.probe ?? file.probe
        for document in update.documents {
            guard document.vectors.count == document.passages.count,
                document.vectors.allSatisfy({ $0.count == update.dimension })
            else {
                throw RetrievalError(
                    .incompatible, "\(document.id) has vectors of another dimension than \(update.dimension)")
            }
            var unit = document
            for index in unit.vectors.indices { normalize(&unit.vectors[index]) }
            file.append(unit)
        }
        guard !update.startsOver || update.isLast else { return state.withLock { $0.anew = file } }
        state.withLock { $0.anew = nil }
        // Also when it starts over, whatever is there then.
        if let stamp = FileStamp(path: path) {
            guard stamp.isRegular else {
                throw RetrievalError(.foreign, "\(path) is not a file and is left alone: name a file in vectors.url")
            }
            try IndexFile.refuseForeign(try Files.beginning(of: path, IndexFile.headerSize)[...], path: path)
        }
        try Files.write(file.encoded(), to: path)
    }

    /// Whether the index in use has its graph; for tests.
    var hasGraph: Bool { state.withLock { $0.snapshot }?.hasGraph ?? false }

    // MARK: - Loading

    private func load() throws(RetrievalError) -> (file: IndexFile, stamp: FileStamp)? {
        guard let stamp = FileStamp(path: path) else { return nil }
        guard stamp.isRegular else {
            throw RetrievalError(
                .foreign,
                "\(path) is not a file and is left alone: name a file in vectors.url, such as file:folder/name.index")
        }
        let bytes = try Files.read(path, limit: Self.maxFileBytes)
        return (try IndexFile(decoding: bytes, path: path), stamp)
    }

    /// The index to search; one caller at a time looks for a newer one, the others go on with what there is.
    private func snapshot(lookNow: Bool) throws(RetrievalError) -> IndexSnapshot? {
        let now = ContinuousClock.now
        let (known, isDue) = state.withLock { state in
            // Until there is an index every search looks, so that the first one is found by the first search after it.
            let isMissing = state.snapshot == nil && state.stamp == nil
            let isDue = isMissing || !state.isLooking && (lookNow || state.nextLook.map { $0 <= now } ?? true)
            if isDue {
                state.isLooking = true
                state.nextLook = now + Self.lookInterval
            }
            return (state, isDue)
        }
        let result = isDue ? look(known) : known
        if result.snapshot == nil, let failure = result.failure { throw failure }
        return result.snapshot
    }

    private func look(_ known: State) -> State {
        var found = known
        found.isLooking = false
        let stamp = FileStamp(path: path)
        // What may not be read may be allowed later, which a stamp does not show.
        if stamp != known.stamp || known.failure?.code == .unreadable {
            found.stamp = stamp
            found.failure = nil
            do throws(RetrievalError) {
                if let loaded = try load() {
                    found.snapshot = IndexSnapshot(loaded.file, indexesWords: indexesWords)
                } else if known.snapshot != nil {
                    throw RetrievalError(.notFound, "the index file \(path) is gone: run parley ingest again")
                }
            } catch {
                found.failure = error
                if error != known.failure { warn(error, hasOld: known.snapshot != nil) }
            }
        }
        let snapshot = found.snapshot
        let isNew = snapshot !== known.snapshot
        state.withLock { state in
            state.isLooking = false
            state.snapshot = snapshot
            state.stamp = found.stamp
            state.failure = found.failure
        }
        if isNew, let snapshot, snapshot.file.hasVectors, snapshot.file.passages.count >= graphThreshold {
            buildGraph(of: snapshot)
        }
        return found
    }

    private func warn(_ error: RetrievalError, hasOld: Bool) {
        logger.warning(
            "the index file cannot be used",
            metadata: [
                "index": "\(path)", "error": "\(error)",
                "goes_on_with": "\(hasOld ? "the index read before" : "none")",
            ])
    }

    /// A task of its own: it takes seconds, and no search waits for it.
    private func buildGraph(of snapshot: IndexSnapshot) {
        let logger = logger
        Task {
            do throws(IOLoopError) {
                try await offload("hnsw") { snapshot.buildGraph() }
            } catch {
                logger.warning("no graph was built, search stays exact", metadata: ["error": "\(error)"])
            }
        }
    }
}

/// The error for an index and an embedder that do not fit.
func mismatch(
    index: StoreDescription, embedder: String, dimension: Int?, at location: String
) -> RetrievalError {
    let holds = "\(index.embedder ?? "an unnamed model")\(index.dimension.map { " (\($0) numbers)" } ?? "")"
    let makes = "\(embedder)\(dimension.map { " (\($0) numbers)" } ?? "")"
    return RetrievalError(
        .incompatible,
        "the index at \(location) was made with \(holds), the configured embedder is \(makes): run parley ingest again, or set embeddings.url and embeddings.model to what made the index"
    )
}
