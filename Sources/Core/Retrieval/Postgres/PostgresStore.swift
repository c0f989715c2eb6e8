import ParleyPostgres
import Synchronization

/// A collection in a PostgreSQL database with the extension pgvector.
///
/// A table of passages, one of documents, and a line in `parley_collections`, which names the two. Whatever an update changes is
/// one transaction, so that a search sees all of it or nothing. What is made anew is made in tables beside those in use; one
/// changed line then names them, and who still searches the old ones finds them gone and looks up the new.
package final class PostgresStore: VectorStore {
    /// What `parley_collections` says.
    struct Collection: Sendable {
        var table: String
        var version: String
        var description: StoreDescription
        var hasTenants: Bool
    }

    static let collections = "parley_collections"
    private static let lookTimeout: Duration = .seconds(2)
    /// One statement that writes, and one that may look at every row.
    static let writeTimeout: Duration = .seconds(60)
    /// An update in all: waiting for another ingest, and making the graph of a million passages.
    static let updateTimeout: Duration = .seconds(3 * 3600)
    private static let connections = 8

    let place: PostgresLocation
    let pool: PostgresPool
    private let remembered = Remembered<Collection>()
    /// The tables of what is being made anew.
    let anew = Mutex<String?>(nil)
    /// From so many passages on a graph is made; below, all are compared.
    let graphThreshold: Int

    /// - Parameters:
    ///   - url: see ``PostgresLocation``.
    ///   - token: the user's password; nil or empty: the URL's, or what libpq finds elsewhere.
    package convenience init(url: String, token: String? = nil) throws(RetrievalError) {
        try self.init(url: url, token: token, graphThreshold: 2000)
    }

    init(url: String, token: String? = nil, graphThreshold: Int) throws(RetrievalError) {
        place = try PostgresLocation(url, password: token)
        self.graphThreshold = graphThreshold
        pool = PostgresPool(place.address, size: Self.connections, setUp: Self.setUp)
    }

    /// The server stops by itself what a cut network kept from being cancelled; updates set a time of their own. Its planner takes
    /// comparing everything for cheaper than the graph, unless sorting is dear, and then compiles what takes a millisecond.
    private static let setUp = """
        SELECT set_config('statement_timeout', '60s', false), set_config('hnsw.ef_search', '\(depth)', false),
            set_config('enable_sort', 'off', false), set_config('jit', 'off', false)
        """

    /// How many passages a search of the graph looks at: those that a filter drops leave that many fewer.
    private static let depth = 100

    package func useToken(_ token: String) { pool.use(password: token) }

    package var location: String { place.location }
    var name: String { place.collection }

    // MARK: - The collection

    package func hasIndex() async -> Bool {
        await remembered.isThere { () throws(RetrievalError) in try await lookUp(timeout: Self.lookTimeout) }
    }

    package var current: StoreDescription? { known?.description }

    package func hasTenants() async -> Bool { known?.hasTenants ?? true }

    package func version() async -> String? {
        if let recent = remembered.recent { return Self.version(of: recent) }
        do throws(RetrievalError) {
            return try await lookUp(timeout: Self.lookTimeout).map(Self.version) ?? "none"
        } catch {
            return nil
        }
    }

    private static func version(of collection: Collection) -> String { "\(collection.table) \(collection.version)" }

    package func open(timeout: Duration) async throws(RetrievalError) -> StoreDescription? {
        try await lookUp(timeout: timeout)?.description
    }

    /// Asks for the collection; nil when the database says that there is none.
    @discardableResult
    func lookUp(timeout: Duration) async throws(RetrievalError) -> Collection? {
        let name = name
        do throws(PostgresError) {
            let found = try await pool.run(timeout: timeout, repeats: true) {
                connection, deadline throws(PostgresError) in
                try Self.find(name, connection, timeout: deadline - .now)
            }
            remember(found)
            return found
        } catch  where error.saysMissing {
            remember(nil)
            return nil
        } catch {
            throw failure(error)
        }
    }

    /// The collection's line, as the transaction sees it.
    static func find(
        _ name: String, _ connection: PostgresConnection, timeout: Duration
    ) throws(PostgresError) -> Collection? {
        let rows = try connection.query(
            """
            SELECT tables, version, embedder, dimension, probe, passages, documents, tenants
            FROM \(quoted(collections)) WHERE name = $1
            """, [name], timeout: timeout)
        guard let row = rows.first, row.count == 8, let table = row[0], let version = row[1] else { return nil }
        var description = StoreDescription(
            dimension: row[3].flatMap { Int($0) }, embedder: row[2], passages: row[5].flatMap { Int($0) } ?? 0,
            documents: row[6].flatMap { Int($0) })
        let numbers = row[4]?.split(separator: ",").compactMap { Float($0) }
        description.probe = numbers.flatMap { EmbedderProbe(numbers: $0) }
        return Collection(table: table, version: version, description: description, hasTenants: row[7] != "f")
    }

    /// What is known from now on; nil: there is no such collection.
    func remember(_ collection: Collection?) { remembered.remember(collection) }

    /// Some passage is one tenant's alone, whatever the collection's line said when it was looked at.
    func noteTenants() { remembered.change { $0.hasTenants = true } }

    var known: Collection? { remembered.collection }

    func known(timeout: Duration) async throws(RetrievalError) -> Collection {
        if let known { return known }
        if let found = try await lookUp(timeout: timeout) { return found }
        throw missing()
    }

    func missing() -> RetrievalError {
        RetrievalError(
            .notFound, "PostgreSQL has no collection \(name) at \(location): run parley ingest", part: .store)
    }

    // MARK: - Names and errors

    /// An identifier as SQL wants it. Nothing of a document or a question is ever one.
    static func quoted(_ name: String) -> String { "\"\(name.replacing("\"", with: "\"\""))\"" }

    /// The table of a collection's documents, beside that of its passages.
    static func documents(of table: String) -> String { quoted("\(table)_d") }

    func failure(_ error: PostgresError) -> RetrievalError {
        let hint: String
        let code: RetrievalError.Code
        switch error.code {
        case .unreachable: (code, hint) = (.unreachable, "")
        case .timedOut: (code, hint) = (.timedOut, "")
        case .cancelled: (code, hint) = (.cancelled, "")
        case .invalid: (code, hint) = (.invalidSetting, "")
        case .denied: (code, hint) = (.denied, "; check vectors.url and vectors.token")
        case .refused: (code, hint) = Self.meaning(of: error.sqlState ?? "")
        }
        return RetrievalError(
            code, "PostgreSQL at \(location): \(error.message)\(hint)", serviceWords: error.serverWords, part: .store)
    }

    /// PostgreSQL's manual, appendix A.
    private static func meaning(of state: String) -> (RetrievalError.Code, String) {
        switch state {
        case "57014": (.timedOut, " (it took too long)")
        case "25006": (.denied, " (it only reads: name the server that is written to in vectors.url)")
        case "42501": (.denied, " (the user may not do that; see docs/retrieval.md for the rights that are needed)")
        case "42704", "42883": (.denied, " (is the extension vector installed in a schema of the search_path?)")
        case "54000": (.incompatible, " (pgvector stores vectors of at most 16,000 numbers)")
        case let state where state.hasPrefix("28"): (.denied, "; check vectors.url and vectors.token")
        case let state where state.hasPrefix("22"): (.rejected, "")
        case let state where state.hasPrefix("42"): (.denied, "")
        default: (.unavailable, "")
        }
    }
}

extension PostgresError {
    /// A table that is named is not there.
    var saysMissing: Bool { sqlState == "42P01" }
}
