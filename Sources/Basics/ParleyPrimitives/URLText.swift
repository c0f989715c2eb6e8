/// URLs as they may be shown: without user, password and query.
///
/// Anything may stand in a setting that should be a URL, a password with a `/` or `?` that should have been
/// percent-encoded among them. So what is not certain to be a host is not shown.
package enum URLText {
    /// `scheme://***@host:port/path?…`, marks standing where there was something.
    ///
    /// Several, separated by commas, are shown one by one.
    package static func redacted(_ urls: some StringProtocol) -> String {
        var parts: [String] = []
        for part in urls.split(separator: ",", omittingEmptySubsequences: false) {
            if parts.isEmpty || part.contains("://") {
                parts.append(String(part))
            } else {
                parts[parts.count - 1] += ",\(part)"
            }
        }
        return parts.map(one).joined(separator: ",")
    }

    private static func one(_ url: String) -> String {
        let start = url.firstRange(of: "://")?.upperBound ?? url.startIndex
        let scheme = url[..<start]
        let rest = url[start...]
        let end = rest.firstIndex { $0 == "?" || $0 == "#" } ?? rest.endIndex
        let (head, tail) = (rest[..<end], rest[end...])
        // A password with a ? in it, or a query with an @: not to be told apart.
        guard !tail.contains("@") else { return "\(scheme)…" }
        let query = tail.isEmpty ? "" : "?…"
        if let at = head.lastIndex(of: "@") { return "\(scheme)***\(head[at...])\(query)" }
        // Without a user what stands behind a colon may be a password whose host was forgotten.
        let authority = head.prefix { $0 != "/" }
        let isHosts = authority.split(separator: ",", omittingEmptySubsequences: false).allSatisfy { host in
            let port = host.first == "[" ? host.drop { $0 != "]" }.dropFirst() : host.drop { $0 != ":" }
            return port.isEmpty || port.first == ":" && port.dropFirst().allSatisfy { $0.isASCII && $0.isNumber }
        }
        return isHosts ? "\(scheme)\(head)\(query)" : "\(scheme)…"
    }

    /// `text` with each URL in it shown without user, password and query.
    package static func redacted(in text: String) -> String {
        var shown = ""
        var rest = text[...]
        while let mark = rest.firstRange(of: "://") {
            let scheme = rest[..<mark.lowerBound].reversed().prefix {
                $0.isASCII && ($0.isLetter || $0.isNumber || "+-.".contains($0))
            }
            let start = rest.index(mark.lowerBound, offsetBy: -scheme.count)
            let end = rest[mark.upperBound...].firstIndex { $0.isWhitespace || "\"'<>()".contains($0) } ?? rest.endIndex
            // The end of a sentence or of a list is no part of the URL.
            let url = rest[start..<end]
            let marks = url.reversed().prefix { ":;,.".contains($0) }
            let bare = url.dropLast(marks.count)
            let redacted = redacted(bare)
            shown += rest[..<start]
            shown += redacted.replacing("://***@", with: "://") + String(marks.reversed())
            rest = rest[end...]
        }
        return shown + rest
    }
}
