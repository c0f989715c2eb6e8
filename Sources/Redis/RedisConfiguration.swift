import CHiredis

/// Which server to speak to, as whom, and how long to wait for it.
public struct RedisConfiguration: Sendable, Equatable {
    /// A name or an address.
    public var host: String
    public var port: Int
    /// The user of an access control list (Redis 6 and later); nil stands for the server's `default` user.
    public var username: String?
    /// nil sends no `AUTH`.
    public var password: String?
    /// The number of the logical database.
    public var database: Int
    /// Whether the connection is encrypted and the server's certificate verified (`rediss`).
    public var tls: Bool
    /// A PEM file with the certificate authorities to trust; nil trusts those of the system.
    public var certificateAuthorityFile: String?
    /// The longest wait for one attempt to resolve the name, connect and shake hands.
    public var connectTimeout: Duration = .seconds(5)
    /// The longest wait for a reply. When it passes, the connection is torn down and made anew.
    public var commandTimeout: Duration = .seconds(5)
    /// Shown by `CLIENT LIST`; no spaces.
    public var clientName: String?

    /// Defaults as in `redis://127.0.0.1:6379/0`.
    public init(
        host: String = "127.0.0.1", port: Int = 6379, username: String? = nil, password: String? = nil,
        database: Int = 0
    ) {
        self.host = host
        self.port = port
        self.username = username
        self.password = password
        self.database = database
        tls = false
    }

    /// Whether this build can speak `rediss`: it was compiled against hiredis 1.0 or later with `hiredis_ssl`.
    public static var supportsTLS: Bool { parley_redis_has_tls() != 0 }

    /// The address without the password, for logs and messages.
    public var redacted: String {
        var user = username.map { RedisURL.encode($0) } ?? ""
        if password != nil { user += ":***" }
        if !user.isEmpty { user += "@" }
        let name = host.contains(":") ? "[\(host)]" : host
        return "\(tls ? "rediss" : "redis")://\(user)\(name):\(port)/\(database)"
    }
}

extension RedisConfiguration: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String { redacted }
    public var debugDescription: String { redacted }
    /// Keeps the password out of `dump` and of test reports.
    public var customMirror: Mirror { Mirror(self, children: ["url": redacted]) }
}

extension RedisConfiguration {
    /// Reads `redis://user:password@host:port/database`, or `rediss://…` for TLS
    /// (https://www.iana.org/assignments/uri-schemes/prov/redis; `?db=` is understood too).
    ///
    /// Everything but the scheme and the host may be left out. User and password are percent-decoded.
    /// - Throws: ``RedisError`` with code `invalidConfiguration`, naming the part that is wrong. What might be a
    ///   piece of a password is not repeated in it.
    public init(url: String) throws(RedisError) {
        let parts = try RedisURL(url)
        if parts.tls, !Self.supportsTLS {
            throw RedisURL.wrong(
                """
                rediss:// needs TLS, and this build's hiredis (\(HIREDIS_MAJOR).\(HIREDIS_MINOR)) has none: install \
                hiredis 1.0 or later with hiredis_ssl (libhiredis-dev of Debian 13 or Ubuntu 24.04) and build again, \
                or use redis:// over a network you trust
                """)
        }
        self.init(
            host: parts.host, port: parts.port, username: parts.username, password: parts.password,
            database: parts.database)
        tls = parts.tls
    }
}

/// The pieces of a Redis URL. Parsed by hand: general URL parsers repair what should be refused.
struct RedisURL {
    var tls = false
    var host = ""
    var port = 6379
    var username: String?
    var password: String?
    var database = 0

    init(_ url: String) throws(RedisError) {
        guard let mark = url.firstRange(of: "://") else {
            throw Self.wrong("no scheme: write redis://host:port/database")
        }
        switch url[..<mark.lowerBound].lowercased() {
        case "redis": tls = false
        case "rediss": tls = true
        default: throw Self.wrong("the scheme is neither redis nor rediss")
        }
        let rest = url[mark.upperBound...]
        let end = rest.firstIndex { "/?#".contains($0) } ?? rest.endIndex
        let tail = rest[end...]
        if tail.contains("@") {
            throw Self.wrong(
                "an @ after the host: percent-encode /, ? and # in the user name and password (%2F %3F %23)")
        }
        try readAuthority(rest[..<end])
        try readTail(tail)
    }

    private mutating func readAuthority(_ authority: Substring) throws(RedisError) {
        var address = authority
        if let at = authority.lastIndex(of: "@") {
            try readCredentials(authority[..<at])
            address = authority[authority.index(after: at)...]
        }
        var portText: Substring = ""
        if address.first == "[" {
            guard let bracket = address.firstIndex(of: "]") else {
                throw Self.wrong("the IPv6 address has no closing ]")
            }
            host = String(address[address.index(after: address.startIndex)..<bracket])
            portText = address[address.index(after: bracket)...]
            guard portText.isEmpty || portText.first == ":" else { throw Self.wrong("text between ] and the port") }
        } else {
            let colon = address.firstIndex(of: ":") ?? address.endIndex
            host = try Self.decode(address[..<colon], "host")
            portText = address[colon...]
        }
        guard !host.isEmpty else { throw Self.wrong("the host is missing: write redis://host:port/database") }
        guard !host.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7f }) else {
            throw Self.wrong("the host contains white space or control characters")
        }
        guard portText.count > 1 else { return }
        guard let value = Int(portText.dropFirst()), (1...65535).contains(value) else {
            throw Self.wrong("the port is not a number from 1 to 65535")
        }
        port = value
    }

    private mutating func readCredentials(_ text: Substring) throws(RedisError) {
        guard let colon = text.firstIndex(of: ":") else {
            throw Self.wrong(
                "there is one word before the @: write redis://user:password@host or redis://:password@host")
        }
        let user = try Self.decode(text[..<colon], "user name")
        username = user.isEmpty ? nil : user
        let secret = try Self.decode(text[text.index(after: colon)...], "password")
        password = secret.isEmpty ? nil : secret
        if username != nil, password == nil { throw Self.wrong("there is a user name but no password") }
    }

    private mutating func readTail(_ tail: Substring) throws(RedisError) {
        if tail.contains("#") { throw Self.wrong("a fragment (#…) means nothing here") }
        let question = tail.firstIndex(of: "?") ?? tail.endIndex
        let path = tail[..<question].dropFirst()
        if !path.isEmpty { database = try Self.databaseNumber(path) }
        for item in tail[question...].dropFirst().split(separator: "&") {
            let pair = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard pair.count == 2, pair[0] == "db" else {
                throw Self.wrong("the parameter \"\(pair[0])\" is not known: only db is")
            }
            database = try Self.databaseNumber(pair[1])
        }
    }

    private static func databaseNumber(_ text: Substring) throws(RedisError) -> Int {
        guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int32(text) else {
            throw wrong("the database \"\(text)\" is not a number such as 0")
        }
        return Int(number)
    }

    static func wrong(_ what: String) -> RedisError {
        RedisError(.invalidConfiguration, "the Redis URL is wrong: \(what)")
    }

    static func decode(_ text: Substring, _ part: String) throws(RedisError) -> String {
        guard text.utf8.contains(UInt8(ascii: "%")) else { return String(text) }
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            let digits = rest.prefix(2)
            guard digits.count == 2, digits.allSatisfy(isHexadecimal),
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
            else { throw wrong("a % in the \(part) is not followed by two hexadecimal digits (% itself is %25)") }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        guard let decoded = String(validating: bytes, as: UTF8.self) else {
            throw wrong("the \(part) is not UTF-8 once percent-decoded")
        }
        return decoded
    }

    static func encode(_ text: String) -> String {
        text.utf8.reduce(into: "") { result, byte in
            let plain = isHexadecimal(byte) || (0x67...0x7a).contains(byte | 0x20) || "-._~".utf8.contains(byte)
            if plain {
                result.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                result += (byte < 16 ? "%0" : "%") + String(byte, radix: 16, uppercase: true)
            }
        }
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte | 0x20)
    }
}
