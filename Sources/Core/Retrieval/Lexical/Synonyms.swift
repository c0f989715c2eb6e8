/// What customers say and what articles say: words of customer service that stand in for each other. They are of shops at large,
/// in English and Chinese; other subjects gain nothing from them and lose nothing.
///
/// A line is a list of words, any of which calls for the others. Those before a `>` only call for the ones behind it: people ask
/// `nicked`, and no article says so. `_` joins words that call for the others together, each at most one word behind the one
/// before; an article is not searched for them.
struct Synonyms: Sendable {
    static let standard = Synonyms(english + "\n" + chinese)

    /// A term to be searched for, and how much it counts.
    struct Term: Sendable, Equatable {
        var hash: UInt32
        var weight: Float
    }

    /// The first units of the phrases that call for others, ascending; a unit is a word's stem or a character.
    private var firsts: [UInt32] = []
    private var phrases: [Phrase] = []
    /// All units of all phrases.
    private var units: [UInt32] = []
    /// All terms of all lines.
    private var terms: [Term] = []

    private struct Phrase: Sendable {
        var units: Range<Int>
        var line: Range<Int>
        /// Whether others may stand between its units.
        var isLoose: Bool
    }

    /// How many words may stand between two of a phrase.
    private static let gap = 1

    init(_ lines: String) {
        for line in lines.split(separator: "\n") {
            let halves = line.split(separator: ">", maxSplits: 1)
            let start = terms.count
            for word in (halves.last ?? "").split(separator: " ") { addTerms(of: word) }
            for half in halves {
                for word in half.split(separator: " ") where halves.count == 1 || half.startIndex == line.startIndex {
                    addPhrase(word, line: start..<terms.count)
                }
            }
        }
        phrases.sort { units[$0.units.lowerBound] < units[$1.units.lowerBound] }
        firsts = phrases.map { units[$0.units.lowerBound] }
    }

    private mutating func addTerms(of word: Substring) {
        guard !word.contains("_") else { return }
        var read: [PlainTerms.Term] = []
        PlainTerms.forEach(in: Array(word.utf8)[...]) { term, _ in read.append(term) }
        // Of characters the pairs say more than each by itself.
        if read.contains(where: \.isPair) { read.removeAll { !$0.isPair } }
        terms += read.map { Term(hash: $0.hash, weight: $0.isWord ? 1 : $0.weight) }
    }

    private mutating func addPhrase(_ word: Substring, line: Range<Int>) {
        let start = units.count
        PlainTerms.forEach(in: Array(word.utf8)[...]) { term, _ in if !term.isPair { units.append(term.hash) } }
        guard units.count > start else { return }
        phrases.append(Phrase(units: start..<units.count, line: line, isLoose: word.contains("_")))
    }

    /// The terms that a question calls for beside its own.
    ///
    /// - Parameter question: its units, in order.
    func called(by question: [UInt32], _ body: (_ term: Term, _ isPhrase: Bool) -> Void) {
        for at in question.indices {
            guard var place = firsts.firstPlace(notBelow: question[at]) else { continue }
            while place < firsts.count, firsts[place] == question[at] {
                let phrase = phrases[place]
                if has(question[(at + 1)...], phrase) {
                    for term in terms[phrase.line] { body(term, phrase.units.count > 1) }
                }
                place += 1
            }
        }
    }

    /// Whether the rest of a question goes on with all but the first unit of a phrase.
    private func has(_ rest: ArraySlice<UInt32>, _ phrase: Phrase) -> Bool {
        var at = rest.startIndex
        for unit in units[phrase.units].dropFirst() {
            let end = min(rest.endIndex, at + (phrase.isLoose ? Self.gap : 0) + 1)
            guard let found = rest[at..<max(at, end)].firstIndex(of: unit) else { return false }
            at = found + 1
        }
        return true
    }
}

extension [UInt32] {
    /// Where in an ascending array the first number is that is not below `value`; nil when all are.
    fileprivate func firstPlace(notBelow value: UInt32) -> Int? {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if self[middle] < value { low = middle + 1 } else { high = middle }
        }
        return low < count ? low : nil
    }
}
