/// Words and phrases that are looked for in a question. A unit is a word's stem, or a character of a script without spaces.
struct Phrases: Sendable {
    private let phrases: [Phrase]
    /// The first unit of each, ascending.
    private let firsts: [UInt32]
    /// All units of all phrases.
    private let units: [UInt32]

    fileprivate struct Phrase: Sendable {
        var units: Range<Int>
        var value: Int
        /// Whether another word may stand between two of its own.
        var isLoose: Bool
    }

    /// Collects phrases, each with what it stands for, of the caller's choice.
    struct Builder {
        fileprivate var phrases: [Phrase] = []
        fileprivate var units: [UInt32] = []

        /// - Parameters:
        ///   - word: `_` joins the words of a phrase.
        ///   - term: takes each term that is read of it.
        mutating func add(_ word: ArraySlice<UInt8>, value: Int, term: (PlainTerms.Term) -> Void = { _ in }) {
            let start = units.count
            PlainTerms.forEach(in: word) { read, _ in
                if !read.isPair { units.append(read.hash) }
                term(read)
            }
            guard units.count > start else { return }
            phrases.append(
                Phrase(units: start..<units.count, value: value, isLoose: word.contains(UInt8(ascii: "_"))))
        }
    }

    init(_ builder: Builder) {
        let units = builder.units
        let phrases = builder.phrases.sorted {
            (units[$0.units.lowerBound], $0.value) < (units[$1.units.lowerBound], $1.value)
        }
        self.units = units
        self.phrases = phrases
        firsts = phrases.map { units[$0.units.lowerBound] }
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
