/// Finds the word `tenant` however it is written: quoted, escaped, in wide letters, with characters in it that nobody sees. What
/// speaks of a tenant and is not understood is no document: passed over, it would be everybody's.
enum TenantWord {
    private static let word = Array("tenant".unicodeScalars)

    /// Of a name: `tenant`, `tenant_id`, `meta.tenant`, `ten\u0061nt`; not `lieutenant`.
    static func isIn(name: some StringProtocol) -> Bool { !places(in: folded(name)).isEmpty }

    /// Of a line: the word stands in it as a name that something is given to, in whatever nesting: `{a: 1, "tenant": b}`,
    /// `meta.tenant = "b"`, `? tenant`, `[tenant]`.
    static func isKey(in line: some StringProtocol) -> Bool {
        let scalars = folded(line)
        return places(in: scalars).contains { place in
            let before = scalars[..<place].filter { !$0.properties.isWhitespace }
            let behind = scalars[(place + word.count)...].drop { isPartOfName($0) }
                .drop { $0.properties.isWhitespace }
            guard let next = behind.first else { return before.allSatisfy { !isPartOfName($0) } }
            return next == ":" || next == "=" || (next == "]" && before.last == "[" && before.allSatisfy { $0 == "[" })
        }
    }

    /// Nobody sees it: spaces without width, byte order marks (also read as Latin-1), control characters.
    static func isInvisible(_ scalar: Unicode.Scalar) -> Bool {
        if scalar == "\n" || scalar == "\r" || scalar == "\t" { return false }
        if scalar == "\u{FFFD}" || scalar.properties.isDefaultIgnorableCodePoint { return true }
        return [.format, .control, .unassigned, .privateUse].contains(scalar.properties.generalCategory)
    }

    static func visible(_ text: some StringProtocol) -> String {
        var kept = String.UnicodeScalarView()
        kept.append(contentsOf: text.unicodeScalars.filter { !isInvisible($0) })
        return String(kept)
    }

    private static func isPartOfName(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.isAlphabetic || scalar.properties.numericType != nil || "_-.".unicodeScalars.contains(scalar)
    }

    /// Where the word begins, no Latin letter before it.
    private static func places(in scalars: [Unicode.Scalar]) -> [Int] {
        guard scalars.count >= word.count else { return [] }
        return (0...scalars.count - word.count).filter { place in
            guard scalars[place] == "t", scalars[place..<place + word.count].elementsEqual(word) else { return false }
            guard place > 0 else { return true }
            let before = scalars[place - 1]
            return !(before.value < 0x250 && before.properties.isAlphabetic)
        }
    }

    /// In lower case and narrow letters, without quotation marks and what nobody sees, escapes resolved.
    private static func folded(_ text: some StringProtocol) -> [Unicode.Scalar] {
        var folded: [Unicode.Scalar] = []
        var rest = Substring(text).unicodeScalars
        while var next = rest.popFirst() {
            if next == "\\", let kind = rest.popFirst() {
                let digits: [Unicode.Scalar: Int] = ["x": 2, "u": 4, "U": 8]
                let count = digits[kind] ?? 0
                let code = UInt32(String(rest.prefix(count)), radix: 16).flatMap { Unicode.Scalar($0) }
                if code != nil { rest.removeFirst(count) }
                next = code ?? kind
            }
            if isInvisible(next) || next == "\"" || next == "'" { continue }
            if (0xFF01...0xFF5E).contains(next.value) { next = Unicode.Scalar(next.value - 0xFEE0) ?? next }
            folded += next.properties.lowercaseMapping.unicodeScalars
        }
        return folded
    }
}
