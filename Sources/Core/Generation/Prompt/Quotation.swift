import Glibc

/// Text of others in a prompt: nothing in it reads as one of our tags (``Fence``), with or without a mark.
enum Quotation {
    /// `text` with the `<` of anything that reads as one of our tags replaced by `‹` (U+2039), the rest as it is.
    ///
    /// Loosely matched (spaces, several slashes, any case, attributes), because a model reads `</ Passage >` as the end too;
    /// and compared as NFKC has it, format characters removed, because it reads `＜／ｐａｓｓａｇｅ＞` so as well.
    static func neutralised(_ text: String) -> String {
        guard mayHaveTags(text) else { return text }
        var result = String.UnicodeScalarView()
        var rest = text.unicodeScalars[...]
        while let scalar = rest.popFirst() {
            result.append(Lookalikes.ascii(scalar) == UInt8(ascii: "<") && beginsTag(rest) ? "\u{2039}" : scalar)
        }
        return String(result)
    }

    private static func mayHaveTags(_ text: String) -> Bool {
        var text = text
        return text.withUTF8 { bytes in
            guard let start = bytes.baseAddress else { return false }
            if memchr(start, Int32(UInt8(ascii: "<")), bytes.count) != nil { return true }
            var at = 0
            while at + 3 <= bytes.count, let found = memchr(start + at, Int32(Lookalikes.angleLead), bytes.count - at) {
                let lead = UnsafeRawPointer(found) - UnsafeRawPointer(start)
                guard lead + 2 < bytes.count else { return false }
                if Lookalikes.isAngle(bytes[lead + 1], bytes[lead + 2]) { return true }
                at = lead + 3
            }
            return false
        }
    }

    private static func beginsTag(_ behind: Substring.UnicodeScalarView) -> Bool {
        var word: [UInt8] = []
        for scalar in behind where !isUnseen(scalar) {
            let letter = Lookalikes.ascii(scalar)
            if word.isEmpty, letter == UInt8(ascii: "/") || scalar.properties.isWhitespace { continue }
            guard let letter else { return false }
            word.append(letter)
            if word == passage || word == note { return true }
            guard passage.starts(with: word) || note.starts(with: word) else { return false }
        }
        return false
    }

    private static let passage = Array("passage".utf8)
    private static let note = Array("note".utf8)

    private static func isUnseen(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.isDefaultIgnorableCodePoint || scalar.properties.generalCategory == .format
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
