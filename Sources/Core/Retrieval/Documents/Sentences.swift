/// Cuts texts at the ends of sentences, in English, German, Chinese, Arabic, Hindi and their like. Thai marks no ends: it is cut at
/// its spaces where it has to be.
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
        if Self.ends.contains(character) {
            end = skip(from: end, in: text) { Self.ends.contains($0) || "!?”’」』）)\"»".contains($0) }
            return skipSpace(from: end, in: text)
        }
        guard ".!?".contains(character) else { return nil }
        end = skip(from: end, in: text) { ".!?\"'”’»“)]*_`".contains($0) }
        // ASCII marks in Chinese, which has no spaces behind them. Between a letter and a digit they may be part of a name.
        if at > start, isChinese(text[text.index(before: at)]), end == text.endIndex || isChinese(text[end]) {
            return skipSpace(from: end, in: text)
        }
        // A decimal, a file name, a host: no white space follows.
        guard end == text.endIndex || text[end].isWhitespace else { return nil }
        let next = skipSpace(from: end, in: text)
        if character == ".", !isSentenceEnd(before: at, sentenceFrom: start, next: next, in: text) { return nil }
        return next
    }

    /// What ends a sentence whatever follows.
    private static let ends: Set<Character> = ["。", "｡", "！", "？", "；", "؟", "۔", "؛", "।", "॥", "…", "።", "။"]

    private static func isChinese(_ character: Character) -> Bool {
        guard let scalar = character.unicodeScalars.first?.value else { return false }
        return (0x3040...0x30FF).contains(scalar) || (0x3400...0x9FFF).contains(scalar)
            || (0x20000...0x3FFFF).contains(scalar) || "“”‘’「」『』（）《》".contains(character)
    }

    private static let abbreviations: Set<String> = [
        "e.g", "i.e", "etc", "vs", "cf", "ca", "approx", "incl", "excl", "max", "min", "no", "nr", "mr", "mrs", "ms",
        "dr", "prof", "st", "jr", "sr", "inc", "ltd", "co", "corp", "dept", "fig", "tel", "ext", "p", "pp", "vol",
        // German; "z. B." and "d. h." are of single letters.
        "z.b", "d.h", "u.a", "o.ä", "u.ä", "i.d.r", "s.o", "s.u", "v.a", "m.e", "z.t", "ggf", "bzw", "evtl", "inkl",
        "exkl",
        "zzgl", "abzgl", "vgl", "bspw", "usw", "sog", "abs", "art", "hr", "fr", "frl", "str", "mio", "mrd", "mind",
        "geb", "gem",
        "lt", "stk", "std", "jan", "feb", "apr", "jun", "jul", "aug", "sep", "sept", "okt", "oct", "nov", "dez", "dec",
        "s", "z",
        // Spanish and French.
        "ud", "uds", "sra", "srta", "av", "núm", "pág", "mme", "mlle", "mm",
    ]

    /// German dates and ordinal numbers have a full stop: "am 3. März", "die 2. Mahnung".
    private static let months: Set<String> = [
        "januar", "jänner", "februar", "märz", "april", "mai", "juni", "juli", "august", "september", "oktober",
        "november",
        "dezember",
    ]
    private static let beforeOrdinals: Set<String> = [
        "am", "im", "zum", "vom", "beim", "der", "die", "das", "dem", "den", "des", "ab", "bis", "seit", "ein", "eine",
        "einem",
        "einen", "einer", "jeder", "jede", "jedes", "ihr", "ihre", "und",
    ]

    private static func isOrdinal(
        _ word: Substring, _ next: Substring.Index, sentenceFrom start: Substring.Index, in text: Substring
    ) -> Bool {
        guard word.count <= 2, word.allSatisfy(\.isNumber) else { return false }
        let following = text[next...].prefix { $0.isLetter }.lowercased()
        let before = text[start..<word.startIndex].split { !$0.isLetter }.last?.lowercased()
        return months.contains(following) || before.map(beforeOrdinals.contains) == true && !following.isEmpty
    }

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
            let mayEnd = ["etc", "usw", "inc", "ltd", "co", "corp", "approx"].contains(word.lowercased())
            return mayEnd && (next == text.endIndex || text[next].isUppercase)
        }
        if word.count == 1, word.first?.isUppercase == true, word != "I" { return false }
        // "z. B.", "d. h."
        if word.count == 1, next < text.endIndex, text[next].isLetter,
            let after = text[next...].dropFirst().first, after == "."
        {
            return false
        }
        if isOrdinal(word, next, sentenceFrom: start, in: text) { return false }
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
