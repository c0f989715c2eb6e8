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
        var phrases = Phrases.Builder()
        var terms: [Term] = []
        var lines: [Range<Int>] = []
        var read: [PlainTerms.Term] = []
        for line in Array(text.utf8).split(separator: UInt8(ascii: "\n")) {
            let start = terms.count
            let mark = line.firstIndex(of: UInt8(ascii: ">"))
            for word in line.split(separator: UInt8(ascii: " ")) {
                read.removeAll(keepingCapacity: true)
                if word.startIndex < mark ?? line.endIndex {
                    phrases.add(word, value: lines.count) { read.append($0) }
                } else {
                    PlainTerms.forEach(in: word) { term, _ in read.append(term) }
                }
                guard word.startIndex >= mark ?? line.startIndex, !word.contains(UInt8(ascii: "_")) else { continue }
                // Of characters the pairs say more than each by itself.
                let hasPairs = read.contains(where: \.isPair)
                for term in read where term.isPair == hasPairs {
                    terms.append(Term(hash: term.hash, weight: term.isWord ? 1 : term.weight))
                }
            }
            lines.append(start..<terms.count)
        }
        self.phrases = Phrases(phrases)
        self.terms = terms
        self.lines = lines
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
