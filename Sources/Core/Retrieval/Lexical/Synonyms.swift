/// What customers say and what articles say: words of customer service that stand in for each other. They are of shops at large,
/// in English and Chinese; other subjects gain nothing from them and lose nothing.
///
/// A line is a list of words, any of which calls for the others. Those before a `>` only call for the ones behind it: people ask
/// `nicked`, and no article says so. `_` joins words that call for the others together, each at most one word behind the one
/// before; an article is not searched for them.
struct Synonyms: Sendable {
    static let standard = Synonyms([english, chinese, everyday].joined(separator: "\n"))

    /// A term to be searched for, and how much it counts.
    struct Term: Sendable, Equatable {
        var hash: UInt32
        var weight: Float
    }

    private let phrases: Phrases
    /// All terms of all lines, and which of them are a line's.
    private let terms: [Term]
    private let lines: [Range<Int>]

    init(_ text: String) {
        var calling: [(Substring, Int)] = []
        var terms: [Term] = []
        var lines: [Range<Int>] = []
        for line in text.split(separator: "\n") {
            let halves = line.split(separator: ">", maxSplits: 1)
            calling += halves[0].split(separator: " ").map { ($0, lines.count) }
            let start = terms.count
            for word in halves[halves.count - 1].split(separator: " ") where !word.contains("_") {
                terms += Self.terms(of: word)
            }
            lines.append(start..<terms.count)
        }
        phrases = Phrases(calling)
        self.terms = terms
        self.lines = lines
    }

    private static func terms(of word: Substring) -> [Term] {
        var read: [PlainTerms.Term] = []
        PlainTerms.forEach(in: Array(word.utf8)[...]) { term, _ in read.append(term) }
        // Of characters the pairs say more than each by itself.
        if read.contains(where: \.isPair) { read.removeAll { !$0.isPair } }
        return read.map { Term(hash: $0.hash, weight: $0.isWord ? 1 : $0.weight) }
    }

    /// The terms that a question calls for beside its own.
    ///
    /// - Parameters:
    ///   - question: its units, in order.
    ///   - body: also takes which of the units call.
    func called(by question: [UInt32], _ body: (_ term: Term, _ units: Range<Int>) -> Void) {
        phrases.forEach(in: question) { line, units in
            for term in terms[lines[line]] { body(term, units) }
        }
    }
}
