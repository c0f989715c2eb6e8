import ParleyHTTP

/// Where a collection of a Chroma server is: `http://host:port/collection`, with `?tenant=…&database=…` for others than
/// Chroma's defaults.
struct ChromaAddress: Sendable {
    /// As messages name it. No secrets.
    let location: String
    let collection: String
    /// What the server's paths begin with.
    let root: String
    /// Up to and including the database.
    let base: String
    /// The URL holds a user name: libcurl sends it with HTTP's basic authentication.
    let hasUserInfo: Bool

    /// - Throws: ``RetrievalError/Code-swift.struct/invalidSetting`` when the URL names no collection, or Chroma would
    ///   refuse its name.
    init(_ url: String) throws(RetrievalError) {
        location = "chroma+\(withoutUserInfo(url))"
        hasUserInfo = withoutUserInfo(url) != url
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
        collection = String(path[path.index(after: slash)...])
        guard Self.isName(collection) else {
            throw wrong("a collection's name is 3 to 512 of a-z A-Z 0-9 . _ -, with a letter or digit at both ends")
        }
        var tenant = "default_tenant"
        var database = "default_database"
        for option in (parts.count > 1 ? parts[1] : "").split(separator: "&") {
            let pair = option.split(separator: "=", maxSplits: 1).map(String.init)
            switch (pair.first, pair.count) {
            case ("tenant", 2): tenant = pair[1]
            case ("database", 2): database = pair[1]
            default:
                throw wrong(
                    "the option \(pair.first ?? "")= is neither tenant= nor database=, and a token is vectors.token")
            }
        }
        root = String(path[..<slash])
        base = "\(root)/api/v2/tenants/\(tenant)/databases/\(database)"
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
}
