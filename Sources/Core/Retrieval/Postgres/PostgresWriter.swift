import ParleyPostgres

/// What an ingest does to a collection, over one connection. A result that is no error of the server's says why nothing
/// was written.
struct PostgresWriter {
    let name: String
    let location: String
    let graphThreshold: Int
    let connection: PostgresConnection

    /// pgvector's graph takes no more.
    private static let mostIndexed = 2000
    private static let insertSize = 256
    private static let short = PostgresStore.writeTimeout
    /// For what may look at every row, make the graph, or wait for another ingest.
    private static let long = PostgresStore.updateTimeout

    static func newName(_ name: String) -> String {
        "parley_\(name)_\(String(UInt64.random(in: 0..<1 << 60), radix: 36))"
    }

    // MARK: - Transactions

    /// Changes what there is; makes it when there is nothing.
    func change(_ update: StoreUpdate) throws(PostgresError) -> RetrievalError? {
        try exclusively { () throws(PostgresError) in
            if let refusal = try prepare() { return refusal }
            let tables: String
            if let found = try PostgresStore.find(name, connection, timeout: Self.short) {
                let index = found.description
                guard let embedder = index.embedder, EmbedderIdentity.matches(embedder, update.embedder),
                    index.dimension == update.dimension
                else {
                    return mismatch(
                        index: index, embedder: update.embedder, dimension: update.dimension, at: location)
                }
                tables = found.table
            } else {
                tables = Self.newName(name)
                try make(tables, update.dimension)
            }
            try remove(update.removed + update.documents.map(\.id), from: tables)
            try insert(update, into: tables)
            try finish(tables, update)
            return nil
        }
    }

    /// Makes tables beside those in use.
    func begin(
        _ tables: String, _ update: StoreUpdate
    ) throws(PostgresError) -> RetrievalError? {
        try exclusively { () throws(PostgresError) in
            if let refusal = try prepare() { return refusal }
            try make(tables, update.dimension)
            // Should this run end before its time, the next one finds them.
            try run(
                """
                INSERT INTO \(collections) AS c (name, leftover) VALUES ($1, ARRAY[$2::text])
                ON CONFLICT (name) DO UPDATE SET leftover = array_append(c.leftover, $2::text)
                """, [name, tables])
            return nil
        }
    }

    /// Fills tables beside those in use; with the last update they take their place.
    func fill(
        _ tables: String, _ update: StoreUpdate
    ) throws(PostgresError) -> RetrievalError? {
        try exclusively { () throws(PostgresError) in
            try remove(update.documents.map(\.id), from: tables)
            try insert(update, into: tables)
            if update.isLast { try finish(tables, update) }
            return nil
        }
    }

    /// Drops what is used no more, if nobody reads it any longer; otherwise a later ingest does.
    func dropLeftovers() throws(PostgresError) {
        do throws(PostgresError) {
            _ = try exclusively { () throws(PostgresError) in
                guard try has(PostgresStore.collections) else { return nil }
                // Those who read wait behind whoever waits for them.
                try run("SET LOCAL lock_timeout = '5s'")
                let left = try run(
                    "SELECT unnest(leftover) FROM \(collections) WHERE name = $1", [name])
                guard !left.isEmpty else { return nil }
                for case let table? in left.compactMap(\.first) {
                    try run(
                        "DROP TABLE IF EXISTS \(PostgresStore.quoted(table)), \(PostgresStore.documents(of: table))")
                }
                try run("UPDATE \(collections) SET leftover = '{}' WHERE name = $1", [name])
                return nil
            }
        } catch  where error.code == .refused && !connection.isBroken {
            return
        }
    }

    /// One transaction, and no other of the same collection's ingests meanwhile.
    private func exclusively(
        _ body: () throws(PostgresError) -> RetrievalError?
    ) throws(PostgresError) -> RetrievalError? {
        try connection.transaction(timeout: Self.short) { () throws(PostgresError) in
            try run("SET LOCAL statement_timeout = 0")
            try run(
                "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", ["parley ingest \(name)"],
                timeout: Self.long)
            return try body()
        }
    }

    // MARK: - Tables

    private var collections: String { PostgresStore.quoted(PostgresStore.collections) }

    /// Extension and list of collections are there from now on.
    private func prepare() throws(PostgresError) -> RetrievalError? {
        if try hasExtension(), try has(PostgresStore.collections) { return nil }
        // Another collection's ingest may be about to make them, too.
        try run("SELECT pg_advisory_xact_lock(hashtextextended('parley collections', 0))", timeout: Self.long)
        if try !hasExtension() {
            do throws(PostgresError) { try run("CREATE EXTENSION vector") } catch {
                guard error.code == .refused, !connection.isBroken else { throw error }
                // The transaction is over; ending it changes nothing.
                return RetrievalError(
                    .denied,
                    "the database at \(location) has no extension vector, and this user cannot make it: install pgvector on the server, and have its administrator run CREATE EXTENSION vector in that database",
                    serviceWords: error.serverWords, part: .store)
            }
        }
        try run(
            """
            CREATE TABLE IF NOT EXISTS \(collections) (
                name text COLLATE "C" PRIMARY KEY, tables text, version bigint NOT NULL DEFAULT 0, embedder text,
                dimension int, probe text, passages bigint NOT NULL DEFAULT 0, documents bigint NOT NULL DEFAULT 0,
                tenants boolean NOT NULL DEFAULT true, leftover text[] NOT NULL DEFAULT '{}')
            """)
        return nil
    }

    private func hasExtension() throws(PostgresError) -> Bool {
        try !run("SELECT 1 FROM pg_extension WHERE extname = 'vector'").isEmpty
    }

    private func has(_ table: String) throws(PostgresError) -> Bool {
        try !run("SELECT 1 WHERE to_regclass($1) IS NOT NULL", [PostgresStore.quoted(table)]).isEmpty
    }

    private func make(_ tables: String, _ dimension: Int) throws(PostgresError) {
        let passages = PostgresStore.quoted(tables)
        try run(
            """
            CREATE TABLE \(passages) (
                id text NOT NULL, document text COLLATE "C" NOT NULL, ordinal int NOT NULL, title text NOT NULL,
                heading text NOT NULL, text text NOT NULL, language text, lang text, tenant text, agent text, date int,
                tags text[], embedding vector(\(dimension)) NOT NULL, PRIMARY KEY (document, ordinal))
            """)
        try run("CREATE INDEX ON \(passages) (tenant)")
        try run(
            """
            CREATE TABLE \(PostgresStore.documents(of: tables)) (id text COLLATE "C" PRIMARY KEY, hash text NOT NULL)
            """)
    }

    private func remove(
        _ ids: [String], from tables: String
    ) throws(PostgresError) {
        guard !ids.isEmpty else { return }
        let list = PostgresArray.text(ids)
        try run(
            "DELETE FROM \(PostgresStore.quoted(tables)) WHERE document = ANY($1::text[])", [list],
            timeout: Self.long)
        try run(
            "DELETE FROM \(PostgresStore.documents(of: tables)) WHERE id = ANY($1::text[])", [list],
            timeout: Self.long)
    }

    private func insert(
        _ update: StoreUpdate, into tables: String
    ) throws(PostgresError) {
        // Of two with one id the later one.
        var places: [String: Int] = [:]
        for (place, document) in update.documents.enumerated() { places[document.id] = place }
        let documents = update.documents.enumerated().filter { places[$1.id] == $0 }.map(\.element)
        try run(
            """
            INSERT INTO \(PostgresStore.documents(of: tables)) SELECT * FROM unnest($1::text[], $2::text[])
            """, [PostgresArray.text(documents.map(\.id)), PostgresArray.text(documents.map(\.contentHash))])
        let rows = documents.flatMap { document in zip(document.passages, document.vectors).map { ($0, $1) } }
        for start in stride(from: 0, to: rows.count, by: Self.insertSize) {
            let batch = rows[start..<min(start + Self.insertSize, rows.count)]
            func column(_ value: (Passage) -> String?) -> String { PostgresArray.text(batch.map { value($0.0) }) }
            try run(
                """
                INSERT INTO \(PostgresStore.quoted(tables)) (id, document, ordinal, title, heading, text, language, lang,
                    tenant, agent, date, tags, embedding)
                SELECT id, document, ordinal, title, heading, text, language, lang, tenant, agent, date,
                    string_to_array(tags, chr(31)), embedding::vector
                FROM unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                    $9::text[], $10::text[], $11::int[], $12::text[], $13::text[])
                    AS row(id, document, ordinal, title, heading, text, language, lang, tenant, agent, date, tags, embedding)
                """,
                [
                    column(\.id), column(\.documentID), column { String($0.ordinal) }, column(\.title),
                    column(\.heading), column(\.text), column(\.language),
                    column { $0.language.map(PassageFilter.primary) }, column(\.attributes.tenant),
                    column(\.attributes.agent), column { $0.attributes.date.map { String($0.number) } },
                    column { $0.attributes.tags.isEmpty ? nil : PostgresArray.tags($0.attributes.tags) },
                    PostgresArray.text(batch.map { PostgresArray.vector(Embedding($0.1)) }),
                ])
        }
    }

    /// Has the collection's line say what is in `tables`, and makes the graph when there are passages enough.
    private func finish(
        _ tables: String, _ update: StoreUpdate
    ) throws(PostgresError) {
        let passages = PostgresStore.quoted(tables)
        let counted = try run("SELECT count(*) FROM \(passages)", timeout: Self.long)
        let count = counted.first?.first.flatMap { $0 }.flatMap { Int($0) } ?? 0
        if count >= graphThreshold, update.dimension <= Self.mostIndexed { try makeGraph(of: passages) }
        try run(
            """
            INSERT INTO \(collections) AS c (name, tables, version, embedder, dimension, probe, passages, documents, tenants)
            SELECT $1, $2::text, 1, $3, $4::int, $5, $6::bigint,
                (SELECT count(*) FROM \(PostgresStore.documents(of: tables))),
                EXISTS (SELECT FROM \(passages) WHERE tenant IS NOT NULL)
            ON CONFLICT (name) DO UPDATE SET tables = excluded.tables, version = c.version + 1,
                embedder = excluded.embedder, dimension = excluded.dimension,
                probe = coalesce(excluded.probe, c.probe), passages = excluded.passages,
                documents = excluded.documents, tenants = excluded.tenants,
                leftover = array_remove(CASE WHEN c.tables <> $2::text THEN array_append(c.leftover, c.tables)
                    ELSE c.leftover END, $2::text)
            """,
            [
                name, tables, update.embedder, String(update.dimension),
                update.probe.map { $0.numbers.map { "\($0)" }.joined(separator: ",") }, String(count),
            ], timeout: Self.long)
    }

    /// Once; PostgreSQL keeps it up to date from then on.
    private func makeGraph(of passages: String) throws(PostgresError) {
        let isMade = try run(
            """
            SELECT 1 FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
            WHERE i.indrelid = to_regclass($1) AND a.amname = 'hnsw'
            """, [passages])
        // Before version 0.5 pgvector has none.
        let isKnown = try run("SELECT 1 FROM pg_am WHERE amname = 'hnsw'")
        guard isMade.isEmpty, !isKnown.isEmpty else { return }
        // What does not fit is made many times more slowly.
        try run(
            """
            SELECT set_config('maintenance_work_mem',
                greatest(pg_size_bytes(current_setting('maintenance_work_mem')), 268435456) / 1024 || 'kB', true)
            """)
        let create = "CREATE INDEX ON \(passages) USING hnsw (embedding vector_cosine_ops)"
        try run("SAVEPOINT graph")
        do throws(PostgresError) { try run(create, timeout: Self.long) } catch {
            // Workers beside it share memory, of which containers have little (class 53: resources).
            guard error.sqlState?.hasPrefix("53") == true, !connection.isBroken else { throw error }
            try run("ROLLBACK TO SAVEPOINT graph")
            try run("SET LOCAL max_parallel_maintenance_workers = 0")
            try run(create, timeout: Self.long)
        }
        try run("ANALYZE \(passages)", timeout: Self.long)
    }

    @discardableResult
    private func run(
        _ sql: String, _ values: [String?] = [], timeout: Duration = short
    ) throws(PostgresError) -> PostgresRows {
        try connection.query(sql, values, timeout: timeout)
    }
}
