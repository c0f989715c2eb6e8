import ParleyHTTP
import ParleyJSON

extension QdrantStore {
    /// One request for all queries, each with a filter of its own. What selects few points Qdrant compares one by one.
    package func search(
        _ queries: [SearchQuery], topK: Int, timeout: Duration
    ) async throws(RetrievalError) -> [[Match]] {
        guard !queries.isEmpty, topK > 0 else { return queries.map { _ in [] } }
        let deadline = ContinuousClock.now + timeout
        var collection = if let known { known } else { try await known(timeout: timeout) }
        let url = "\(root)/\(name)/points/query/batch"
        // What an alias led to may be gone when a query gets there.
        for _ in 0..<2 {
            if let dimension = collection.description.dimension,
                let odd = queries.first(where: { $0.vector.count != dimension })
            {
                throw RetrievalError(
                    .incompatible, "the question has \(odd.vector.count) numbers, the collection \(name) \(dimension)")
            }
            let response = try await service.send(
                "POST", url, body: Self.body(queries, topK: topK), timeout: max(deadline.left, .milliseconds(1)))
            guard Self.saysMissing(response) else {
                guard response.isSuccess else { throw service.failure(response, "POST", url) }
                return try matches(try service.json(response), queries)
            }
            guard let found = try await lookUp(timeout: max(deadline.left, .milliseconds(1))) else { throw missing() }
            collection = found
        }
        forget()
        throw missing()
    }

    private static func body(_ queries: [SearchQuery], topK: Int) -> [UInt8] {
        var writer = JSONWriter(capacity: queries.reduce(128) { $0 + $1.vector.count * 11 + 256 })
        writer.object { json in
            json.key("searches")
            json.array { list in
                for query in queries {
                    list.object { json in
                        json.key("query")
                        query.vector.write(to: &json)
                        QdrantPoint.write(query.filter, to: &json)
                        json.member("limit", topK)
                        json.member("with_payload", true)
                    }
                }
            }
        }
        return writer.bytes
    }

    private func matches(_ root: JSONElement, _ queries: [SearchQuery]) throws(RetrievalError) -> [[Match]] {
        guard let rows = root["result"]?.elements, rows.count == queries.count else {
            throw service.invalid("its answer has not as many rows as there were queries")
        }
        var result: [[Match]] = []
        for (row, query) in zip(rows, queries) {
            guard let points = row["points"], points.kind == .array else {
                throw service.invalid("a row of its answer has no points")
            }
            var matches: [Match] = []
            for point in points.elements {
                guard let payload = point["payload"], let score = point["score"]?.double, score.isFinite,
                    let passage = QdrantPoint.read(payload)
                else { throw service.invalid("a point of its answer is no passage with a score") }
                // Before anybody is answered from it: whether answers may be shared among tenants is asked then.
                if passage.attributes.tenant != nil { noteTenants() }
                if query.filter.admits(passage) { matches.append(Match(passage: passage, score: Float(score))) }
            }
            // Equal scores come in no fixed order.
            result.append(matches.sorted { ($1.score, $0.passage.id) < ($0.score, $1.passage.id) })
        }
        return result
    }
}
