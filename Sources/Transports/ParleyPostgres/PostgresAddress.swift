import CPostgres
import Synchronization

/// Where a database is and who asks: a URI of libpq (<https://www.postgresql.org/docs/current/libpq-connect.html>), with its
/// options (`sslmode`, `sslrootcert`, `options`, several hosts).
package final class PostgresAddress: Sendable {
    let uri: String
    private let password: Mutex<String?>
    /// What the URI says nothing of.
    private let defaults: [(name: String, value: String)]

    /// - Parameter password: goes before the URI's; nil or empty: that one counts, or what libpq finds elsewhere.
    /// - Throws: when libpq cannot read the URI. The message names nothing of it, which may be a password.
    package init(uri: String, password: String? = nil) throws(PostgresError) {
        self.uri = uri
        self.password = Mutex(password)
        guard let options = PQconninfoParse(uri, nil) else {
            throw PostgresError(
                .invalid, "it is no URI of libpq: an option is unknown, a % stands alone, or a host has no end")
        }
        defer { PQconninfoFree(options) }
        var said: Set<String> = []
        var option = options
        while let keyword = option.pointee.keyword {
            if option.pointee.val != nil { said.insert(String(cString: keyword)) }
            option += 1
        }
        // A peer that is gone is noticed also where nothing is sent; Kerberos is looked for only where it is asked for.
        defaults = [
            ("fallback_application_name", "parley"), ("gssencmode", "disable"), ("keepalives_idle", "30"),
            ("keepalives_interval", "10"), ("keepalives_count", "3"), ("tcp_user_timeout", "30000"),
        ].filter { !said.contains($0.0) }.map { (name: $0.0, value: $0.1) }
    }

    /// Of connections that are made from now on.
    package func use(password: String?) { self.password.withLock { $0 = password } }

    /// For `PQconnectStartParams`: later ones go before what is in the URI.
    var parameters: [(name: String, value: String)] {
        var all = [(name: "dbname", value: uri)] + defaults
        if let password = password.withLock({ $0 }), !password.isEmpty { all.append(("password", password)) }
        all.append(("client_encoding", "UTF8"))
        return all
    }
}
