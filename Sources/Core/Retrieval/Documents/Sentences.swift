/// Cuts texts at the ends of sentences, English and Chinese alike.
enum Sentences {
    /// The sentences of `text`, with the white space behind each; together they are `text` again.
    static func split(_ text: Substring) -> [Substring] {
        var result: [Substring] = []
        var start = text.startIndex
        var at = text.startIndex
        while at < text.endIndex {
            let end = self.end(of: text[at], at: at, sentenceFrom: start, in: text)
            guard let end else {
                at = text.index(after: at)
                continue
            }
            result.append(text[start..<end])
            start = end
            at = end
        }
        if start < text.endIndex { result.append(text[start...]) }
        return result
    }

    /// As much of the beginning of `text` as has at most so many thousandths of an estimated token: whole sentences when
    /// they fill a quarter of that, else whole words, else characters. All of it when it fits.
    static func beginning(of text: String, milliTokens limit: Int) -> String {
        guard TokenEstimate.milliTokens(text) > limit else { return text }
        var sentenceEnd = text.startIndex
        var used = 0
        for sentence in split(text[...]) {
            let cost = TokenEstimate.milliTokens(sentence)
            guard used + cost <= limit else { break }
            used += cost
            sentenceEnd = sentence.endIndex
        }
        if used >= limit / 4 { return trimmed(text[..<sentenceEnd]) }
        var end = text.startIndex
        var wordEnd: String.Index?
        used = 0
        while end < text.endIndex {
            used += TokenEstimate.milliTokens(text[end])
            guard used <= limit else { break }
            if text[end].isWhitespace, used >= limit / 4 { wordEnd = end }
            end = text.index(after: end)
        }
        return trimmed(text[..<(wordEnd ?? end)])
    }

    private static func trimmed(_ text: Substring) -> String {
        guard let last = text.lastIndex(where: { !$0.isWhitespace }) else { return "" }
        return String(text[...last])
    }

    /// Where the sentence ends if it ends with the character at `at`: behind closing quotes and white space.
    private static func end(
        of character: Character, at: Substring.Index, sentenceFrom start: Substring.Index, in text: Substring
    ) -> Substring.Index? {
        var end = text.index(after: at)
        if character.isNewline { return skipSpace(from: end, in: text) }
        if "。！？；".contains(character) {
            end = skip(from: end, in: text) { "。！？；!?”’」』）)".contains($0) }
            return skipSpace(from: end, in: text)
        }
        guard ".!?".contains(character) else { return nil }
        end = skip(from: end, in: text) { ".!?\"'”’)]*_`".contains($0) }
        // A decimal, a file name, a host: no white space follows.
        guard end == text.endIndex || text[end].isWhitespace else { return nil }
        let next = skipSpace(from: end, in: text)
        if character == ".", !isSentenceEnd(before: at, sentenceFrom: start, next: next, in: text) { return nil }
        return next
    }

    private static let abbreviations: Set<String> = [
        "e.g", "i.e", "etc", "vs", "cf", "ca", "approx", "incl", "excl", "max", "min", "no", "nr", "mr", "mrs", "ms",
        "dr", "prof", "st", "jr", "sr", "inc", "ltd", "co", "corp", "dept", "fig", "tel", "ext", "p", "pp", "vol",
    ]

    /// Whether the full stop at `stop` ends a sentence, and not an abbreviation, an initial or a list's number.
    private static func isSentenceEnd(
        before stop: Substring.Index, sentenceFrom start: Substring.Index, next: Substring.Index, in text: Substring
    ) -> Bool {
        var wordStart = stop
        while wordStart > start {
            let before = text.index(before: wordStart)
            let character = text[before]
            guard character.isLetter || character.isNumber || character == "." else { break }
            wordStart = before
        }
        let word = text[wordStart..<stop]
        guard !word.isEmpty else { return true }
        // "1. Go to": a list's number, not a sentence.
        if word.allSatisfy(\.isNumber), text[start..<wordStart].allSatisfy(\.isWhitespace) { return false }
        let isNo = word.lowercased() == "no"
        if isNo { return !(next < text.endIndex && text[next].isNumber) }
        if abbreviations.contains(word.lowercased()) {
            // "etc." and its like may end a sentence: then a capital follows.
            let mayEnd = ["etc", "inc", "ltd", "co", "corp", "approx"].contains(word.lowercased())
            return mayEnd && (next == text.endIndex || text[next].isUppercase)
        }
        if word.count == 1, word.first?.isUppercase == true, word != "I" { return false }
        return !(next < text.endIndex && text[next].isLowercase)
    }

    private static func skip(
        from index: Substring.Index, in text: Substring, while condition: (Character) -> Bool
    ) -> Substring.Index {
        text[index...].firstIndex { !condition($0) } ?? text.endIndex
    }

    private static func skipSpace(from index: Substring.Index, in text: Substring) -> Substring.Index {
        skip(from: index, in: text, while: \.isWhitespace)
    }
}
