import ParleyJSON
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

/// How a passage stands in a table.
enum PostgresPassage {
    static let columns = [
        "id", "document", "ordinal", "title", "heading", "text", "language", "tenant", "agent", "date", "tags",
    ]

    /// Of a table that is called `p`; the texts of an array are read as one.
    static let selected = columns.map { $0 == "tags" ? "array_to_string(p.tags, chr(31)) AS tags" : "p.\($0)" }
        .joined(separator: ", ")

    static func read(_ row: ArraySlice<String?>) -> Passage? {
        let row = Array(row)
        guard row.count == columns.count, let id = row[0], let document = row[1],
            let ordinal = row[2].flatMap({ Int($0) })
        else { return nil }
        var attributes = Attributes(tenant: row[7], agent: row[8])
        attributes.date = row[9].flatMap { UInt32($0) }.flatMap { CalendarDate(number: $0) }
        attributes.tags = (row[10] ?? "").split(separator: "\u{1F}").map(String.init)
        return Passage(
            id: id, documentID: document, ordinal: ordinal, title: row[3] ?? "", heading: row[4], text: row[5] ?? "",
            language: row[6], attributes: attributes)
    }
}

/// PostgreSQL's text form of arrays, which any value can stand in.
enum PostgresArray {
    static func text(_ values: [String?]) -> String {
        var bytes: [UInt8] = [UInt8(ascii: "{")]
        for value in values {
            if bytes.count > 1 { bytes.append(UInt8(ascii: ",")) }
            guard let value else {
                bytes += "NULL".utf8
                continue
            }
            bytes.append(UInt8(ascii: "\""))
            for byte in value.utf8 {
                if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { bytes.append(UInt8(ascii: "\\")) }
                bytes.append(byte)
            }
            bytes.append(UInt8(ascii: "\""))
        }
        bytes.append(UInt8(ascii: "}"))
        return String(decoding: bytes, as: UTF8.self)
    }

    /// pgvector reads what JSON calls an array of numbers.
    static func vector(_ vector: Embedding) -> String {
        var writer = JSONWriter()
        vector.write(to: &writer)
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    static func tags(_ tags: [String]) -> String { tags.joined(separator: "\u{1F}") }
}
