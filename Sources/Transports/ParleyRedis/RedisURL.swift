import ParleyPrimitives

/// The pieces of a Redis URL. Parsed by hand: general URL parsers repair what should be refused.
struct RedisURL {
    var tls = false
    var endpoints: [RedisConfiguration.Endpoint] = []
    var username: String?
    var password: String?
    var database = 0
    var sentinelMaster: String?
    var sentinelPassword: String?
    /// By parameter: `cacertfile`, `certfile`, `keyfile`.
    var files: [String: String] = [:]
    private var namesSentinels = false

    init(_ url: String) throws(RedisError) {
        guard let mark = url.firstRange(of: "://") else {
            throw Self.wrong("no scheme: write redis://host:port/database")
        }
        switch url[..<mark.lowerBound].lowercased() {
        case "redis": break
        case "rediss": tls = true
        case "redis+sentinel": namesSentinels = true
        case "rediss+sentinel": (tls, namesSentinels) = (true, true)
        default: throw Self.wrong("the scheme is neither redis nor rediss, nor redis+sentinel")
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
        var addresses = authority
        if let at = authority.lastIndex(of: "@") {
            try readCredentials(authority[..<at])
            addresses = authority[authority.index(after: at)...]
        }
        for address in addresses.split(separator: ",", omittingEmptySubsequences: false) {
            let endpoint = try readEndpoint(address)
            guard !endpoints.contains(endpoint) else { throw Self.wrong("the address \(endpoint) stands there twice") }
            endpoints.append(endpoint)
        }
    }

    private func readEndpoint(_ address: Substring) throws(RedisError) -> RedisConfiguration.Endpoint {
        var endpoint = RedisConfiguration.Endpoint(host: "", port: namesSentinels ? 26379 : 6379)
        var portText: Substring = ""
        if address.first == "[" {
            guard let bracket = address.firstIndex(of: "]") else {
                throw Self.wrong("the IPv6 address has no closing ]")
            }
            endpoint.host = String(address[address.index(after: address.startIndex)..<bracket])
            portText = address[address.index(after: bracket)...]
            guard portText.isEmpty || portText.first == ":" else { throw Self.wrong("text between ] and the port") }
        } else {
            let colon = address.firstIndex(of: ":") ?? address.endIndex
            endpoint.host = try Self.decode(address[..<colon], "host")
            portText = address[colon...]
        }
        guard !endpoint.host.isEmpty else {
            throw Self.wrong("the host is missing: write redis://host:port/database")
        }
        guard !Self.hasBlanks(endpoint.host) else {
            throw Self.wrong("the host contains white space or control characters")
        }
        guard portText.count > 1 else { return endpoint }
        guard let value = Int(portText.dropFirst()), (1...65535).contains(value) else {
            throw Self.wrong("the port is not a number from 1 to 65535")
        }
        endpoint.port = value
        return endpoint
    }

    private static func hasBlanks(_ text: String) -> Bool { text.utf8.contains { $0 <= 0x20 || $0 == 0x7f } }

    private mutating func readCredentials(_ text: Substring) throws(RedisError) {
        if text.contains("@"), text.contains(",") {
            throw Self.wrong(
                """
                an @ and a comma before the last @: user and password are given once, before the first address, and \
                in them @ and , are percent-encoded (%40 %2C)
                """)
        }
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
        var path = tail[..<question].dropFirst()
        if namesSentinels { sentinelMaster = try Self.takeMaster(from: &path) }
        if !path.isEmpty { database = try Self.databaseNumber(path) }
        for item in tail[question...].dropFirst().split(separator: "&") {
            let pair = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            switch (pair[0], pair.count) {
            case ("db", 2): database = try Self.databaseNumber(pair[1])
            case ("sentinel_password", 2) where namesSentinels:
                let secret = try Self.decode(pair[1], "sentinel_password")
                sentinelPassword = secret.isEmpty ? nil : secret
            case ("cacertfile", 2), ("certfile", 2), ("keyfile", 2):
                guard tls else { throw Self.wrong("\(pair[0]) needs rediss://") }
                let path = try Self.decode(pair[1], "\(pair[0])")
                guard !path.isEmpty else { throw Self.wrong("\(pair[0]) names no file") }
                files[String(pair[0])] = path
            default:
                var known = ["db"]
                if namesSentinels { known.append("sentinel_password") }
                if tls { known += ["cacertfile", "certfile", "keyfile"] }
                throw Self.wrong(
                    "the parameter \"\(pair[0])\" is not known, or has no value; known are \(known.joined(separator: ", "))"
                )
            }
        }
    }

    private static func takeMaster(from path: inout Substring) throws(RedisError) -> String {
        let slash = path.firstIndex(of: "/") ?? path.endIndex
        let name = try decode(path[..<slash], "primary's name")
        path = path[slash...].dropFirst()
        guard !name.isEmpty, !hasBlanks(name) else {
            throw wrong(
                "the name that the Sentinels have for the primary is missing: write redis+sentinel://host:port/NAME/0")
        }
        return name
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
        do throws(PercentEncoding.Fault) { return try PercentEncoding.decode(text) } catch {
            switch error {
            case .digits:
                throw wrong("a % in the \(part) is not followed by two hexadecimal digits (% itself is %25)")
            case .text: throw wrong("the \(part) is not UTF-8 text once percent-decoded")
            }
        }
    }

    static func encode(_ text: String) -> String { PercentEncoding.encode(text) }
}
