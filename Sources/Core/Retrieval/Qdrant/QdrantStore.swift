import ParleyHTTP
import ParleyJSON
import Synchronization

/// A collection of a Qdrant server, over its REST API (<https://api.qdrant.tech>; from version 1.10 on, whose
/// `points/query/batch` takes a window of queries with a filter each).
///
/// The name in the URL is an alias. Behind it is one of two collections, `NAME.parley-1` and `NAME.parley-2`: what is made anew is
/// made in the other one, and one call then moves the alias. What the index says of itself is a point that no search finds.
package final class QdrantStore: VectorStore {
    struct Collection: Sendable {
        var version: String
        var description: StoreDescription
        var hasTenants: Bool
    }

    private static let lookTimeout: Duration = .seconds(2)

    let service: Service
    /// The alias.
    let name: String
    /// Up to the collections' names.
    let root: String
    package let location: String
    private let remembered = Remembered<Collection>()
    /// The collection that is being made anew.
    let anew = Mutex<String?>(nil)

    /// - Parameters:
    ///   - url: `http://host:port/collection`.
    ///   - token: the server's API key; nil or empty sends none.
    /// - Throws: ``RetrievalError/Code-swift.struct/invalidSetting`` when the URL names no collection.
    package init(url: String, token: String? = nil, http: HTTPClient) throws(RetrievalError) {
        let shown = "qdrant+\(withoutUserInfo(url))"
        func wrong(_ what: String) -> RetrievalError {
            RetrievalError(
                .invalidSetting, "vectors.url is \"\(shown)\": \(what); write qdrant+http://host:port/collection")
        }
        do throws(HTTPError) { _ = try HTTPURL(url) } catch { throw wrong(error.message) }
        guard let scheme = url.firstRange(of: "://"), let slash = url.lastIndex(of: "/"), slash >= scheme.upperBound,
            url.index(after: slash) < url.endIndex
        else { throw wrong("it names no collection") }
        name = String(url[url.index(after: slash)...])
        guard Self.isName(name) else {
            throw wrong("a collection's name is 1 to 200 of a-z A-Z 0-9 . _ -, and there are no options behind it")
        }
        root = "\(url[..<slash])/collections"
        location = shown
        service = Service(
            name: "Qdrant", part: .store, keySetting: "vectors.token", addressSettings: "vectors.url", http: http,
            headers: try Self.headers(token))
    }

    private static func isName(_ name: String) -> Bool {
        (1...200).contains(name.utf8.count)
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"):
                    true
                default: ".-_".utf8.contains(byte)
                }
            }
    }

    private static func headers(_ token: String?) throws(RetrievalError) -> [HTTPHeader] {
        guard let token, !token.isEmpty else { return [] }
        try checkSecret(token, "vectors.token")
        return [HTTPHeader(name: "api-key", value: token)]
    }

    package func useToken(_ token: String) throws(RetrievalError) { service.use(try Self.headers(token)) }

    // MARK: - The collection

    package func hasIndex() async -> Bool {
        await remembered.isThere { () throws(RetrievalError) in try await lookUp(timeout: Self.lookTimeout) }
    }

    package var current: StoreDescription? { known?.description }

    package func hasTenants() async -> Bool { known?.hasTenants ?? true }

    package func version() async -> String? {
        if let recent = remembered.recent { return recent.version }
        do throws(RetrievalError) {
            return try await lookUp(timeout: Self.lookTimeout)?.version ?? "none"
        } catch {
            return nil
        }
    }

    package func open(timeout: Duration) async throws(RetrievalError) -> StoreDescription? {
        try await lookUp(timeout: timeout)?.description
    }

    /// Asks for what the index behind the alias says of itself; nil when Qdrant itself says that there is none.
    @discardableResult
    func lookUp(timeout: Duration) async throws(RetrievalError) -> Collection? {
        let found = try await find(name, timeout: timeout)
        remembered.remember(found)
        return found
    }

    /// - Parameter name: a collection's, or the alias.
    /// - Returns: nil when there is none of that name.
    /// - Throws: ``RetrievalError/Code-swift.struct/foreign`` when it is another program's.
    func find(_ name: String, timeout: Duration) async throws(RetrievalError) -> Collection? {
        var writer = JSONWriter()
        writer.object { json in
            json.key("ids")
            json.array { $0.string(QdrantPoint.indexID) }
            json.member("with_payload", true)
        }
        let url = "\(root)/\(name)/points"
        let response = try await service.send("POST", url, body: writer.bytes, timeout: timeout)
        if Self.saysMissing(response) { return nil }
        guard response.isSuccess else { throw service.failure(response, "POST", url) }
        guard let points = try service.json(response)["result"], points.kind == .array else {
            throw service.invalid("the description of \(name) cannot be read")
        }
        guard let payload = points.elements.first?["payload"], let version = payload["version"]?.string else {
            throw RetrievalError(
                .foreign,
                "the collection \(name) at \(location) was not written by parley ingest and is left alone: name another collection in vectors.url",
                part: .store)
        }
        var description = StoreDescription(
            dimension: payload["dimension"]?.int, embedder: payload["embedder"]?.string,
            passages: payload["passages"]?.int ?? 0, documents: payload["documents"]?.int)
        let numbers = payload["probe"]?.string?.split(separator: ",").compactMap { Float($0) }
        description.probe = numbers.flatMap { EmbedderProbe(numbers: $0) }
        return Collection(
            version: version, description: description, hasTenants: payload["tenants"]?.bool ?? true)
    }

    /// Whether Qdrant says, in its own words, that it has no such collection. A gateway that has lost Qdrant says 404, too.
    static func saysMissing(_ response: HTTPResponse) -> Bool {
        guard response.status == 404, response.body.count <= ErrorAnswer.mostBytes,
            let error = (try? JSONDocument(response.body))?.root["status"]?["error"]?.string
        else { return false }
        return error.contains("Collection") && error.contains("exist")
    }

    /// Some passage is one tenant's alone, whatever the index said of itself when it was looked at.
    func noteTenants() { remembered.change { $0.hasTenants = true } }

    func forget() { remembered.remember(nil) }

    var known: Collection? { remembered.collection }

    func known(timeout: Duration) async throws(RetrievalError) -> Collection {
        if let known { return known }
        if let found = try await lookUp(timeout: timeout) { return found }
        throw missing()
    }

    func missing() -> RetrievalError {
        RetrievalError(.notFound, "Qdrant has no collection \(name) at \(location): run parley ingest", part: .store)
    }
}
