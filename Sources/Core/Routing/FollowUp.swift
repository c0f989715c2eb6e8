/// Whether a question looks like one that only makes sense after another: it is very short, begins like a continuation, or
/// speaks of "it" without saying what. A guess for the search alone, made without a model; nothing but an earlier question's
/// words in front of it comes of a wrong one.
package enum FollowUp {
    package static func isLikely(_ query: String) -> Bool {
        // Whoever writes so much says what it is about.
        guard query.utf8.count <= 240 else { return false }
        let text = query.lowercased()
        let words = text.split { !($0.isLetter || $0.isNumber || $0 == "'" || $0 == "’") }
        let han = text.unicodeScalars.count { (0x3400...0x9FFF).contains($0.value) }
        return han > 0 ? isLikelyChinese(text, han: han) : isLikelyEnglish(words)
    }

    private static func isLikelyEnglish(_ words: [Substring]) -> Bool {
        guard let first = words.first else { return false }
        // "Thanks, and what about …": politeness says nothing of what follows.
        let rest = words.drop { polite.contains($0) }
        guard let start = rest.first else { return false }
        if words.count <= 3 || beginnings.contains(start) && rest.count <= 12 { return true }
        if rest.count >= 2, phrases.contains("\(start) \(rest[rest.startIndex + 1])"), rest.count <= 12 { return true }
        return words.count <= 9 && first != "this"
            && (words.last == "one" || words.contains { pointers.contains($0) })
    }

    private static func isLikelyChinese(_ text: String, han: Int) -> Bool {
        var rest = text[...]
        while let word = politeChinese.first(where: { rest.hasPrefix($0) }) {
            rest = rest.dropFirst(word.count).drop { !$0.isLetter && !$0.isNumber }
        }
        if han <= 5 || beginningsChinese.contains(where: { rest.hasPrefix($0) }) && han <= 20 { return true }
        let end = text.trimmingPrefix { $0.isWhitespace }.reversed().drop { !$0.isLetter }.first
        if end == "呢", han <= 14 { return true }
        return han <= 14 && pointersChinese.contains { text.contains($0) }
    }

    private static let polite: Set<Substring> = [
        "ok", "okay", "thanks", "thank", "you", "alright", "right", "great", "good", "fine", "i", "see", "got", "hm",
        "hmm",
        "ah", "oh", "well", "yes", "no", "sorry", "cool", "understood",
    ]
    private static let beginnings: Set<Substring> = ["and", "but", "or", "then", "also", "so", "even", "else", "same"]
    private static let phrases: Set<String> = [
        "what about", "how about", "what if", "what else", "which one", "which of",
    ]
    private static let pointers: Set<Substring> = [
        "it", "its", "it's", "that", "that's", "this", "those", "these", "them", "they", "ones", "there", "he", "she",
        "him", "her", "both", "either", "instead", "too",
    ]
    private static let politeChinese = ["好的", "好", "嗯", "谢谢", "明白了", "知道了", "收到", "哦", "行", "可以", "了解"]
    private static let beginningsChinese = [
        "那", "然后", "还有", "如果", "要是", "可是", "但是", "但", "所以", "也", "另外", "那么", "万一", "之后", "或者", "而且", "换成",
    ]
    private static let pointersChinese = [
        "这个", "那个", "它", "这种", "那种", "这样", "那样", "哪个", "哪种", "哪一", "另一", "它们", "第一", "第二", "两个都", "这些", "那些",
    ]
}
