/// The best of what was found for a question, none of it twice: neighbours in a document become one passage, and of two passages
/// that say the same the better one stays.
struct PassageSelection {
    /// The longest joined passage: about two of usual length.
    private static let mostJoined = 450_000
    /// The most that neighbours repeat of each other, in bytes.
    private static let mostOverlap = 1024

    /// Best first. Each has the neighbours that it was joined with.
    private var groups: [Group] = []

    private struct Group {
        /// In the order of the document.
        var members: [Match]

        var first: Passage { members[0].passage }
        var last: Passage { members[members.count - 1].passage }
    }

    /// - Parameter matches: best first.
    static func best(_ topK: Int, of matches: [Match]) -> [Match] {
        guard matches.count > 1 else { return Array(matches.prefix(topK)) }
        var selection = PassageSelection()
        for match in matches where !selection.join(match) && !selection.hasLike(match.passage) {
            guard selection.groups.count < topK else { break }
            selection.groups.append(Group(members: [match]))
        }
        return selection.groups.map { $0.members.count == 1 ? $0.members[0] : Self.joined($0.members) }
    }

    private mutating func join(_ match: Match) -> Bool {
        let passage = match.passage
        for index in groups.indices where groups[index].first.documentID == passage.documentID {
            let isBehind = groups[index].last.ordinal + 1 == passage.ordinal
            guard isBehind || groups[index].first.ordinal - 1 == passage.ordinal else { continue }
            let cost = groups[index].members.reduce(TokenEstimate.milliTokens(passage.text)) {
                $0 + TokenEstimate.milliTokens($1.passage.text)
            }
            guard cost <= Self.mostJoined else { continue }
            if isBehind { groups[index].members.append(match) } else { groups[index].members.insert(match, at: 0) }
            return true
        }
        return false
    }

    private static func joined(_ members: [Match]) -> Match {
        var joined = members[0]
        for next in members.dropFirst() {
            joined.score = max(joined.score, next.score)
            joined.passage.text = text(of: joined.passage.text, members: members, next.passage)
        }
        return joined
    }

    private static func text(of text: String, members: [Match], _ next: Passage) -> String {
        let (one, two) = (Array(text.utf8), Array(next.text.utf8))
        let most = min(one.count, two.count, mostOverlap)
        let overlap = stride(from: most, to: 7, by: -1).first { one.suffix($0).elementsEqual(two.prefix($0)) } ?? 0
        // A sentence begins where it began.
        if overlap > 0, let rest = String(validating: two[overlap...], as: UTF8.self) { return text + rest }
        let before = members.first { $0.passage.ordinal == next.ordinal - 1 }?.passage.heading
        guard let before, before != next.heading else { return text + "\n\n" + next.text }
        let known = before.split(separator: " › ")
        let path = next.heading.split(separator: " › ")
        let fresh = path.dropFirst(zip(known, path).prefix { $0 == $1 }.count)
        return text + (fresh.isEmpty ? "" : "\n\n" + fresh.joined(separator: " › ")) + "\n\n" + next.text
    }

    // MARK: - Repeats

    private func hasLike(_ passage: Passage) -> Bool {
        groups.contains { $0.members.contains { Self.areAlike($0.passage, passage) } }
    }

    /// The same words, however they are set. One word more or less may be a "not", another country or another price: such passages
    /// are two. Passages of one document are told apart by their places.
    static func areAlike(_ one: Passage, _ other: Passage) -> Bool {
        guard one.documentID != other.documentID else { return false }
        if one.text == other.text { return true }
        let (a, b) = (one.text.utf8, other.text.utf8)
        // What is set in another way is about as long, and begins alike.
        guard a.count * 10 >= b.count * 9, b.count * 10 >= a.count * 9, a.first.map(folded) == b.first.map(folded)
        else { return false }
        return words(one.text).elementsEqual(words(other.text))
    }

    private static func words(_ text: String) -> some Sequence<Unicode.Scalar> {
        text.unicodeScalars.lazy.filter(isOfWord)
            .map { $0.isASCII ? Unicode.Scalar(folded(UInt8($0.value))) : $0 }
    }

    private static func isOfWord(_ scalar: Unicode.Scalar) -> Bool {
        // To ask for properties takes fifty times as long, and most text needs none.
        guard !scalar.isASCII else {
            return (0x30...0x39).contains(scalar.value) || (0x61...0x7A).contains(scalar.value | 0x20)
        }
        return scalar.properties.isAlphabetic || scalar.properties.numericType != nil
    }

    private static func folded(_ byte: UInt8) -> UInt8 { (0x41...0x5A).contains(byte) ? byte | 0x20 : byte }
}
