import ParleyJSON
import ParleyPostgres
import Synchronization

extension PostgresStore {
    private static let pageSize = 10_000

    /// One transaction; several that change a collection wait for each other.
    package func replace(_ update: StoreUpdate) async throws(RetrievalError) {
        if let odd = update.documents.first(where: { document in
            document.vectors.count != document.passages.count
                || document.vectors.contains { $0.count != update.dimension }
        }) {
            throw RetrievalError(.incompatible, "\(odd.id) has vectors of another dimension than \(update.dimension)")
        }
        if update.startsOver {
            try await makeAnew(update)
        } else {
            try await write { writer throws(PostgresError) in try writer.change(update) }
        }
        try await lookUp(timeout: Self.writeTimeout)
    }

    private func makeAnew(_ update: StoreUpdate) async throws(RetrievalError) {
        let tables: String
        if update.continues, let begun = anew.withLock({ $0 }) {
            tables = begun
        } else {
            tables = PostgresWriter.newName(name)
            try await write { writer throws(PostgresError) in
                try writer.dropLeftovers()
                return try writer.begin(tables, update)
            }
        }
        anew.withLock { $0 = update.isLast ? nil : tables }
        try await write { writer throws(PostgresError) in
            let refusal = try writer.fill(tables, update)
            // It is done then, and the next one finds what could not be dropped.
            if refusal == nil, update.isLast { try? writer.dropLeftovers() }
            return refusal
        }
    }

    /// - Parameter body: says why nothing can be written, or nothing.
    private func write(
        _ body: @escaping @Sendable (PostgresWriter) throws(PostgresError) -> RetrievalError?
    ) async throws(RetrievalError) {
        let (name, location, threshold) = (name, location, graphThreshold)
        let refusal: RetrievalError?
        do throws(PostgresError) {
            refusal = try await pool.run(timeout: Self.updateTimeout, repeats: false) {
                connection, _ throws(PostgresError) in
                try body(
                    PostgresWriter(name: name, location: location, graphThreshold: threshold, connection: connection))
            }
        } catch  where error.saysMissing {
            throw RetrievalError(
                .notFound, "the tables of \(name) at \(location) were dropped meanwhile: run parley ingest again",
                part: .store)
        } catch {
            throw failure(error)
        }
        if let refusal { throw refusal }
    }

    package func contentHashes() async throws(RetrievalError) -> [String: String] {
        let name = name
        return try await read(orElse: [:]) { connection throws(PostgresError) in
            // All pages are of one moment.
            try connection.transaction(timeout: Self.writeTimeout) { () throws(PostgresError) in
                var hashes: [String: String] = [:]
                _ = try connection.query(
                    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY", timeout: Self.writeTimeout)
                guard let found = try Self.find(name, connection, timeout: Self.writeTimeout) else { return hashes }
                var last: String?
                while true {
                    let rows = try connection.query(
                        """
                        SELECT id, hash FROM \(Self.documents(of: found.table))
                        WHERE $1::text IS NULL OR id > $1 ORDER BY id LIMIT \(Self.pageSize)
                        """, [last], timeout: Self.writeTimeout)
                    for row in rows where row.count == 2 { if let id = row[0] { hashes[id] = row[1] } }
                    last = rows.last?.first ?? nil
                    guard rows.count == Self.pageSize else { return hashes }
                }
            }
        }
    }

    package func vectors(of documents: Set<String>) async throws(RetrievalError) -> [String: [Float]] {
        guard !documents.isEmpty else { return [:] }
        let (name, wanted) = (name, PostgresArray.text(documents.sorted()))
        return try await read(orElse: [:]) { connection throws(PostgresError) in
            var vectors: [String: [Float]] = [:]
            guard let found = try Self.find(name, connection, timeout: Self.writeTimeout) else { return vectors }
            let rows = try connection.query(
                "SELECT heading, text, embedding::text FROM \(Self.quoted(found.table)) WHERE document = ANY($1::text[])",
                [wanted], timeout: Self.writeTimeout)
            for row in rows where row.count == 3 {
                guard let heading = row[0], let text = row[1], let numbers = row[2],
                    let vector = try? JSONDocument(Array(numbers.utf8)).root.floats
                else { continue }
                vectors["\(heading)\n\(text)"] = vector
            }
            return vectors
        }
    }

    /// - Parameter nothing: what it comes to where there is no collection.
    private func read<T: Sendable>(
        orElse nothing: T, _ body: @escaping @Sendable (PostgresConnection) throws(PostgresError) -> T
    ) async throws(RetrievalError) -> T {
        // Between the looks at the collection and at its tables it may have been made anew.
        for attempt in 0..<3 {
            do throws(PostgresError) {
                return try await pool.run(timeout: Self.updateTimeout, repeats: true) {
                    connection, _ throws(PostgresError) in try body(connection)
                }
            } catch  where error.saysMissing {
                if attempt == 2 { break }
            } catch {
                throw failure(error)
            }
        }
        return nothing
    }
}
