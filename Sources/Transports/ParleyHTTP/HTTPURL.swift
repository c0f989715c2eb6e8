import CCurl

/// An absolute `http` or `https` URL that has been checked, for joining with paths and for naming in errors.
package struct HTTPURL: Sendable, Hashable, CustomStringConvertible {
    /// As given.
    package let string: String
    /// Whether the scheme is `https`.
    package let isSecure: Bool
    /// Brackets of an IPv6 address included.
    package let host: String
    /// The port given, or the scheme's own: 80 or 443.
    package let port: Int

    /// Checks `text`.
    /// - Throws: ``HTTPError/Code-swift.struct/invalidURL`` naming what is wrong with it.
    package init(_ text: String) throws(HTTPError) { self.init(text, try Self.parts(of: text)) }

    init(_ text: String, _ parts: URLParts) {
        string = text
        isSecure = parts.text(of: CURLUPART_SCHEME) == "https"
        host = parts.text(of: CURLUPART_HOST) ?? ""
        port = parts.text(of: CURLUPART_PORT).flatMap(Int.init) ?? (isSecure ? 443 : 80)
    }

    /// `http` or `https`.
    package var scheme: String { isSecure ? "https" : "http" }
    /// Scheme, host and port: what one pool of connections serves.
    package var origin: String { "\(scheme)://\(host):\(port)" }
    /// Without user name and password, and without the query, in which some services want their key: may be logged.
    package var description: String { Self.withoutSecrets(string) }

    /// This URL with `path` added at its end, with exactly one slash between; a query stays behind the path.
    ///
    /// `http://h:1/v1/` and `/chat/completions` give `http://h:1/v1/chat/completions`.
    package func appending(_ path: String) throws(HTTPError) -> HTTPURL {
        let cut = string.firstIndex { $0 == "?" || $0 == "#" } ?? string.endIndex
        var base = string[..<cut]
        while base.hasSuffix("/") { base = base.dropLast() }
        let tail = path.drop { $0 == "/" }
        return try HTTPURL(base + (tail.isEmpty ? "" : "/" + tail) + string[cut...])
    }

    private static func withoutSecrets(_ text: String) -> String {
        let text = text.firstIndex(of: "?").map { text[..<$0] + "?…" } ?? text[...]
        return withoutUserInfo(String(text))
    }

    private static func withoutUserInfo(_ text: String) -> String {
        guard let scheme = text.firstRange(of: "://") else { return text }
        let authority = text[scheme.upperBound...].prefix { !"/?#".contains($0) }
        guard let at = authority.lastIndex(of: "@") else { return text }
        return String(text[..<scheme.upperBound] + text[text.index(after: at)...])
    }
}

extension HTTPURL {
    /// `text` taken apart, if it can be asked for as it is.
    static func parts(of text: String) throws(HTTPError) -> URLParts {
        func refusal(_ problem: String) -> HTTPError {
            HTTPError(code: .invalidURL, message: "\"\(withoutSecrets(text))\" \(problem)")
        }
        if let problem = strictness(text) { throw refusal(problem) }
        let parts: URLParts
        do throws(URLParts.Refusal) { parts = try URLParts(text) } catch { throw refusal(problem(error)) }
        guard parts.text(of: CURLUPART_PORT) != "0" else { throw refusal(portProblem) }
        return parts
    }

    private static let allowed = "write http://host:port/path or https://…"
    private static let portProblem = "has a port that is not a number from 1 to 65535"

    /// What libcurl, like a browser, would mend: a guessed scheme, more than two slashes, a colon without a port.
    private static func strictness(_ text: String) -> String? {
        if text.isEmpty { return "is empty: \(allowed)" }
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else {
            return "contains a space or a control character: percent-encode it"
        }
        guard let mark = text.firstRange(of: "://"), ["http", "https"].contains(text[..<mark.lowerBound].lowercased())
        else { return "does not begin with http:// or https://: \(allowed)" }
        let authority = text[mark.upperBound...].prefix { !"/?#".contains($0) }
        if authority.isEmpty { return "names no host: \(allowed)" }
        return authority.hasSuffix(":") ? portProblem : nil
    }

    private static func problem(_ refusal: URLParts.Refusal) -> String {
        switch refusal.code {
        case CURLUE_NO_HOST: "names no host: \(allowed)"
        case CURLUE_BAD_PORT_NUMBER: portProblem
        case CURLUE_BAD_IPV6: "has an IPv6 address that is none, or has no closing bracket"
        default: "cannot be used (\(refusal.text)): \(allowed)"
        }
    }
}
