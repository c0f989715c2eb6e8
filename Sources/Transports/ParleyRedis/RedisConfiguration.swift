import CHiredis
import Glibc
import ParleyPrimitives

/// Which server to speak to, as whom, and how long to wait for it.
package struct RedisConfiguration: Sendable, Equatable {
    /// Where a server, or a Sentinel, listens.
    package struct Endpoint: Sendable, Hashable, CustomStringConvertible {
        /// A name or an address.
        package var host: String
        package var port: Int

        package init(host: String, port: Int) {
            self.host = host
            self.port = port
        }

        /// The address `host`:`port`.
        package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
    }

    /// The servers, of which the first that is a primary is used; or, with a ``sentinelMaster``, the Sentinels, of which
    /// the first that answers is believed. They are tried in turn, beginning with the one that served last.
    package var endpoints: [Endpoint]
    /// The name under which the Sentinels know the primary; nil when ``endpoints`` are servers.
    package var sentinelMaster: String?
    /// nil sends the Sentinels no `AUTH`. The user name and password below are for the server alone.
    package var sentinelPassword: String?
    /// The user of an access control list (Redis 6 and later); nil stands for the server's `default` user.
    package var username: String?
    /// nil sends no `AUTH`.
    package var password: String?
    /// Where the password is read anew for each connection; nil: it stays.
    package var freshPassword: SecretSource?
    /// The number of the logical database.
    package var database: Int
    /// Whether the connection is encrypted and the server's certificate verified (`rediss`).
    package var tls: Bool
    /// A PEM file with the certificate authorities to trust; nil trusts those of the system.
    package var certificateAuthorityFile: String?
    /// A PEM file with the certificate that is shown to the server, and those that vouch for it; nil shows none.
    package var certificateFile: String?
    /// A PEM file with the key of ``certificateFile``, without a passphrase.
    package var keyFile: String?
    /// The longest wait for one attempt to resolve the name, connect and shake hands.
    package var connectTimeout: Duration = .seconds(5)
    /// The longest wait for a reply. When it passes, the connection is torn down and made anew.
    package var commandTimeout: Duration = .seconds(5)
    /// More bytes than this are not held for a server that takes them slowly, nor sent in one command or pipeline.
    package var maximumOutput = 64 << 20
    /// A reply larger than this ends the connection. Redis itself has no strings over 512 MiB unless told to.
    package var maximumReply = 512 << 20
    /// Shown by `CLIENT LIST`; no spaces.
    package var clientName: String?

    /// Defaults as in `redis://127.0.0.1:6379/0`.
    package init(
        host: String = "127.0.0.1", port: Int = 6379, username: String? = nil, password: String? = nil,
        database: Int = 0
    ) {
        endpoints = [Endpoint(host: host, port: port)]
        self.username = username
        self.password = password
        self.database = database
        tls = false
    }

    /// Whether this build can speak `rediss`: it was compiled against hiredis 1.0 or later with `hiredis_ssl`.
    package static var supportsTLS: Bool { parley_redis_has_tls() != 0 }

    /// The host of the first endpoint.
    package var host: String { endpoints.first?.host ?? "" }
    /// The port of the first endpoint.
    package var port: Int { endpoints.first?.port ?? 0 }

    /// Whether there is a choice of servers, of which only the primary will do.
    var seeksPrimary: Bool { endpoints.count > 1 || sentinelMaster != nil }

    /// With the password as it is now. Blocks for as long as reading a file takes.
    func refreshed() -> RedisConfiguration {
        guard let now = freshPassword?.current() else { return self }
        var fresh = self
        fresh.password = now
        return fresh
    }

    /// What is wrong with the files for TLS, a sentence each. They are named as in a URL and as in Parley's settings.
    package var problems: [String] {
        let files = [
            ("cacertfile (redis.ca_file)", certificateAuthorityFile), ("certfile (redis.cert_file)", certificateFile),
            ("keyfile (redis.key_file)", keyFile),
        ].compactMap { name, path in path.map { (name, $0) } }
        var problems: [String] = []
        for (name, path) in files {
            if !tls {
                problems.append("\(name) is \"\(path)\", which needs rediss://")
            } else if access(path, R_OK) != 0 {
                problems.append("\(name) is \"\(path)\", which cannot be read: \(String(cString: strerror(errno)))")
            }
        }
        if (certificateFile == nil) != (keyFile == nil) {
            problems.append(
                "certfile (redis.cert_file) and keyfile (redis.key_file) belong together, and one is missing; both may name the same file"
            )
        }
        return problems
    }

    /// The address without the passwords, for logs and messages.
    package var redacted: String {
        let hosts = endpoints.map(\.description).joined(separator: ",")
        guard let sentinelMaster else { return address(hosts) }
        let query = sentinelPassword == nil ? "" : "?sentinel_password=***"
        let scheme = tls ? "rediss+sentinel" : "redis+sentinel"
        return "\(scheme)://\(credentials)\(hosts)/\(RedisURL.encode(sentinelMaster))/\(database)\(query)"
    }

    /// The address of one server without the password.
    func redacted(_ server: Endpoint) -> String { address(server.description) }

    private func address(_ hosts: String) -> String {
        "\(tls ? "rediss" : "redis")://\(credentials)\(hosts)/\(database)"
    }

    private var credentials: String {
        let user = (username.map { RedisURL.encode($0) } ?? "") + (password == nil ? "" : ":***")
        return user.isEmpty ? "" : user + "@"
    }
}

extension RedisConfiguration: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String { redacted }
    package var debugDescription: String { redacted }
    /// Keeps the password out of `dump` and of test reports.
    package var customMirror: Mirror { Mirror(self, children: ["url": redacted]) }
}

extension RedisConfiguration {
    /// Reads `redis://user:password@host:port/database`, or `rediss://…` for TLS
    /// (https://www.iana.org/assignments/uri-schemes/prov/redis; `?db=` is understood too).
    ///
    /// Everything but the scheme and the host may be left out. User and password are percent-decoded. Several addresses,
    /// separated by commas, are a primary and its replicas in any order.
    ///
    /// `redis+sentinel://user:password@host:port,host:port/master/database?sentinel_password=…` names Sentinels (port
    /// 26379) and what they call the primary; user and password are those of the server.
    ///
    /// With `rediss` and `rediss+sentinel`, `cacertfile`, `certfile` and `keyfile` name PEM files, as in AMQP URLs.
    /// - Throws: ``RedisError`` with code `invalidConfiguration`, naming the part that is wrong. What might be a
    ///   piece of a password is not repeated in it.
    package init(url: String) throws(RedisError) {
        let parts = try RedisURL(url)
        if parts.tls, !Self.supportsTLS {
            throw RedisURL.wrong(
                """
                rediss:// needs TLS, and this build's hiredis (\(HIREDIS_MAJOR).\(HIREDIS_MINOR)) has none: install \
                hiredis 1.0 or later with hiredis_ssl (libhiredis-dev of Debian 13 or Ubuntu 24.04) and build again, \
                or use redis:// over a network you trust
                """)
        }
        self.init(username: parts.username, password: parts.password, database: parts.database)
        endpoints = parts.endpoints
        sentinelMaster = parts.sentinelMaster
        sentinelPassword = parts.sentinelPassword
        tls = parts.tls
        certificateAuthorityFile = parts.files["cacertfile"]
        certificateFile = parts.files["certfile"]
        keyFile = parts.files["keyfile"]
    }
}
