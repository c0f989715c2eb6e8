import ParleyHTTP
import ParleyJSON
import Synchronization

/// A collection of a Chroma server, over its REST API, version 2 (<https://docs.trychroma.com/reference>; the server's
/// own description is at `/openapi.json`).
///
/// A collection is found by its name once and then used by its id; when the id is gone (the collection was made anew),
/// it is looked up again.
package final class ChromaStore: VectorStore {
    struct Collection: Sendable {
        var id: String
        var queryURL: String
        var description: StoreDescription
        /// Similarity is one minus this much of the distance: Chroma's `l2` is the square of the Euclidean distance,
        /// which for unit vectors is twice `cosine`'s and `ip`'s.
        var distanceScale: Double
        /// `cosine` scales by itself; with the other spaces a score means something for unit vectors only.
        var needsUnitVectors: Bool
    }

    private enum Knowledge {
        case unknown
        case found(Collection)
        case missing(since: ContinuousClock.Instant)
    }

    /// The key of a collection's metadata that holds the embedder's identity.
    static let embedderKey = "parley_embedder"
    /// After a collection was found missing, ``hasIndex`` is true again when this has passed, so that it is looked for.
    private static let lookAgainAfter: Duration = .seconds(5)

    let name: String
    let service: Service
    /// Up to and including the database.
    let base: String
    package let location: String
    private let knowledge = Mutex(Knowledge.unknown)

    /// - Parameter url: `http://host:port/collection`; `?tenant=…&database=…` chooses others than Chroma's defaults.
    /// - Throws: ``RetrievalError/Code-swift.struct/invalidSetting`` when the URL names no collection, or Chroma would
    ///   refuse its name.
    package init(url: String, http: HTTPClient) throws(RetrievalError) {
        location = "chroma+\(withoutUserInfo(url))"
        func wrong(_ what: String) -> RetrievalError {
            RetrievalError(
                .invalidSetting,
                "vectors.url is \"chroma+\(withoutUserInfo(url))\": \(what); write chroma+http://host:port/collection")
        }
        do throws(HTTPError) {
            _ = try HTTPURL(url)
        } catch {
            throw wrong(error.message)
        }
        let parts = url.split(separator: "?", maxSplits: 1)
        var path = parts.first ?? ""
        while path.hasSuffix("/") { path.removeLast() }
        guard let scheme = path.firstRange(of: "://"), let slash = path.lastIndex(of: "/"), slash >= scheme.upperBound
        else {
            throw wrong("it names no collection")
        }
        name = String(path[path.index(after: slash)...])
        guard Self.isName(name) else {
            throw wrong("a collection's name is 3 to 512 of a-z A-Z 0-9 . _ -, with a letter or digit at both ends")
        }
        var tenant = "default_tenant"
        var database = "default_database"
        for option in (parts.count > 1 ? parts[1] : "").split(separator: "&") {
            let pair = option.split(separator: "=", maxSplits: 1).map(String.init)
            switch (pair.first, pair.count) {
            case ("tenant", 2): tenant = pair[1]
            case ("database", 2): database = pair[1]
            default: throw wrong("the option \(option) is neither tenant= nor database=")
            }
        }
        base = "\(path[..<slash])/api/v2/tenants/\(tenant)/databases/\(database)"
        service = Service(name: "Chroma", http: http)
    }

    private static func isName(_ name: String) -> Bool {
        func isAlphanumeric(_ byte: UInt8) -> Bool {
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
        }
        guard (3...512).contains(name.utf8.count), let first = name.utf8.first, let last = name.utf8.last else {
            return false
        }
        return isAlphanumeric(first) && isAlphanumeric(last)
            && name.utf8.allSatisfy { isAlphanumeric($0) || ".-_".utf8.contains($0) }
    }

    // MARK: - The collection

    package var hasIndex: Bool {
        switch knowledge.withLock({ $0 }) {
        case .unknown, .found: true
        case .missing(let since): ContinuousClock.now - since > Self.lookAgainAfter
        }
    }

    package var current: StoreDescription? { known?.description }

    package func open() async throws(RetrievalError) -> StoreDescription? {
        guard var collection = try await lookUp(timeout: .seconds(10)) else { return nil }
        let url = "\(base)/collections/\(collection.id)/count"
        guard let count = try await service.json("GET", url, timeout: .seconds(10)).int else {
            throw service.invalid("the count of \(name) is not a number")
        }
        collection.description.passages = count
        remember(collection)
        // A collection that somebody made and nobody filled is no index yet.
        return count == 0 && collection.description.dimension == nil ? nil : collection.description
    }

    /// Asks for the collection by name.
    func lookUp(timeout: Duration) async throws(RetrievalError) -> Collection? {
        let url = "\(base)/collections/\(name)"
        let response = try await service.send("GET", url, timeout: timeout)
        if response.status == 404 {
            // Chroma's own 404 says so in JSON; an unknown path has no body.
            guard !response.body.isEmpty else {
                throw RetrievalError(
                    .rejected, "\(location) does not speak Chroma's API, version 2 (404 for \(url))", status: 404)
            }
            remember(nil)
            return nil
        }
        guard response.isSuccess else { throw service.failure(response, "GET", url) }
        do throws(JSONError) {
            let collection = try collection(from: JSONDocument(response.body).root)
            remember(collection)
            return collection
        } catch {
            throw service.invalid("the description of \(name) cannot be read: \(error)")
        }
    }

    func collection(from json: JSONElement) throws(JSONError) -> Collection {
        guard let id = json["id"]?.string, !id.isEmpty, id.utf8.allSatisfy({ $0 > 0x20 && $0 != UInt8(ascii: "/") })
        else {
            throw JSONError("id is missing", at: 0)
        }
        let space = json["configuration_json"]?["hnsw"]?["space"]?.string
        return Collection(
            id: id, queryURL: "\(base)/collections/\(id)/query",
            description: StoreDescription(
                dimension: json["dimension"]?.int, embedder: json["metadata"]?[Self.embedderKey]?.string, passages: 0,
                documents: nil),
            distanceScale: space == "l2" ? 0.5 : 1, needsUnitVectors: space == "l2" || space == "ip")
    }

    /// What is known from now on; nil: there is no such collection.
    func remember(_ collection: Collection?) {
        knowledge.withLock { $0 = collection.map { .found($0) } ?? .missing(since: .now) }
    }

    private var known: Collection? {
        if case .found(let collection) = knowledge.withLock({ $0 }) { collection } else { nil }
    }

    func known(timeout: Duration) async throws(RetrievalError) -> Collection {
        if let known { return known }
        if let found = try await lookUp(timeout: timeout) { return found }
        throw RetrievalError(.notFound, "Chroma has no collection \(name) at \(location): run parley ingest")
    }

    // MARK: - Searching

    package func search(
        _ queries: [SearchQuery], topK: Int, timeout: Duration
    ) async throws(RetrievalError) -> [[Match]] {
        guard !queries.isEmpty, topK > 0 else { return queries.map { _ in [] } }
        let deadline = ContinuousClock.now + timeout
        let collection = if let known { known } else { try await known(timeout: timeout) }
        let body = Self.queryBody(queries, topK: topK, scaled: collection.needsUnitVectors)
        var response = try await query(collection, queries, body, deadline)
        guard response.status == 404 else { return try rows(response, queries.count, collection) }
        // The collection was made anew: its name has another id now.
        remember(nil)
        let found = try await known(timeout: max(deadline - .now, .milliseconds(1)))
        response = try await query(found, queries, body, deadline)
        return try rows(response, queries.count, found)
    }

    private func query(
        _ collection: Collection, _ queries: [SearchQuery], _ body: [UInt8], _ deadline: ContinuousClock.Instant
    ) async throws(RetrievalError) -> HTTPResponse {
        if let dimension = collection.description.dimension,
            let odd = queries.first(where: { $0.vector.count != dimension })
        {
            throw RetrievalError(
                .incompatible, "the question has \(odd.vector.count) numbers, the collection \(name) \(dimension)")
        }
        return try await service.send(
            "POST", collection.queryURL, body: body,
            timeout: max(deadline - .now, .milliseconds(1)))
    }

    private static func queryBody(_ queries: [SearchQuery], topK: Int, scaled: Bool) -> [UInt8] {
        var writer = JSONWriter(capacity: queries.reduce(128) { $0 + $1.vector.count * 11 })
        writer.object { json in
            json.key("query_embeddings")
            json.array { rows in
                for query in queries {
                    guard scaled else {
                        query.vector.write(to: &rows)
                        continue
                    }
                    var vector = query.vector.numbers
                    normalize(&vector)
                    rows.vector(vector)
                }
            }
            json.member("n_results", topK)
            json.key("include")
            json.array { for column in ["documents", "metadatas", "distances"] { $0.string(column) } }
        }
        return writer.bytes
    }

    private func rows(
        _ response: HTTPResponse, _ count: Int, _ collection: Collection
    ) throws(RetrievalError) -> [[Match]] {
        guard response.isSuccess else { throw service.failure(response, "POST", "\(base)/collections/\(name)/query") }
        let root: JSONElement
        do throws(JSONError) {
            root = try JSONDocument(response.body).root
        } catch {
            throw service.invalid("its answer to a query is not JSON (\(error))")
        }
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
                matches.append(
                    Match(
                        passage: Self.passage(id: id, text: rowDocuments[place].string ?? "", rowMetadatas[place]),
                        score: score))
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
            language: metadata["language"]?.string)
    }
}
