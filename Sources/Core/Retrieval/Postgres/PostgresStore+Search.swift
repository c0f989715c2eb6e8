import ParleyPostgres

extension PostgresStore {
    /// One statement for all queries, whatever their filters.
    package func search(
        _ queries: [SearchQuery], topK: Int, timeout: Duration
    ) async throws(RetrievalError) -> [[Match]] {
        guard !queries.isEmpty, topK > 0 else { return queries.map { _ in [] } }
        let deadline = ContinuousClock.now + timeout
        guard let dimension = queries.first?.vector.count, queries.allSatisfy({ $0.vector.count == dimension }) else {
            throw RetrievalError(.incompatible, "the questions' vectors differ in length", part: .store)
        }
        let question = PostgresQuestion(queries, topK: topK)
        var collection = if let known { known } else { try await known(timeout: timeout) }
        // Made anew: its tables are others now, or its vectors of another length.
        for _ in 0..<2 {
            if let rows = try await ask(question, of: collection, deadline) {
                return try matches(rows, queries)
            }
            guard let found = try await lookUp(timeout: max(deadline.left, .milliseconds(1))) else { throw missing() }
            collection = found
        }
        throw missing()
    }

    /// Nil when its tables are gone.
    private func ask(
        _ question: PostgresQuestion, of collection: Collection, _ deadline: ContinuousClock.Instant
    ) async throws(RetrievalError) -> PostgresRows? {
        if let dimension = collection.description.dimension, dimension != question.dimension {
            throw RetrievalError(
                .incompatible,
                "the question has \(question.dimension) numbers, the collection \(name) \(dimension)")
        }
        let sql = question.sql(Self.quoted(collection.table))
        do throws(PostgresError) {
            return try await pool.run(timeout: max(deadline.left, .milliseconds(1)), repeats: true) {
                connection, deadline throws(PostgresError) in
                try connection.query(sql, question.values, timeout: deadline - .now)
            }
        } catch  where error.saysMissing {
            return nil
        } catch {
            throw failure(error)
        }
    }

    private func matches(_ rows: PostgresRows, _ queries: [SearchQuery]) throws(RetrievalError) -> [[Match]] {
        var result = [[Match]](repeating: [], count: queries.count)
        for row in rows {
            guard row.count == PostgresPassage.columns.count + 2, let number = row[0].flatMap({ Int($0) }),
                queries.indices.contains(number - 1), let distance = row[1].flatMap({ Float($0) }),
                let passage = PostgresPassage.read(row[2...])
            else {
                throw RetrievalError(
                    .invalidResponse, "PostgreSQL at \(location): a row of its answer is incomplete", part: .store)
            }
            // A vector of zeros is no nearer to one than to another.
            let score = distance.isFinite ? 1 - distance : 0
            if queries[number - 1].filter.admits(passage) {
                result[number - 1].append(Match(passage: passage, score: score))
            }
        }
        // Before anybody is answered from it: whether answers may be shared among tenants is asked then.
        if result.joined().contains(where: { $0.passage.attributes.tenant != nil }) { noteTenants() }
        // Equal distances come in no fixed order.
        return result.map { $0.sorted { ($1.score, $0.passage.id) < ($0.score, $1.passage.id) } }
    }
}
