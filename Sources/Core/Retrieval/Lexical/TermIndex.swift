/// Finds passages by their words: Okapi BM25 (Robertson and Zaragoza, 2009) over the terms of ``PlainTerms``, with the
/// constants k1 = 0.9 and b = 0.4 that Anserini uses for passages. Words that mean or are written alike count for less than
/// the question's own (``Synonyms``, ``Vocabulary``).
///
/// A score is the share of the question's weight that a passage has, 0 … 1: of
/// the most that a passage of usual length could have. All is kept in a few flat arrays: a posting takes
/// four bytes.
struct TermIndex: Sendable {
    private static let k1: Float = 1.2
    private static let b: Float = 0.4
    /// A word in the title or a heading says as much as so many in the text.
    private static let headingFactor: Float = 3
    private static let synonym: Float = 0.4
    private static let phrase: Float = 0.5
    private static let likeness: Float = 0.5
    /// Of a long question only the first words are looked for in other spellings.
    private static let mostInexact = 32

    /// The most passages: a posting has 24 bits for its place. Later ones are not found by words.
    static let mostPassages = 1 << 24

    /// The hashes of the terms, ascending, each once; the postings of the n-th are those from `starts[n]` up to the next.
    private let terms: [UInt32]
    private let starts: [UInt32]
    /// A passage's place, and in the low eight bits what BM25 makes of how often it has the term.
    private let postings: [UInt32]
    private let vocabulary: Vocabulary
    private let titles: Titles
    let count: Int

    /// BM25's weight of a term is below k1 + 1.
    private static let weightStep = (k1 + 1) / 255
    /// How often a passage has a term, while the index is made.
    private static let frequencyStep: Float = 0.05

    /// - Parameter passages: heading and text of each.
    init(_ passages: some Collection<(heading: ArraySlice<UInt8>, text: ArraySlice<UInt8>)>) {
        var builder = Builder()
        for passage in passages.prefix(Self.mostPassages) { builder.add(heading: passage.heading, text: passage.text) }
        self.init(builder)
    }

    private struct Builder {
        /// From the high bits down: a term's hash (32), the passage's place (24), how often it has the term (8).
        var entries: [UInt64] = []
        var lengths: [Float] = []
        var vocabulary = Vocabulary.Builder()
        var titles = Titles.Builder()
        /// Of one passage: a term's hash, and how often it has it.
        private var own: [(hash: UInt32, frequency: Float)] = []

        mutating func add(heading: ArraySlice<UInt8>, text: ArraySlice<UInt8>) {
            titles.add(heading: heading)
            own.removeAll(keepingCapacity: true)
            var length: Float = 0
            for (part, factor) in [(heading, TermIndex.headingFactor), (text, 1)] {
                PlainTerms.forEach(in: part) { term, letters in
                    own.append((term.hash, term.weight * factor))
                    length += term.weight * factor
                    if term.isWord, !term.isStop { vocabulary.add(term.hash, letters) }
                }
            }
            own.sort { $0.hash < $1.hash }
            let passage = UInt64(lengths.count) << 8
            var at = 0
            while at < own.count {
                let hash = own[at].hash
                var frequency: Float = 0
                while at < own.count, own[at].hash == hash {
                    frequency += own[at].frequency
                    at += 1
                }
                let steps = UInt64(min(255, (frequency / TermIndex.frequencyStep).rounded()))
                entries.append(UInt64(hash) << 32 | passage | steps)
            }
            lengths.append(length)
        }
    }

    private init(_ builder: consuming Builder) {
        let lengths = builder.lengths
        titles = builder.titles.titles
        count = lengths.count
        let mean = max(lengths.reduce(0, +) / Float(max(count, 1)), 1)
        var terms: [UInt32] = []
        var starts: [UInt32] = []
        var postings: [UInt32] = []
        let entries = Self.sortedByTerm(builder.entries)
        builder.entries = []
        postings.reserveCapacity(entries.count)
        for entry in entries {
            let hash = UInt32(entry >> 32)
            if terms.last != hash {
                terms.append(hash)
                starts.append(UInt32(truncatingIfNeeded: postings.count))
            }
            let passage = Int(entry >> 8) & (Self.mostPassages - 1)
            let frequency = Float(entry & 255) * Self.frequencyStep
            let norm = Self.k1 * (1 - Self.b + Self.b * lengths[passage] / mean)
            let weight = frequency * (Self.k1 + 1) / (frequency + norm)
            postings.append(UInt32(passage) << 8 | UInt32(max(1, min(255, (weight / Self.weightStep).rounded()))))
        }
        starts.append(UInt32(truncatingIfNeeded: postings.count))
        self.terms = terms
        self.starts = starts
        self.postings = postings
        vocabulary = Vocabulary(builder.vocabulary, termCount: terms.count) { terms.place(of: $0) }
    }

    /// By their high 32 bits, those of one term in the order of the passages: a radix sort, 16 bits at a time, which keeps
    /// the order of equals.
    private static func sortedByTerm(_ entries: [UInt64]) -> [UInt64] {
        var from = entries
        var to = [UInt64](repeating: 0, count: entries.count)
        for shift: UInt64 in [32, 48] {
            var ends = [Int](repeating: 0, count: 1 << 16)
            for entry in from { ends[Int(entry >> shift & 0xFFFF)] += 1 }
            var sum = 0
            for digit in ends.indices {
                (ends[digit], sum) = (sum, sum + ends[digit])
            }
            for entry in from {
                let digit = Int(entry >> shift & 0xFFFF)
                to[ends[digit]] = entry
                ends[digit] += 1
            }
            swap(&from, &to)
        }
        return from
    }

    // MARK: - Searching

    /// A term of a question, or one that stands in for it.
    private struct Wanted {
        /// Nil when no passage has it.
        var place: Int?
        var weight: Float
        var isStop: Bool
    }

    /// A passage that was found.
    struct Found: Equatable {
        var index: Int
        var score: Float
        /// How much of its title the question says, 0 … 1.
        var title: Float = 0
    }

    /// The best passages for `question`, best first; none that has nothing of it but words that every text has, unless the
    /// question has no others.
    ///
    /// - Parameter selection: the passages that may be found; nil: all. How rare a word is, is known of all passages.
    func search(
        _ question: String, topK: Int, in selection: Selection? = nil
    ) -> [Found] {
        let (own, others, saidOfTitles) = wanted(question)
        var scores = [Float](repeating: 0, count: count)
        var total: Float = 0
        for term in own {
            // What no passage has is missed; but not words that every text has.
            total += term.weight * (term.isStop && term.place == nil ? leastRarity : rarity(of: term.place))
        }
        guard total > 0 else { return [] }
        scores.withUnsafeMutableBufferPointer { scores in
            for term in own where !term.isStop { add(term, to: scores) }
            for term in others { add(term, to: scores) }
            for term in own where term.isStop { add(term, to: scores, onlyWhereSome: true) }
        }
        var best = TopMatches(count: topK)
        for (index, score) in scores.enumerated() where score > 0 && selection?.contains(index) ?? true {
            best.offer(index: index, score: score)
        }
        // A term counts k1 + 1 at most, however often a passage has it.
        return best.sorted.map { index, score in
            Found(
                index: index, score: min(1, score / (total * (Self.k1 + 1))),
                title: titles.share(of: index, saidOfTitles))
        }
    }

    /// Of a term that all passages have.
    private var leastRarity: Float { logOnePlus(0.5 / (Float(count) + 0.5)) }

    private func rarity(of place: Int?) -> Float {
        let having = place.map { Float(starts[$0 + 1] - starts[$0]) } ?? 0
        return logOnePlus((Float(count) - having + 0.5) / (having + 0.5))
    }

    private func add(_ term: Wanted, to scores: UnsafeMutableBufferPointer<Float>, onlyWhereSome: Bool = false) {
        guard let place = term.place else { return }
        let step = term.weight * rarity(of: place) * Self.weightStep
        postings.withUnsafeBufferPointer { postings in
            for at in Int(starts[place])..<Int(starts[place + 1]) {
                let passage = Int(postings[at] >> 8)
                if onlyWhereSome, scores[passage] == 0 { continue }
                scores[passage] += step * Float(postings[at] & 255)
            }
        }
    }

    /// The question's terms, each once, and those that count for them.
    private func wanted(_ question: String) -> (own: [Wanted], others: [Wanted], ofTitles: Titles.Question) {
        var places: [UInt32: Int] = [:]
        var own: [Wanted] = []
        /// By their places.
        var others: [Int: Float] = [:]
        others.reserveCapacity(128)
        var inexact = Self.mostInexact
        var units: [UInt32] = []
        var ofTitles = Titles.Question()
        PlainTerms.forEach(in: Array(question.utf8)[...]) { term, letters in
            if !term.isPair { units.append(term.hash) }
            if let known = places[term.hash] {
                own[known].weight += term.weight
                return
            }
            places[term.hash] = own.count
            if !term.isStop { ofTitles.add(own: term.hash) }
            let place = terms.place(of: term.hash)
            own.append(Wanted(place: place, weight: term.weight, isStop: term.isStop))
            guard term.isWord, !term.isStop, inexact > 0 else { return }
            inexact -= 1
            for (place, likeness) in vocabulary.similar(to: letters, except: place) {
                others[place] = max(others[place] ?? 0, Self.likeness * likeness)
            }
        }
        Synonyms.standard.called(by: units) { term, units in
            ofTitles.add(standIn: term.hash)
            guard let place = terms.place(of: term.hash) else { return }
            others[place] = max(others[place] ?? 0, (units.count > 1 ? Self.phrase : Self.synonym) * term.weight)
        }
        for term in own { if let place = term.place { others[place] = nil } }
        // Better such words than none.
        if own.allSatisfy(\.isStop) { for place in own.indices { own[place].isStop = false } }
        return (
            own,
            others.sorted { $0.key < $1.key }.map { Wanted(place: $0.key, weight: $0.value, isStop: false) },
            ofTitles
        )
    }
}
