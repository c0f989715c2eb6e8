import Logging
import ParleyHTTP

/// What is known of an index.
package struct StoreDescription: Sendable, Equatable {
    /// Floats in a vector; nil while the index is empty.
    package var dimension: Int?
    /// ``Embedder/identity`` of the embedder that filled it; nil when the index does not say.
    package var embedder: String?
    package var passages: Int
    /// Nil where counting them would mean to read everything.
    package var documents: Int?
    /// What the embedder made of a text of its own choice then; nil when the index does not say.
    package var probe: EmbedderProbe?
    /// An earlier version made it, and nothing can be added to it: the next ingest makes it anew.
    package var isOutdated = false

    package init(dimension: Int?, embedder: String?, passages: Int, documents: Int?, probe: EmbedderProbe? = nil) {
        self.probe = probe
        self.dimension = dimension
        self.embedder = embedder
        self.passages = passages
        self.documents = documents
    }
}

/// A document with its passages and their vectors, ready to be stored.
package struct EmbeddedDocument: Sendable, Equatable {
    package var id: String
    package var title: String
    /// Changes when anything that the passages depend on changes.
    package var contentHash: String
    package var attributes: Attributes
    package var passages: [Passage]
    /// One for each passage.
    package var vectors: [[Float]]

    package init(
        id: String, title: String, contentHash: String, attributes: Attributes = .init(), passages: [Passage],
        vectors: [[Float]]
    ) {
        self.attributes = attributes
        self.id = id
        self.title = title
        self.contentHash = contentHash
        self.passages = passages
        self.vectors = vectors
    }
}

/// A change of an index.
package struct StoreUpdate: Sendable {
    /// The ``Embedder/identity`` that made the vectors.
    package var embedder: String
    package var dimension: Int
    /// It is of an index that is made anew, beside the one in use: readers see nothing of it before the last update.
    package var startsOver: Bool
    /// It goes on with what an update before it has begun; only of one that ``startsOver``.
    package var continues = false
    /// What has been made anew takes the place of what there was; only of one that ``startsOver``.
    package var isLast = true
    /// Replace the documents of these ids, whether they exist or not.
    package var documents: [EmbeddedDocument]
    /// Ids of documents to remove.
    package var removed: [String]
    /// The embedder's; nil leaves what the index has.
    package var probe: EmbedderProbe?

    package init(
        embedder: String, dimension: Int, startsOver: Bool = false, documents: [EmbeddedDocument] = [],
        removed: [String] = [], probe: EmbedderProbe? = nil
    ) {
        self.probe = probe
        self.embedder = embedder
        self.dimension = dimension
        self.startsOver = startsOver
        self.documents = documents
        self.removed = removed
    }
}

/// Keeps passages with their vectors, and finds the nearest.
package protocol VectorStore: Sendable {
    /// Where it is, as messages name it. No secrets.
    var location: String { get }
    /// Whether searching computes in this process, for milliseconds with a large index, instead of waiting for a server.
    var computes: Bool { get }
    /// Whether there is an index; a server is asked, for at most two seconds, when that is not known. True when it cannot
    /// be told: a search then says why.
    ///
    /// It may turn out wrong: a search then throws ``RetrievalError/Code-swift.struct/notFound``, which means the same.
    func hasIndex() async -> Bool
    /// The index in use; nil when there is none or nothing is known yet.
    var current: StoreDescription? { get }
    /// Which state of its contents searches find: another after each change of them, the same for all who search it; looked
    /// at anew, if not more than once a second. `none` when there is no index, nil when it cannot be told.
    func version() async -> String?
    /// Whether some passages are one tenant's alone: then two tenants' questions have two answers. True when it cannot be told.
    func hasTenants() async -> Bool
    /// What is wrong although searches go on, in one sentence.
    func trouble() async -> String?
    /// Looks at the index; nil when there is none yet.
    func open(timeout: Duration) async throws(RetrievalError) -> StoreDescription?
    /// The nearest passages of each query, nearest first, at most `topK`, of those that its filter admits and of no others; all
    /// queries in one call.
    func search(_ queries: [SearchQuery], topK: Int, timeout: Duration) async throws(RetrievalError) -> [[Match]]
    /// The content hash of every stored document, by id; empty when there is no index.
    func contentHashes() async throws(RetrievalError) -> [String: String]
    /// Changes the index, which is made if it does not exist.
    func replace(_ update: StoreUpdate) async throws(RetrievalError)
    /// What the passages of some documents were embedded to, by ``Passage/embeddedText``; nothing of a store that does not say.
    func vectors(of documents: Set<String>) async throws(RetrievalError) -> [String: [Float]]
    /// Sends another token from the next call on.
    func useToken(_ token: String) throws(RetrievalError)
}

extension VectorStore {
    package var computes: Bool { false }
    package func useToken(_ token: String) {}

    package func trouble() async -> String? { nil }

    package func hasTenants() async -> Bool { true }

    package func vectors(of documents: Set<String>) async throws(RetrievalError) -> [String: [Float]] { [:] }

    package func open() async throws(RetrievalError) -> StoreDescription? { try await open(timeout: .seconds(10)) }

    /// Searches by vectors alone.
    package func search(
        _ queries: [[Float]], topK: Int, timeout: Duration
    ) async throws(RetrievalError) -> [[Match]] {
        try await search(queries.map { SearchQuery(vector: Embedding($0)) }, topK: topK, timeout: timeout)
    }
}

/// Makes the store that `vectors.url` names: `file:PATH`, `chroma+http://host:port/collection` or
/// `qdrant+http://host:port/collection` (with `https` too), or `postgresql://user@host:port/database/collection`.
///
/// - Parameters:
///   - token: for a Chroma or Qdrant server that wants one, or a PostgreSQL user's password; nil or empty sends none.
///   - indexesWords: an index file of vectors is searched by its words, too (``SearchQuery/isHybrid``).
/// - Throws: ``RetrievalError/Code-swift.struct/invalidSetting`` naming what is allowed.
package func makeStore(
    url: String, token: String? = nil, indexesWords: Bool = true, http: HTTPClient,
    logger: Logger = Logger(label: "parley.retrieval")
) throws(RetrievalError) -> any VectorStore {
    if url.hasPrefix("file:") {
        var path = url.dropFirst("file:".count)
        if path.hasPrefix("///") { path = path.dropFirst(2) }
        guard !path.isEmpty, !path.hasSuffix("/"), !path.hasPrefix("//") else {
            throw RetrievalError(
                .invalidSetting, "vectors.url is \"\(url)\": write file:folder/name.index or file:/absolute/name.index")
        }
        return FileStore(path: String(path), indexesWords: indexesWords, logger: logger)
    }
    if url.hasPrefix("chroma+http://") || url.hasPrefix("chroma+https://") {
        return try ChromaStore(url: String(url.dropFirst("chroma+".count)), token: token, http: http)
    }
    if url.hasPrefix("qdrant+http://") || url.hasPrefix("qdrant+https://") {
        return try QdrantStore(url: String(url.dropFirst("qdrant+".count)), token: token, http: http)
    }
    if PostgresLocation.isMeant(by: url) { return try PostgresStore(url: url, token: token) }
    throw RetrievalError(
        .invalidSetting,
        "vectors.url is \"\(withoutUserInfo(url))\": write file:folder/name.index, chroma+http://host:port/collection (chroma+https too), qdrant+http://host:port/collection (qdrant+https too), or \(PostgresLocation.example)"
    )
}
