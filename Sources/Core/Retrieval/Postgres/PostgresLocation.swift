import ParleyPostgres
import ParleyPrimitives

/// Where a collection of a PostgreSQL database is: `postgresql://user@host:port/database/collection`, with libpq's options
/// behind a `?`.
struct PostgresLocation: Sendable {
    /// As messages name it. No secrets.
    let location: String
    let collection: String
    let address: PostgresAddress

    static let example = "postgresql://user@host:port/database/collection"

    static func isMeant(by url: String) -> Bool { url.hasPrefix("postgresql://") || url.hasPrefix("postgres://") }

    /// - Parameter password: goes before the URL's; nil or empty: that one counts, or what libpq finds elsewhere.
    /// - Throws: ``RetrievalError/Code-swift.struct/invalidSetting`` when the URL names no collection, or libpq cannot read it.
    init(_ url: String, password: String?) throws(RetrievalError) {
        let parts = url.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        // Options may hold a password.
        let shown = withoutUserInfo(String(parts[0]))
        func wrong(_ what: String) -> RetrievalError {
            RetrievalError(.invalidSetting, "vectors.url is \"\(shown)\": \(what); write \(Self.example)")
        }
        location = shown
        guard let scheme = url.firstRange(of: "://") else { throw wrong("it has no host") }
        let path = parts[0][scheme.upperBound...].split(separator: "/", omittingEmptySubsequences: false)
        guard path.count == 3, !path[1].isEmpty, !path[2].isEmpty else {
            throw wrong("behind the host it names a database and a collection")
        }
        collection = String(path[2])
        guard Self.isName(collection) else {
            throw wrong("a collection's name is 1 to 40 of a-z A-Z 0-9 . _ -")
        }
        let options = parts.count > 1 ? "?\(parts[1])" : ""
        let uri = "postgresql://\(path[0])/\(path[1])\(options)"
        do throws(PostgresError) {
            address = try PostgresAddress(uri: uri, password: password)
        } catch {
            throw wrong(error.message)
        }
    }

    /// So that a table's name, made of it, fits into PostgreSQL's 63 bytes.
    private static func isName(_ name: String) -> Bool {
        (1...40).contains(name.utf8.count)
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"):
                    true
                default: ".-_".utf8.contains(byte)
                }
            }
    }
}
