/// A window's queries as one statement: a row for each of them, joined with its nearest passages.
///
/// The graph finds the nearest of all passages, and the filter then drops some: when that leaves fewer than were asked for,
/// every passage that the filter admits is compared, in the same statement. `+ 0` keeps PostgreSQL from the graph. Vectors are
/// read from their texts once, before they are compared with anything.
struct PostgresQuestion: Sendable {
    let dimension: Int
    /// What the queries' filters say, a column each; those that none of them uses are left out of the statement.
    private let usesAgents: Bool
    private let usesLanguages: Bool
    private let usesTags: Bool
    private let usesDates: Bool
    let values: [String?]

    init(_ queries: [SearchQuery], topK: Int) {
        dimension = queries.first?.vector.count ?? 0
        let filters = queries.map(\.filter)
        usesAgents = filters.contains { $0.agent != nil }
        usesLanguages = filters.contains { $0.language != nil }
        usesTags = filters.contains { !$0.tags.isEmpty }
        usesDates = filters.contains { $0.since != nil || $0.until != nil }
        values = [
            String(topK), PostgresArray.text(queries.map { PostgresArray.vector($0.vector) }),
            // What nobody is called finds what is everybody's.
            PostgresArray.text(filters.map { filter in filter.tenant.flatMap { $0.contains("\0") ? nil : $0 } }),
            PostgresArray.text(filters.map(\.agent)),
            PostgresArray.text(filters.map { $0.language.map(PassageFilter.primary) }),
            PostgresArray.text(filters.map { $0.tags.isEmpty ? nil : PostgresArray.tags($0.tags) }),
            PostgresArray.text(filters.map { $0.since.map { String($0.number) } }),
            PostgresArray.text(filters.map { $0.until.map { String($0.number) } }),
        ]
    }

    func sql(_ table: String) -> String {
        // Whose a passage is, always.
        var conditions = ["(p.tenant IS NULL OR p.tenant = q.tenant)"]
        if usesAgents { conditions.append("(q.agent IS NULL OR p.agent IS NULL OR p.agent = q.agent)") }
        if usesLanguages { conditions.append("(q.lang IS NULL OR p.lang IS NULL OR p.lang = q.lang)") }
        if usesTags { conditions.append("(q.tags IS NULL OR p.tags @> string_to_array(q.tags, chr(31)))") }
        if usesDates {
            conditions.append("(q.since IS NULL OR p.date >= q.since)")
            conditions.append("(q.until IS NULL OR p.date <= q.until)")
        }
        let filter = conditions.joined(separator: " AND ")
        let columns = PostgresPassage.selected
        return """
            WITH q AS MATERIALIZED (
                SELECT vector::vector AS vector, tenant, agent, lang, tags, since, until, number
                FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[], $8::int[])
                WITH ORDINALITY AS u(vector, tenant, agent, lang, tags, since, until, number))
            SELECT q.number, m.* FROM q, LATERAL (
                WITH near AS MATERIALIZED (
                    SELECT p.embedding <=> q.vector AS distance, \(columns) FROM \(table) p
                    WHERE \(filter) ORDER BY p.embedding <=> q.vector LIMIT $1::int)
                SELECT * FROM near WHERE (SELECT count(*) FROM near) >= $1::int
                UNION ALL
                (SELECT p.embedding <=> q.vector AS distance, \(columns) FROM \(table) p
                WHERE (SELECT count(*) FROM near) < $1::int AND \(filter)
                ORDER BY (p.embedding <=> q.vector) + 0 LIMIT $1::int)
            ) m
            """
    }
}
