import ChatJobs

/// Makes follow-ups stand alone for the search, without a model: `retrieval.rewrite: append`.
package enum Rewrite {
    /// What embedders read of a text is limited, and a question is rarely longer: so many characters of earlier questions at
    /// most are put in front.
    package static let limit = 240
    /// Turns of a user that are looked at, the last first.
    private static let mostTurns = 4

    /// The question that `query` follows up, and `query` behind it; nil when it stands alone, or there is none before it.
    ///
    /// The last question of the user is taken, with the one before it when it follows that one up itself.
    ///
    /// - Parameter skipping: turns that are no questions, such as thanks.
    package static func appended(
        query: String, history: [Turn], skipping isIdle: (String) -> Bool = { _ in false }
    ) -> String? {
        guard !history.isEmpty, FollowUp.isLikely(query) else { return nil }
        var earlier = ""
        for turn in history.reversed().lazy.filter({ $0.role == .user }).prefix(mostTurns) {
            // A turn may have a megabyte; the question is mostly the last of it.
            let text = collapsed(turn.content.suffix(4 * limit))
            guard !text.isEmpty, text != query, !isIdle(text) else { continue }
            let room = limit - earlier.count
            let part = end(of: text, within: room)
            if part.isEmpty { break }
            earlier = earlier.isEmpty ? part : part + " " + earlier
            guard part.count == text.count, FollowUp.isLikely(text) else { break }
        }
        return earlier.isEmpty ? nil : earlier + " " + query
    }

    /// The question in what a model made of one: its first line that says something, without quotes around it. Nil when there
    /// is none, or one so long that it is none.
    package static func question(in text: String) -> String? {
        let lines = text.split(whereSeparator: \.isNewline).lazy.map { collapsed($0) }
        guard let line = lines.first(where: { !$0.isEmpty }), line.count <= 2 * limit else { return nil }
        let marks: Set<Character> = ["\"", "“", "”", "「", "」", "*"]
        let question = line.drop { marks.contains($0) }.reversed().drop { marks.contains($0) }.reversed()
        return question.isEmpty ? nil : String(question)
    }

    /// As many whole sentences from the end of `text` as fit: the question is mostly the last. When not even that one fits,
    /// its beginning, up to a word's end.
    static func end(of text: String, within limit: Int) -> String {
        guard text.count > limit else { return text }
        var start = text.endIndex
        for sentence in sentences(text).reversed() {
            guard text.distance(from: sentence.startIndex, to: text.endIndex) <= limit else { break }
            start = sentence.startIndex
        }
        if start < text.endIndex { return String(text[start...]) }
        guard let last = sentences(text).last else { return "" }
        let cut = last.prefix(limit)
        let word = cut.lastIndex(of: " ").map { cut[..<$0] } ?? cut
        return String(word)
    }

    /// The sentences of a text, each with the white space behind it.
    private static func sentences(_ text: String) -> [Substring] {
        var result: [Substring] = []
        var start = text.startIndex
        var at = start
        while at < text.endIndex {
            let character = text[at]
            at = text.index(after: at)
            let isEnd =
                "。！？；".contains(character) || ".!?".contains(character) && (at == text.endIndex || text[at] == " ")
            guard isEnd else { continue }
            while at < text.endIndex, text[at] == " " || "。！？；.!?".contains(text[at]) { at = text.index(after: at) }
            result.append(text[start..<at])
            start = at
        }
        if start < text.endIndex { result.append(text[start...]) }
        return result
    }

    /// One blank for any white space, none at the ends.
    private static func collapsed(_ text: Substring) -> String {
        text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }
}
