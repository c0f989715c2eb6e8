import Retrieval

/// What a question asks for, and in which language.
struct Question {
    let terms: QuestionTerms
    /// Whether the answer should be Chinese.
    let isChinese: Bool

    init(_ text: String) {
        terms = QuestionTerms(text)
        isChinese = Self.isChinese(text)
    }

    /// Chinese when it has as many ideographs as words of other letters, and no kana or hangul.
    static func isChinese(_ text: String) -> Bool {
        var ideographs = 0
        var words = 0
        var inWord = false
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x3040...0x30FF, 0xAC00...0xD7AF: return false
            case 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xF900...0xFAFF, 0x20000...0x3FFFF:
                ideographs += 1
                inWord = false
            default:
                let isLetter = scalar.properties.isAlphabetic
                if isLetter, !inWord { words += 1 }
                inWord = isLetter
            }
        }
        return ideographs > 0 && ideographs >= words
    }

    func matches(in text: String) -> QuestionTerms.Matches {
        var text = text
        return text.withUTF8 { terms.matches(in: $0) }
    }
}
