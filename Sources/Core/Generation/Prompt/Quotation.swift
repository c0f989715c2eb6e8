import ChatJobs
import Glibc

/// Quoted material in a prompt: between tags that the material itself cannot contain.
enum Quotation {
    /// One passage, numbered as it is cited, as UTF-8: to make a string longer costs five times as much.
    static func append(passage number: Int, title: String, text: String, to prompt: inout [UInt8]) {
        prompt.append(text: "<passage>\n[")
        prompt.append(text: String(number))
        prompt.append(text: "]")
        if !title.isEmpty {
            prompt.append(text: " ")
            prompt.append(text: onOneLine(neutralised(title)))
        }
        prompt.append(text: "\n")
        prompt.append(text: neutralised(text))
        prompt.append(text: "\n</passage>")
    }

    /// A remark that the producer put into the conversation.
    static func note(_ text: String) -> String { "<note>\n\(neutralised(text))\n</note>" }

    /// `text` with the `<` of anything that reads as one of our tags replaced by `‹` (U+2039), the rest as it is.
    ///
    /// Loosely matched (spaces, several slashes, any case, attributes), because a model reads `</ Passage >` as the
    /// end too.
    static func neutralised(_ text: String) -> String {
        guard mayHaveTags(text) else { return text }
        var result = String.UnicodeScalarView()
        var rest = text.unicodeScalars[...]
        while let scalar = rest.popFirst() {
            result.append(scalar == "<" && beginsTag(rest) ? "\u{2039}" : scalar)
        }
        return String(result)
    }

    private static func mayHaveTags(_ text: String) -> Bool {
        var text = text
        return text.withUTF8 { bytes in
            guard let start = bytes.baseAddress else { return false }
            return memchr(start, Int32(UInt8(ascii: "<")), bytes.count) != nil
        }
    }

    private static func beginsTag(_ behind: Substring.UnicodeScalarView) -> Bool {
        let name = behind.drop { $0 == "/" || $0.properties.isWhitespace || $0.properties.isDefaultIgnorableCodePoint }
            .prefix(8)
        let word = String(String.UnicodeScalarView(name)).lowercased()
        return word.hasPrefix("passage") || word.hasPrefix("note")
    }

    /// `text` with each line break turned into a space.
    static func onOneLine(_ text: String) -> String {
        guard mayHaveLineBreaks(text), text.unicodeScalars.contains(where: isLineBreak) else { return text }
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars { result.append(isLineBreak(scalar) ? " " : scalar) }
        return String(result)
    }

    /// By the first bytes that line breaks have in UTF-8.
    private static func mayHaveLineBreaks(_ text: String) -> Bool {
        var text = text
        return text.withUTF8 { $0.contains { (0x0A...0x0D).contains($0) || $0 == 0xC2 || $0 == 0xE2 } }
    }

    private static func isLineBreak(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x0A...0x0D, 0x85, 0x2028, 0x2029: true
        default: false
        }
    }
}

extension [UInt8] {
    mutating func append(text: String) {
        var text = text
        text.withUTF8 { append(contentsOf: $0) }
    }
}
