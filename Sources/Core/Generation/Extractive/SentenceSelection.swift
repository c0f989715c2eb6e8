import ChatJobs
import Glibc
import Retrieval

/// A sentence of a passage, and what it has in common with the question.
struct Candidate {
    var passage: Int
    /// Its place in the passage, counted in sentences.
    var position: Int
    var text: String
    var matches: QuestionTerms.Matches
}

/// Chooses the sentences that answer best, all of one document.
///
/// A term weighs the more, the fewer of the given sentences have it. A sentence is worth what its terms weigh, more when it has the
/// kind of thing that is asked for; a term that an already chosen sentence has counts a third.
struct SentenceSelection {
    /// The most sentences of an answer.
    static let maxSentences = 3
    /// The most characters of an answer, a first sentence that is longer alone excepted.
    static let maxCharacters = 400
    /// How much less each further passage is worth.
    static let placeFactor = 0.3
    /// How much of the best sentence's worth another must have to be quoted too.
    static let worthSaying = 0.4
    /// What days and hours are worth where the question is how long, in terms of the question.
    static let kind = 0.5

    private let candidates: [Candidate]
    private let weights: [Double]
    private let kindWeight: Double

    /// - Parameter weights: of the question's terms.
    init(_ candidates: [Candidate], among all: [Candidate], weights: [Float]) {
        var counts = [Int](repeating: 0, count: weights.count)
        for candidate in all {
            for term in bits(candidate.matches.any) { counts[term] += 1 }
        }
        self.weights = zip(weights, counts).map { Double($0) * log(1 + Double(all.count + 1) / (Double($1) + 0.5)) }
        kindWeight = Self.kind * self.weights.reduce(0, +) / Double(max(1, weights.count))
        self.candidates = candidates
    }

    /// The chosen sentences in the order of the passages and within them; empty when none has anything of the question.
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
                guard chosen.isEmpty || length + candidates[index].text.count <= Self.maxCharacters else { continue }
                guard !chosen.contains(where: { repeats(candidates[$0].text, candidates[index].text) }) else {
                    continue
                }
                best = (index, worth)
            }
            guard let best else { break }
            if chosen.isEmpty { bar = best.worth * Self.worthSaying }
            chosen.append(best.index)
            covered |= candidates[best.index].matches.any
            length += candidates[best.index].text.count
        }
        return chosen.map { candidates[$0] }.sorted { ($0.passage, $0.position) < ($1.passage, $1.position) }
    }

    private func worth(_ index: Int, covered: UInt64, after chosen: [Int]) -> Double {
        let candidate = candidates[index]
        guard candidate.matches.any != 0 || candidate.matches.isOfKind else { return 0 }
        var worth = candidate.matches.isOfKind ? kindWeight : 0
        for term in bits(candidate.matches.any) {
            let isOwn = candidate.matches.own & 1 << UInt64(term) != 0
            let isCovered = covered & 1 << UInt64(term) != 0
            worth += weights[term] * (isOwn ? 1 : Confidence.standIn) * (isCovered ? 1.0 / 3 : 1)
        }
        // A question in the text is not an answer, nor is the introduction of a list; a very long sentence matches by
        // its length.
        if let last = candidate.text.unicodeScalars.last, "?？:：".unicodeScalars.contains(last) { worth *= 0.4 }
        worth *= 240 / (200 + Double(candidate.text.utf8.count))
        let follows = chosen.contains {
            candidates[$0].passage == candidate.passage && candidates[$0].position + 1 == candidate.position
        }
        return worth * (follows ? 1.25 : 1) / (1 + Self.placeFactor * Double(candidate.passage))
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
