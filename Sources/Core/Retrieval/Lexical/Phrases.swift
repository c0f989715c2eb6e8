/// Words and phrases that are looked for in a question. A unit is a word's stem, or a character of a script without spaces.
struct Phrases: Sendable {
    private var phrases: [Phrase] = []
    /// The first unit of each, ascending.
    private var firsts: [UInt32] = []
    /// All units of all phrases.
    private var units: [UInt32] = []

    private struct Phrase: Sendable {
        var units: Range<Int>
        var value: Int
        /// Whether another word may stand between two of its own.
        var isLoose: Bool
    }

    /// - Parameter words: `_` joins those of a phrase. Each with what it stands for, of the caller's choice.
    init(_ words: some Sequence<(text: Substring, value: Int)>) {
        for (text, value) in words {
            let start = units.count
            units += Self.units(of: text)
            guard units.count > start else { continue }
            phrases.append(Phrase(units: start..<units.count, value: value, isLoose: text.contains("_")))
        }
        phrases.sort { (units[$0.units.lowerBound], $0.value) < (units[$1.units.lowerBound], $1.value) }
        firsts = phrases.map { units[$0.units.lowerBound] }
    }

    static func units(of text: Substring) -> [UInt32] {
        var units: [UInt32] = []
        PlainTerms.forEach(in: Array(text.utf8)[...]) { term, _ in if !term.isPair { units.append(term.hash) } }
        return units
    }

    /// Calls `body` with each that a question has, and where.
    ///
    /// - Parameter question: its units, in order.
    func forEach(in question: [UInt32], _ body: (_ value: Int, _ range: Range<Int>) -> Void) {
        for at in question.indices {
            guard var place = firsts.firstPlace(notBelow: question[at]) else { continue }
            while place < firsts.count, firsts[place] == question[at] {
                if let end = end(of: phrases[place], in: question, behind: at) {
                    body(phrases[place].value, at..<end)
                }
                place += 1
            }
        }
    }

    /// Where a phrase ends whose first unit is at `first`; nil when its others do not follow.
    private func end(of phrase: Phrase, in question: [UInt32], behind first: Int) -> Int? {
        var at = first + 1
        for unit in units[phrase.units].dropFirst() {
            let end = min(question.count, at + (phrase.isLoose ? 2 : 1))
            guard at < end, let found = question[at..<end].firstIndex(of: unit) else { return nil }
            at = found + 1
        }
        return at
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
