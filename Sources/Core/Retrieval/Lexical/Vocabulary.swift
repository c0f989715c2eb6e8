/// The words of an index by their sequences of three letters: finds words that are written alike, for typing errors, endings
/// and compounds.
struct Vocabulary: Sendable {
    /// The share of sequences that two words must have in common (the Dice coefficient).
    private static let likeness: Float = 0.5
    private static let mostWords = 8

    /// Ascending, each once; the words that have the n-th are those from `starts[n]` up to the next.
    private let sequences: [UInt32]
    private let starts: [UInt32]
    private let words: [UInt32]
    /// How many sequences each of all terms has; 0 when it is no word.
    private let counts: [UInt8]

    /// Collects words, each once.
    struct Builder {
        private var known: Set<UInt32> = []
        /// A sequence, and the hash of a word that has it.
        fileprivate var entries: [UInt64] = []

        mutating func add(_ hash: UInt32, _ letters: ArraySlice<UInt32>) {
            guard known.insert(hash).inserted else { return }
            Vocabulary.forEachSequence(in: letters) { entries.append(UInt64($0) << 32 | UInt64(hash)) }
        }
    }

    /// - Parameter place: of a term's hash among all terms.
    init(_ builder: Builder, termCount: Int, place: (UInt32) -> Int?) {
        var sequences: [UInt32] = []
        var starts: [UInt32] = []
        var words: [UInt32] = []
        var counts = [UInt8](repeating: 0, count: termCount)
        words.reserveCapacity(builder.entries.count)
        for entry in builder.entries.sorted() {
            let sequence = UInt32(entry >> 32)
            guard let word = place(UInt32(truncatingIfNeeded: entry)) else { continue }
            if sequences.last != sequence {
                sequences.append(sequence)
                starts.append(UInt32(words.count))
            }
            words.append(UInt32(word))
            counts[word] += counts[word] < .max ? 1 : 0
        }
        starts.append(UInt32(words.count))
        self.sequences = sequences
        self.starts = starts
        self.words = words
        self.counts = counts
    }

    /// The places of words that are written like this one, and how much so; the word itself is not among them.
    func similar(to letters: ArraySlice<UInt32>, except own: Int?) -> [(place: Int, likeness: Float)] {
        // Of all words: a table of the few that share something would cost more than to clear this.
        var shared = [UInt8](repeating: 0, count: counts.count)
        var touched: [UInt32] = []
        var count = 0
        shared.withUnsafeMutableBufferPointer { shared in
            words.withUnsafeBufferPointer { words in
                Self.forEachSequence(in: letters) { sequence in
                    count += 1
                    guard let at = sequences.place(of: sequence) else { return }
                    for place in Int(starts[at])..<Int(starts[at + 1]) {
                        let word = Int(words[place])
                        if shared[word] == 0 { touched.append(words[place]) }
                        shared[word] += shared[word] < .max ? 1 : 0
                    }
                }
            }
        }
        var found: [(place: Int, likeness: Float)] = []
        for word in touched where Int(word) != own {
            let likeness = 2 * Float(shared[Int(word)]) / Float(count + Int(counts[Int(word)]))
            if likeness >= Self.likeness { found.append((Int(word), min(1, likeness))) }
        }
        found.sort { ($1.likeness, $0.place) < ($0.likeness, $1.place) }
        return Array(found.prefix(Self.mostWords))
    }

    /// Of `returns`: `^re`, `ret`, `etu` and so on up to `ns$`; of one letter the whole.
    @inline(__always)
    private static func forEachSequence(in letters: ArraySlice<UInt32>, _ body: (UInt32) -> Void) {
        var window: (UInt32, UInt32) = (0x5E, letters.first ?? 0x24)
        for letter in letters.dropFirst() {
            body(hash(window.0, window.1, letter))
            window = (window.1, letter)
        }
        body(hash(window.0, window.1, 0x24))
    }

    private static func hash(_ a: UInt32, _ b: UInt32, _ c: UInt32) -> UInt32 {
        UInt32(truncatingIfNeeded: mixed(UInt64(a) << 42 | UInt64(b) << 21 | UInt64(c), 1) >> 32)
    }
}

extension [UInt32] {
    /// Where `value` is in an ascending array; nil when it is not there.
    func place(of value: UInt32) -> Int? {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if self[middle] < value { low = middle + 1 } else { high = middle }
        }
        return low < count && self[low] == value ? low : nil
    }
}
