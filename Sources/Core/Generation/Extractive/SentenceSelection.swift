import ChatJobs
import Glibc

/// A sentence of a passage, and what it has in common with the question.
struct Candidate {
    var passage: Int
    /// Its place in the passage, counted in sentences.
    var position: Int
    var text: String
    /// Bit i: it has the question's i-th term.
    var matches: UInt64
}

/// Chooses the sentences that answer best.
///
/// A term weighs the more, the fewer of the given sentences have it. A sentence is worth what its terms weigh, more
/// in a passage that retrieval ranked high and that speaks of the rest of the question too; a term that an already
/// chosen sentence has counts a third. All are of one document.
struct SentenceSelection {
    /// The most sentences of an answer.
    static let maxSentences = 3
    /// The most characters of an answer, a first sentence that is longer alone excepted.
    static let maxCharacters = 400
    /// The share of the question (by weight) that a passage must speak of to count as an answer.
    static let relevantShare = 0.25
    /// What a term that no given sentence has weighs, of what its rarity would give it: people ask in words of their
    /// own.
    static let unseenShare = 0.25
    /// How much less each further passage is worth: retrieval knows more of what means the same.
    static let placeFactor = 0.6
    /// How much of the best sentence's worth another must have to be quoted too.
    static let worthSaying = 0.4

    private let candidates: [Candidate]
    private let weights: [Double]
    private let priors: [Double]
    /// Of each passage.
    private let documents: [Substring]

    /// - Parameter titleMatches: for each passage, the question's terms in its title.
    init(_ candidates: [Candidate], titleMatches: [UInt64], passages: [Source], termCount: Int) {
        var counts = [Int](repeating: 0, count: termCount)
        for candidate in candidates {
            for term in bits(candidate.matches) { counts[term] += 1 }
        }
        var weights = counts.map { log(1 + Double(candidates.count + 1) / (Double($0) + 0.5)) }
        for term in counts.indices where counts[term] == 0 { weights[term] *= Self.unseenShare }
        self.weights = weights
        self.candidates = candidates

        var said = [UInt64](repeating: 0, count: passages.count)
        for candidate in candidates { said[candidate.passage] |= candidate.matches }
        let covered = zip(said, titleMatches).map { $0 | $1 }
        let whole = max(weights.reduce(0, +), .leastNonzeroMagnitude)
        let best = passages.map(\.score).filter(\.isFinite).max() ?? 0
        // One word of a long question is an accident, unless it is what the passage is about.
        let needed = termCount >= 3 ? 2 : 1
        priors = passages.indices.map { index in
            let share = bits(covered[index]).reduce(0) { $0 + weights[$1] } / whole
            let isAbout = titleMatches[index] & said[index] != 0
            guard share >= Self.relevantShare, isAbout || covered[index].nonzeroBitCount >= needed else { return 0 }
            let nearness = best > 0 && passages[index].score.isFinite ? max(0, passages[index].score / best) : 1
            return (0.5 + share) * (0.5 + 0.5 * nearness) / (1 + Self.placeFactor * Double(index))
        }
        documents = passages.map { passage in passage.id.lastIndex(of: "#").map { passage.id[..<$0] } ?? passage.id[...]
        }
    }

    /// The chosen sentences in the order of the passages and within them; empty when nothing is relevant.
    func chosen() -> [Candidate] {
        var chosen: [Int] = []
        var covered: UInt64 = 0
        var length = 0
        var bar = 0.0
        while chosen.count < Self.maxSentences {
            var best: (index: Int, worth: Double)?
            for index in candidates.indices where !chosen.contains(index) {
                let worth = worth(index, covered: covered, after: chosen)
                guard worth > bar, worth > best?.worth ?? 0 else { continue }
                if let first = chosen.first, !isOfOneDocument(first, index) { continue }
                guard chosen.isEmpty || length + candidates[index].text.count <= Self.maxCharacters else { continue }
                guard !chosen.contains(where: { repeats(candidates[$0].text, candidates[index].text) }) else {
                    continue
                }
                best = (index, worth)
            }
            guard let best else { break }
            if chosen.isEmpty { bar = best.worth * Self.worthSaying }
            chosen.append(best.index)
            covered |= candidates[best.index].matches
            length += candidates[best.index].text.count
        }
        return chosen.map { candidates[$0] }.sorted { ($0.passage, $0.position) < ($1.passage, $1.position) }
    }

    /// Sentences of two documents that share words with a question seldom make one answer.
    private func isOfOneDocument(_ one: Int, _ other: Int) -> Bool {
        documents[candidates[one].passage] == documents[candidates[other].passage]
    }

    private func worth(_ index: Int, covered: UInt64, after chosen: [Int]) -> Double {
        let candidate = candidates[index]
        let prior = priors[candidate.passage]
        guard prior > 0, candidate.matches != 0 else { return 0 }
        var worth = 0.0
        for term in bits(candidate.matches) {
            worth += covered & 1 << UInt64(term) != 0 ? weights[term] / 3 : weights[term]
        }
        // A question in the text is not an answer, nor is the introduction of a list; a very long sentence matches by
        // its length.
        if let last = candidate.text.unicodeScalars.last, "?？:：".unicodeScalars.contains(last) { worth *= 0.4 }
        worth *= 240 / (200 + Double(candidate.text.utf8.count))
        let follows = chosen.contains {
            candidates[$0].passage == candidate.passage && candidates[$0].position + 1 == candidate.position
        }
        return worth * prior * (follows ? 1.25 : 1)
    }

    /// Whether one text says what the other says, white space, case and marks aside: passages overlap.
    private func repeats(_ a: String, _ b: String) -> Bool {
        let a = letters(a)
        let b = letters(b)
        return a.count >= b.count ? contains(a, b) : contains(b, a)
    }

    private func letters(_ text: String) -> [UInt8] {
        text.utf8.compactMap { byte in
            switch byte {
            case 0x41...0x5A: byte | 0x20
            case 0x30...0x39, 0x61...0x7A, 0x80...: byte
            default: nil
            }
        }
    }

    private func contains(_ long: [UInt8], _ short: [UInt8]) -> Bool {
        guard let first = short.first, short.count <= long.count else { return short.isEmpty }
        for start in 0...(long.count - short.count) where long[start] == first {
            if long[start..<(start + short.count)].elementsEqual(short) { return true }
        }
        return false
    }
}

/// The indices of the bits that are set.
func bits(_ set: UInt64) -> some Sequence<Int> {
    sequence(state: set) { rest -> Int? in
        guard rest != 0 else { return nil }
        defer { rest &= rest - 1 }
        return rest.trailingZeroBitCount
    }
}
