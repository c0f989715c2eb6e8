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
        /// The name of the one that stands in for it, and of one that is, or was, being made to.
        var currentName: String?
        var nextName: String?
        var queryURL: String
        var description: StoreDescription
        /// Names and values, as JSON.
        var metadata: [(name: String, value: [UInt8])] = []
        /// Similarity is one minus this much of the distance: Chroma's `l2` is the square of the Euclidean distance,
        /// which for unit vectors is twice `cosine`'s and `ip`'s.
        var distanceScale: Double
        /// Its records have attributes, which Chroma can filter by.
        var hasAttributes = false
        /// Some records are one tenant's alone, or may be.
        var hasTenants = true
        /// `cosine` scales by itself; with the other spaces a score means something for unit vectors only.
        var needsUnitVectors: Bool
    }

    /// A collection that is to stand in for the one of the address.
    struct Anew: Sendable {
        let name: String
        let collection: Collection
    }

    /// The keys of a collection's metadata that hold the embedder's identity, and what every ingest draws anew.
    static let embedderKey = "parley_embedder"
    static let versionKey = "parley_version"
    /// Says how records are written: 2 with attributes.
    static let formatKey = "parley_format"
    static let format = 2
    /// True when some document is one tenant's alone.
    static let tenantsKey = "parley_tenants"
    /// The name of the collection that stands in for this one since everything was made anew, and of one that is being made. Chroma
    /// cannot exchange two collections in one step, and can change one's metadata.
    static let currentKey = "parley_current"
    static let nextKey = "parley_next"
    /// ``EmbedderProbe``: its numbers, with commas between.
    static let probeKey = "parley_probe"
    private static let lookTimeout: Duration = .seconds(2)

    let address: ChromaAddress
    let service: Service
    private let remembered = Remembered<Collection>(lookAgainAfter: .seconds(2))
    /// What is being made anew.
    let anew = Mutex<Anew?>(nil)

    /// - Parameters:
    ///   - url: see ``ChromaAddress``.
    ///   - token: what Chroma's token authentication wants; nil or empty sends none.
    /// - Throws: ``RetrievalError/Code-swift.struct/invalidSetting`` when the URL names no collection, or Chroma would
    ///   refuse its name.
    package init(url: String, token: String? = nil, http: HTTPClient) throws(RetrievalError) {
        address = try ChromaAddress(url)
        service = Service(
            name: "Chroma", part: .store, keySetting: "vectors.token", addressSettings: "vectors.url", http: http,
            headers: try Self.headers(token, address))
    }

    /// Which of the two a server looks at is its configuration's.
    private static func headers(_ token: String?, _ address: ChromaAddress) throws(RetrievalError) -> [HTTPHeader] {
        guard let token, !token.isEmpty else { return [] }
        try checkSecret(token, "vectors.token")
        return [HTTPHeader(name: "X-Chroma-Token", value: token)]
            + (address.hasUserInfo ? [] : [HTTPHeader(name: "Authorization", value: "Bearer \(token)")])
    }

    package func useToken(_ token: String) throws(RetrievalError) { service.use(try Self.headers(token, address)) }

    var name: String { address.collection }
    var base: String { address.base }
    package var location: String { address.location }

    // MARK: - The collection

    package func hasIndex() async -> Bool {
        await remembered.isThere { () throws(RetrievalError) in try await lookUp(timeout: Self.lookTimeout) }
    }

    package var current: StoreDescription? { known?.description }

    /// Who writes to the collection with another program should change its metadata, too.
    package func version() async -> String? {
        do throws(RetrievalError) {
            guard let collection = try await lookUp(timeout: Self.lookTimeout) else { return "none" }
            let version = collection.metadata.first { $0.name == Self.versionKey }?.value ?? []
            return collection.id + String(decoding: version, as: UTF8.self)
        } catch {
            return nil
        }
    }

    package func hasTenants() async -> Bool { known?.hasTenants ?? true }

    package func open(timeout: Duration) async throws(RetrievalError) -> StoreDescription? {
        let deadline = ContinuousClock.now + timeout
        guard var collection = try await lookUp(timeout: timeout) else { return nil }
        let url = "\(base)/collections/\(collection.id)/count"
        let response = try await service.send("GET", url, timeout: max(deadline.left, .milliseconds(1)))
        if Self.saysMissing(response) {
            remember(nil)
            return nil
        }
        guard response.isSuccess else { throw service.failure(response, "GET", url) }
        guard let count = try service.json(response).int else {
            throw service.invalid("the count of \(name) is not a number")
        }
        collection.description.passages = count
        remember(collection)
        // A collection that somebody made and nobody filled is no index yet.
        return count == 0 && collection.description.dimension == nil ? nil : collection.description
    }

    /// Asks for the collection by name, and for the one that stands in for it, if one does.
    ///
    /// - Returns: nil when Chroma itself says that there is none; anybody else's word for that is an error.
    func lookUp(timeout: Duration) async throws(RetrievalError) -> Collection? {
        let deadline = ContinuousClock.now + timeout
        // Between the two looks another may have come to stand in.
        for _ in 0..<2 {
            guard let named = try await find(name, timeout: max(deadline.left, .milliseconds(1))) else { break }
            guard let other = named.currentName else {
                remember(named)
                return named
            }
            if let found = try await find(other, timeout: max(deadline.left, .milliseconds(1))) {
                remember(found)
                return found
            }
        }
        remember(nil)
        return nil
    }

    /// The collection of that very name.
    func find(_ name: String, timeout: Duration) async throws(RetrievalError) -> Collection? {
        let deadline = ContinuousClock.now + timeout
        let url = "\(base)/collections/\(name)"
        let response = try await service.send("GET", url, timeout: timeout)
        if Self.saysMissing(response) { return nil }
        guard response.isSuccess else {
            if [404, 405, 410].contains(response.status) {
                try await refuseVersion1(response.status, timeout: deadline.left)
            }
            throw service.failure(response, "GET", url)
        }
        return try read(try service.json(response), name)
    }

    func read(_ root: JSONElement, _ name: String) throws(RetrievalError) -> Collection {
        do throws(JSONError) { return try collection(from: root) } catch {
            throw service.invalid("the description of \(name) cannot be read: \(error)")
        }
    }

    /// Whether Chroma says, in its own words, that it has no such collection: `InvalidCollection` is what it said before
    /// version 1. A gateway that has lost Chroma says 404, too, and then there may well be one.
    static func saysMissing(_ response: HTTPResponse) -> Bool {
        guard !response.isSuccess, response.body.count <= ErrorAnswer.mostBytes,
            let error = (try? JSONDocument(response.body))?.root["error"]?.string
        else { return false }
        return ["NotFoundError", "InvalidCollection", "InvalidCollectionException"].contains(error)
    }

    /// - Throws: when the server speaks only version 1 of the API, or the URL asks for that.
    private func refuseVersion1(_ status: Int, timeout: Duration) async throws(RetrievalError) {
        func denied(_ what: String) -> RetrievalError {
            RetrievalError(.denied, "\(location): \(what)", status: status, part: .store)
        }
        if status == 410, base.contains("/api/v1/") {
            throw denied("version 1 of Chroma's API is gone there; leave /api/v1 out of vectors.url")
        }
        guard timeout > .zero else { return }
        let beat: HTTPResponse
        do throws(RetrievalError) {
            beat = try await service.send("GET", "\(address.root)/api/v1/heartbeat", timeout: timeout)
        } catch {
            return
        }
        guard beat.isSuccess, (try? JSONDocument(beat.body))?.root["nanosecond heartbeat"] != nil else { return }
        throw denied(
            "the server speaks only version 1 of Chroma's API; version 2 is needed: upgrade it to 0.6 or later")
    }

    func collection(from json: JSONElement) throws(JSONError) -> Collection {
        guard let id = json["id"]?.string, !id.isEmpty, id.utf8.allSatisfy({ $0 > 0x20 && $0 != UInt8(ascii: "/") })
        else {
            throw JSONError("id is missing", at: 0)
        }
        let space = json["configuration_json"]?["hnsw"]?["space"]?.string
        let metadata = json["metadata"]
        var description = StoreDescription(
            dimension: json["dimension"]?.int, embedder: metadata?[Self.embedderKey]?.string, passages: 0,
            documents: nil)
        let numbers = metadata?[Self.probeKey]?.string?.split(separator: ",").compactMap { Float($0) }
        description.probe = numbers.flatMap { EmbedderProbe(numbers: $0) }
        let hasAttributes = metadata?[Self.formatKey]?.int ?? 1 >= Self.format
        description.isOutdated = description.embedder != nil && !hasAttributes
        return Collection(
            id: id, currentName: metadata?[Self.currentKey]?.string, nextName: metadata?[Self.nextKey]?.string,
            queryURL: "\(base)/collections/\(id)/query", description: description,
            metadata: (metadata?.members ?? []).map { ($0.name, Self.text($0.value)) },
            distanceScale: space == "l2" ? 0.5 : 1, hasAttributes: hasAttributes,
            // What Parley wrote without attributes is everybody's; what others wrote may be anybody's.
            hasTenants: description.embedder == nil || metadata?[Self.tenantsKey]?.bool == true,
            needsUnitVectors: space == "l2" || space == "ip")
    }

    private static func text(_ value: JSONElement) -> [UInt8] {
        guard let string = value.string else { return Array(value.raw) }
        var writer = JSONWriter()
        writer.string(string)
        return writer.bytes
    }

    /// What is known from now on; nil: there is no such collection.
    func remember(_ collection: Collection?) { remembered.remember(collection) }

    var known: Collection? { remembered.collection }

    func known(timeout: Duration) async throws(RetrievalError) -> Collection {
        if let known { return known }
        if let found = try await lookUp(timeout: timeout) { return found }
        throw missing()
    }

    func missing() -> RetrievalError {
        RetrievalError(.notFound, "Chroma has no collection \(name) at \(location): run parley ingest", part: .store)
    }
}
