import ParleyPrimitives

extension RabbitMQConfiguration {
    /// Reads `amqp://user:password@host:port/vhost?heartbeat=20`, or `amqps://…`.
    ///
    /// Several brokers are separated by commas: whole URLs (which must agree on everything but the host), or hosts
    /// (`amqp://a:5672,b:5673/vhost`). Missing parts: user and password `guest`, port 5672 (amqps: 5671), virtual host
    /// `/`; an empty path is also `/` (where RabbitMQ's URI specification would read an empty name, which no broker
    /// has). Every part is percent-decoded.
    ///
    /// Query parameters follow RabbitMQ's "URI Query Parameters": `heartbeat` (seconds), `connection_timeout`
    /// (milliseconds), `cacertfile`, `certfile`, `keyfile`, `verify` (`verify_peer` or `verify_none`),
    /// `server_name_indication` (the host itself, or `disable`: the certificate's name is then not checked).
    /// - Throws: ``RabbitMQError/Code/invalidConfiguration``, naming the part that cannot be used.
    package init(url: String) throws(RabbitMQError) {
        var result: RabbitMQConfiguration?
        for text in Self.splitURLs(url) {
            let one = try Self.parse(text)
            guard var all = result else {
                result = one
                continue
            }
            var comparable = one
            comparable.endpoints = all.endpoints
            guard comparable == all else {
                throw .invalid("the URLs separated by commas must agree on everything but the host and port")
            }
            all.endpoints += one.endpoints
            result = all
        }
        guard let result else { throw .invalid("the URL is empty; expected amqp://host:port/vhost") }
        self = result
    }

    /// Cuts at the commas that a scheme follows; others separate hosts.
    private static func splitURLs(_ text: String) -> [Substring] {
        var parts: [Substring] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let trimmed = part.drop { $0 == " " }
            if parts.isEmpty || trimmed.contains("://") {
                parts.append(trimmed)
            } else if let last = parts.popLast() {
                parts.append(text[last.startIndex..<part.endIndex])
            }
        }
        return parts.filter { !$0.isEmpty }
    }

    private static func parse(_ text: Substring) throws(RabbitMQError) -> RabbitMQConfiguration {
        guard let mark = text.firstRange(of: "://") else {
            throw .invalid("the URL has no scheme; expected amqp:// or amqps://")
        }
        let isTLS: Bool
        switch text[..<mark.lowerBound].lowercased() {
        case "amqp": isTLS = false
        case "amqps": isTLS = true
        case let scheme: throw .invalid("unknown scheme '\(scheme)'; expected amqp or amqps")
        }
        var rest = text[mark.upperBound...]
        var query: Substring = ""
        if let index = rest.firstIndex(of: "?") {
            query = rest[rest.index(after: index)...]
            rest = rest[..<index]
        }
        let authority = rest.prefix { $0 != "/" }
        // From here on parts are quoted in errors: no piece of a password may be among them.
        guard !query.contains("@"), !rest[authority.endIndex...].contains("@") else {
            throw .invalid("an @ after the host: percent-encode /, ? and # in the user name and password (%2F %3F %23)")
        }
        guard !query.contains("#"), !rest.contains("#") else {
            throw .invalid("the URL has a fragment ('#'); write %23 when it belongs to a name or password")
        }
        var path: Substring?
        if let index = rest.firstIndex(of: "/") {
            path = rest[rest.index(after: index)...]
            rest = rest[..<index]
        }
        var configuration = RabbitMQConfiguration(endpoints: [], tls: isTLS ? TLS() : nil)
        if let index = rest.lastIndex(of: "@") {
            let user = rest[..<index]
            rest = rest[rest.index(after: index)...]
            let colon = user.firstIndex(of: ":")
            configuration.username = try decoded(user[..<(colon ?? user.endIndex)], "user name")
            if let colon {
                configuration.password = try decoded(user[user.index(after: colon)...], "password", secret: true)
            }
        }
        if let path, !path.isEmpty {
            guard !path.contains("/") else {
                throw .invalid("the virtual host '\(path)' contains '/'; write %2F inside a name")
            }
            configuration.virtualHost = try decoded(path, "virtual host")
        }
        for host in rest.split(separator: ",", omittingEmptySubsequences: false) {
            configuration.endpoints.append(try endpoint(host, defaultPort: isTLS ? 5671 : 5672))
        }
        for pair in query.split(separator: "&") { try configuration.apply(pair) }
        if let tls = configuration.tls, (tls.certificateFile == nil) != (tls.keyFile == nil) {
            throw .invalid("certfile and keyfile belong together; only one of them is set")
        }
        return configuration
    }

    private static func endpoint(_ text: Substring, defaultPort: Int) throws(RabbitMQError) -> Endpoint {
        var host = text
        var port: Substring?
        if text.first == "[" {
            guard let close = text.firstIndex(of: "]") else { throw .invalid("host '\(text)' has no closing ']'") }
            host = text[text.index(after: text.startIndex)..<close]
            let rest = text[text.index(after: close)...]
            guard rest.isEmpty || rest.first == ":" else { throw .invalid("host '\(text)' goes on after its ']'") }
            if !rest.isEmpty { port = rest.dropFirst() }
        } else if let colon = text.firstIndex(of: ":") {
            host = text[..<colon]
            port = text[text.index(after: colon)...]
        }
        let name = try decoded(host, "host")
        guard !name.isEmpty else { throw .invalid("the URL names no host") }
        guard let port, !port.isEmpty else { return Endpoint(host: name, port: defaultPort) }
        guard let number = Int(port), (1...65535).contains(number) else {
            let isNumber = port.allSatisfy { $0.isASCII && $0.isNumber }
            throw .invalid(
                "the port \(isNumber ? "\(port) " : "")is not a number from 1 to 65535; with a user, write user:password@host:port"
            )
        }
        return Endpoint(host: name, port: number)
    }

    private mutating func apply(_ pair: Substring) throws(RabbitMQError) {
        let equals = pair.firstIndex(of: "=") ?? pair.endIndex
        let key = try Self.decoded(pair[..<equals], "query parameter")
        let value = try Self.decoded(equals == pair.endIndex ? "" : pair[pair.index(after: equals)...], key)
        switch key {
        case "heartbeat":
            guard let seconds = Int(value), (0...65535).contains(seconds) else {
                throw .invalid("heartbeat=\(value) is not a number of seconds from 0 to 65535")
            }
            heartbeat = .seconds(seconds)
        case "connection_timeout":
            guard let milliseconds = Int(value), (1...3_600_000).contains(milliseconds) else {
                throw .invalid("connection_timeout=\(value) is not a number of milliseconds from 1 to 3600000")
            }
            connectTimeout = .milliseconds(milliseconds)
        case "cacertfile", "certfile", "keyfile", "verify", "server_name_indication":
            guard var tls else { throw .invalid("\(key) needs amqps://") }
            try Self.apply(key, value, to: &tls, hosts: endpoints)
            self.tls = tls
        default:
            throw .invalid(
                "unknown query parameter '\(key)'; known are heartbeat, connection_timeout, cacertfile, certfile, "
                    + "keyfile, verify, server_name_indication")
        }
    }

    private static func apply(
        _ key: String, _ value: String, to tls: inout TLS, hosts: [Endpoint]
    ) throws(RabbitMQError) {
        switch (key, value) {
        case (_, ""): throw .invalid("\(key) has no value")
        case ("cacertfile", _): tls.caFile = value
        case ("certfile", _): tls.certificateFile = value
        case ("keyfile", _): tls.keyFile = value
        case ("verify", "verify_peer"): tls.verifyPeer = true
        case ("verify", "verify_none"):
            tls.verifyPeer = false
            tls.verifyHostname = false
        case ("verify", _): throw .invalid("verify=\(value); expected verify_peer or verify_none")
        case (_, "disable"): tls.verifyHostname = false
        default:
            guard hosts.allSatisfy({ $0.host == value }) else {
                throw .invalid(
                    "server_name_indication=\(value) differs from the host; use that name as the host, or 'disable'")
            }
        }
    }

    private static func decoded(
        _ text: Substring, _ part: String, secret: Bool = false
    ) throws(RabbitMQError) -> String {
        do throws(PercentEncoding.Fault) {
            let decoded = try PercentEncoding.decode(text)
            // No C library takes a NUL.
            if !decoded.utf8.contains(0) { return decoded }
            throw .text
        } catch {
            switch error {
            case .digits:
                throw .invalid("the \(part)\(secret ? "" : " '\(text)'") has a '%' without two hex digits; write %25")
            case .text: throw .invalid("the \(part) is not valid UTF-8 text")
            }
        }
    }
}

extension RabbitMQError {
    static func invalid(_ message: String) -> RabbitMQError { RabbitMQError(.invalidConfiguration, message) }
}
