/// How many tokens a text is, roughly and cheaply.
///
/// The rule: a character of three or more UTF-8 bytes (Chinese, Japanese, Korean and the like) is one token; of
/// everything else, four bytes are one. Tokenizers differ by a third either way, so budgets in estimated tokens should
/// leave that much room below a model's context.
package enum TokenEstimate {
    /// What the frame around a message (its role, its separators) is counted as.
    package static let perMessage = 4

    /// The estimate for `text`, 0 for an empty one.
    package static func tokens(in text: String) -> Int {
        var text = text
        return text.withUTF8 { bytes in
            // Of ASCII, which most texts are, this sees many bytes in one step.
            if bytes.reduce(0, |) < 0x80 { return (bytes.count + 3) / 4 }
            var wide = 0
            var wideBytes = 0
            for byte in bytes where byte >= 0xE0 {
                wide += 1
                wideBytes += byte >= 0xF0 ? 4 : 3
            }
            return wide + (bytes.count - wideBytes + 3) / 4
        }
    }

    /// The beginning of `text` that is at most `limit` tokens, cut between characters.
    static func prefix(of text: String, tokens limit: Int) -> Substring {
        var quarters = 0
        var end = text.startIndex
        for index in text.indices {
            for scalar in text[index].unicodeScalars {
                quarters += scalar.value >= 0x800 ? 4 : scalar.value >= 0x80 ? 2 : 1
            }
            if quarters > limit * 4 { return text[..<end] }
            end = text.index(after: index)
        }
        return text[...]
    }

    /// The same, cut behind a sentence's end where one is in the second half, otherwise between words.
    static func sentences(of text: String, tokens limit: Int) -> Substring {
        let fitting = prefix(of: text, tokens: limit)
        guard fitting.endIndex < text.endIndex else { return fitting }
        var word: Substring.Index?
        var index = fitting.endIndex
        while index > fitting.startIndex, fitting[index...].utf8.count * 2 < fitting.utf8.count {
            let before = fitting.index(before: index)
            let character = fitting[before]
            if character.isNewline || "。！？؟۔".contains(character) { return fitting[..<index] }
            if ".!?".contains(character), index < text.endIndex, text[index].isWhitespace { return fitting[..<index] }
            if word == nil, character.isWhitespace { word = before }
            index = before
        }
        return word.map { fitting[..<$0] } ?? fitting
    }
}
