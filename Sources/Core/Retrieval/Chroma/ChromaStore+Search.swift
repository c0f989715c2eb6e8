import ParleyHTTP
import ParleyJSON

extension ChromaStore {
    package func search(
        _ queries: [SearchQuery], topK: Int, timeout: Duration
    ) async throws(RetrievalError) -> [[Match]] {
        guard !queries.isEmpty, topK > 0 else { return queries.map { _ in [] } }
        // Chroma takes one filter a call: what tenants ask for goes in one call each, all at a time.
        let groups = Dictionary(grouping: queries.indices) { queries[$0].filter }
        guard groups.count > 1 else { return try await searchAlike(queries, topK: topK, timeout: timeout) }
        let results = await withTaskGroup(of: ([Int], Result<[[Match]], RetrievalError>).self) { group in
            for places in groups.values {
                group.addTask { (places, await self.found(places.map { queries[$0] }, topK: topK, timeout: timeout)) }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        var rows = [[Match]](repeating: [], count: queries.count)
        for (places, found) in results {
            for (place, matches) in zip(places, try found.get()) { rows[place] = matches }
        }
        return rows
    }

    private func found(
        _ alike: [SearchQuery], topK: Int, timeout: Duration
    ) async -> Result<[[Match]], RetrievalError> {
        do throws(RetrievalError) {
            return .success(try await searchAlike(alike, topK: topK, timeout: timeout))
        } catch {
            return .failure(error)
        }
    }

    /// Queries of one filter.
    private func searchAlike(
        _ queries: [SearchQuery], topK: Int, timeout: Duration
    ) async throws(RetrievalError) -> [[Match]] {
        let deadline = ContinuousClock.now + timeout
        let collection = if let known { known } else { try await known(timeout: timeout) }
        var response = try await query(collection, queries, topK, deadline)
        // Made anew: its name has another id now. Or it was empty when it was found and has a dimension since. Until it is
        // looked up it counts as there, so that nobody is answered without it in between.
        let mayDiffer = response.status == 400 && collection.description.dimension == nil
        guard Self.saysMissing(response) || mayDiffer else { return try rows(response, queries, collection) }
        guard let found = try await lookUp(timeout: max(deadline.left, .milliseconds(1))) else { throw missing() }
        response = try await query(found, queries, topK, deadline)
        if Self.saysMissing(response) {
            remember(nil)
            throw missing()
        }
        return try rows(response, queries, found)
    }

    private func query(
        _ collection: Collection, _ queries: [SearchQuery], _ topK: Int, _ deadline: ContinuousClock.Instant
    ) async throws(RetrievalError) -> HTTPResponse {
        if let dimension = collection.description.dimension,
            let odd = queries.first(where: { $0.vector.count != dimension })
        {
            throw RetrievalError(
                .incompatible, "the question has \(odd.vector.count) numbers, the collection \(name) \(dimension)")
        }
        return try await service.send(
            "POST", collection.queryURL,
            body: Self.queryBody(queries, topK: topK, of: collection),
            timeout: max(deadline.left, .milliseconds(1)))
    }

    private static func queryBody(_ queries: [SearchQuery], topK: Int, of collection: Collection) -> [UInt8] {
        var writer = JSONWriter(capacity: queries.reduce(128) { $0 + $1.vector.count * 11 })
        writer.object { json in
            json.key("query_embeddings")
            json.array { rows in
                for query in queries {
                    guard collection.needsUnitVectors else {
                        query.vector.write(to: &rows)
                        continue
                    }
                    var vector = query.vector.numbers
                    normalize(&vector)
                    rows.vector(vector)
                }
            }
            json.member("n_results", topK)
            if collection.hasAttributes, let filter = queries.first?.filter {
                ChromaAttributes.write(filter, hasTenants: collection.hasTenants, to: &json)
            }
            json.key("include")
            json.array { for column in ["documents", "metadatas", "distances"] { $0.string(column) } }
        }
        return writer.bytes
    }

    private func rows(
        _ response: HTTPResponse, _ queries: [SearchQuery], _ collection: Collection
    ) throws(RetrievalError) -> [[Match]] {
        let count = queries.count
        guard response.isSuccess else { throw service.failure(response, "POST", "\(base)/collections/\(name)/query") }
        let root = try service.json(response)
        let ids = root["ids"]?.elements ?? []
        let distances = root["distances"]?.elements ?? []
        let documents = root["documents"]?.elements ?? []
        let metadatas = root["metadatas"]?.elements ?? []
        guard ids.count == count, distances.count == count, documents.count == count, metadatas.count == count else {
            throw service.invalid("it answered \(count) queries with \(ids.count) rows")
        }
        var result: [[Match]] = []
        result.reserveCapacity(count)
        for row in 0..<count {
            let rowIDs = ids[row].elements
            let rowDistances = distances[row].elements
            let rowDocuments = documents[row].elements
            let rowMetadatas = metadatas[row].elements
            guard rowDistances.count == rowIDs.count, rowDocuments.count == rowIDs.count,
                rowMetadatas.count == rowIDs.count
            else { throw service.invalid("the columns of its answer differ in length") }
            var matches: [Match] = []
            for (place, id) in rowIDs.enumerated() {
                guard let id = id.string, let distance = rowDistances[place].double,
                    case let score = Float(1 - distance * collection.distanceScale), score.isFinite
                else { throw service.invalid("a row of its answer has no id or no distance") }
                let passage = Self.passage(id: id, text: rowDocuments[place].string ?? "", rowMetadatas[place])
                // Where Chroma has not filtered, and whatever it makes of a filter.
                if queries[row].filter.admits(passage) { matches.append(Match(passage: passage, score: score)) }
            }
            // Equal distances come in no fixed order.
            matches.sort { ($1.score, $0.passage.id) < ($0.score, $1.passage.id) }
            result.append(matches)
        }
        return result
    }

    /// Also reads records that others wrote: then the id stands for what is missing.
    private static func passage(id: String, text: String, _ metadata: JSONElement) -> Passage {
        let hash = id.utf8.lastIndex(of: UInt8(ascii: "#"))
        let documentID = metadata["document"]?.string ?? hash.map { String(id[..<$0]) } ?? id
        return Passage(
            id: id, documentID: documentID.isEmpty ? id : documentID,
            ordinal: metadata["ordinal"]?.int ?? hash.flatMap { Int(id[$0...].dropFirst()) } ?? 1,
            title: metadata["title"]?.string ?? id, heading: metadata["heading"]?.string, text: text,
            language: metadata["language"]?.string, attributes: ChromaAttributes.read(metadata))
    }
}
