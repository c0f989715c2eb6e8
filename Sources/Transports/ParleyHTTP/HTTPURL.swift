/// An absolute `http` or `https` URL that has been checked, for joining with paths and for naming in errors.
package struct HTTPURL: Sendable, Hashable, CustomStringConvertible {
    /// As given.
    package let string: String

    // Offsets into the UTF-8 of `string`.
    private let schemeEnd: Int
    private let hostStart: Int
    private let hostEnd: Int
    private let authorityEnd: Int

    /// Checks `text`.
    /// - Throws: ``HTTPError/Code-swift.struct/invalidURL`` naming what is wrong with it.
    package init(_ text: String) throws(HTTPError) {
        var copy = text
        let parsed: (parts: Parts?, problem: String) = copy.withUTF8 { bytes in
            do throws(Problem) { return (try Parts(bytes), "") } catch { return (nil, error.text) }
        }
        guard let parts = parsed.parts else {
            throw HTTPError(code: .invalidURL, message: "\"\(Self.withoutSecrets(text))\" \(parsed.problem)")
        }
        string = text
        schemeEnd = parts.schemeEnd
        hostStart = parts.hostStart
        hostEnd = parts.hostEnd
        authorityEnd = parts.authorityEnd
    }

    /// Whether the scheme is `https`.
    package var isSecure: Bool { schemeEnd == 5 }
    /// `http` or `https`.
    package var scheme: String { isSecure ? "https" : "http" }
    /// Brackets of an IPv6 address included.
    package var host: String { slice(hostStart, hostEnd) }
    /// The port given, or the scheme's own: 80 or 443.
    package var port: Int {
        hostEnd < authorityEnd ? Int(slice(hostEnd + 1, authorityEnd)) ?? defaultPort : defaultPort
    }
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

    private var defaultPort: Int { isSecure ? 443 : 80 }

    private func slice(_ from: Int, _ to: Int) -> String {
        String(decoding: string.utf8.dropFirst(from).prefix(to - from), as: UTF8.self)
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

private struct Problem: Error {
    let text: String
}

private struct Parts {
    var schemeEnd = 0
    var hostStart = 0
    var hostEnd = 0
    var authorityEnd = 0

    init(_ bytes: UnsafeBufferPointer<UInt8>) throws(Problem) {
        let allowed = "write http://host:port/path or https://…"
        guard !bytes.isEmpty else { throw Problem(text: "is empty: \(allowed)") }
        guard bytes.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else {
            throw Problem(text: "contains a space or a control character: percent-encode it")
        }
        guard let scheme = Self.scheme(bytes) else {
            throw Problem(text: "does not begin with http:// or https://: \(allowed)")
        }
        schemeEnd = scheme
        let authorityStart = scheme + 3
        authorityEnd =
            bytes[authorityStart...].firstIndex {
                $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") || $0 == UInt8(ascii: "#")
            }
            ?? bytes.count
        let authority = bytes[authorityStart..<authorityEnd]
        hostStart = authority.lastIndex(of: UInt8(ascii: "@")).map { $0 + 1 } ?? authorityStart
        let hostAndPort = bytes[hostStart..<authorityEnd]
        if hostAndPort.first == UInt8(ascii: "[") {
            guard let bracket = hostAndPort.firstIndex(of: UInt8(ascii: "]")) else {
                throw Problem(text: "has an IPv6 address without its closing bracket")
            }
            hostEnd = bracket + 1
        } else {
            hostEnd = hostAndPort.firstIndex(of: UInt8(ascii: ":")) ?? authorityEnd
        }
        guard hostEnd > hostStart else { throw Problem(text: "names no host: \(allowed)") }
        guard hostEnd < authorityEnd else { return }
        let digits = bytes[(hostEnd + 1)..<authorityEnd]
        guard bytes[hostEnd] == UInt8(ascii: ":"), (1...5).contains(digits.count),
            digits.allSatisfy({ (0x30...0x39).contains($0) }),
            (1...65535).contains(digits.reduce(0) { $0 * 10 + Int($1 - 0x30) })
        else { throw Problem(text: "has a port that is not a number from 1 to 65535") }
    }

    /// The length of the scheme when it is one of ours and followed by `://`.
    private static func scheme(_ bytes: UnsafeBufferPointer<UInt8>) -> Int? {
        for scheme: StaticString in ["http://", "https://"] {
            let length = scheme.utf8CodeUnitCount
            if bytes.count >= length, (0..<length).allSatisfy({ lowercased(bytes[$0]) == scheme.utf8Start[$0] }) {
                return length - 3
            }
        }
        return nil
    }
}
