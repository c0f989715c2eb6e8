/// A word, word pair or piece of a word of a text, as a hash, and how much of it the text has.
struct WeightedTerm: Sendable, Equatable {
    var hash: UInt64
    var weight: Float
}

/// Reads a text as terms: words and word pairs, pieces of 3 to 5 letters within words, and for scripts written without
/// spaces (Chinese, Japanese, Korean) single characters and pairs of neighbours, which need no dictionary.
///
/// The weights were chosen once on the sample's questions and are the same everywhere: changing anything here changes
/// ``LexicalEmbedder/version``, or stored vectors would be compared with others.
struct TextTerms {
    private static let word: Float = 1
    private static let wordPair: Float = 0.3
    private static let piece: Float = 0.1
    private static let character: Float = 0.6
    private static let characterPair: Float = 1
    /// Words that every text has say little about this one.
    private static let stopWordFactor: Float = 0.35

    // Seeds, so that equal letters in different roles are different terms.
    static let wordSeed: UInt64 = 0x9AE1_6A3B_2F90_404F
    private static let pairSeed: UInt64 = 0xC949_D7C7_509E_6557
    private static let pieceSeed: UInt64 = 0xFF51_AFD7_ED55_8CCD
    static let characterSeed: UInt64 = 0xC4CE_B9FE_1A85_EC53

    private var terms: [WeightedTerm] = []
    /// Scalars of the word being read, lower-cased, between `^` and `$` when it is complete.
    private var letters: [UInt32] = []
    private var previousWord: (hash: UInt64, isStopWord: Bool)?
    private var previousCharacter: (scalar: UInt32, isStopWord: Bool)?

    /// The terms of `text`, each once, ordered by hash.
    static func of(_ text: String) -> [WeightedTerm] {
        var reader = TextTerms()
        reader.terms.reserveCapacity(text.utf8.count * 3)
        for scalar in text.unicodeScalars { reader.read(scalar) }
        reader.endWord()
        return reader.merged()
    }

    private mutating func read(_ scalar: Unicode.Scalar) {
        var value = scalar.value
        if (0xFF01...0xFF5E).contains(value) { value -= 0xFEE0 }  // full-width forms of ASCII
        switch value {
        case 0x30...0x39, 0x61...0x7A: append(value)
        case 0x41...0x5A: append(value | 0x20)
        case 0x27, 0x2019: break  // an apostrophe joins: don't, doesn’t
        case 0..<0x80:
            endWord()
            previousCharacter = nil
        case _ where Self.isWrittenWithoutSpaces(value):
            endWord()
            previousWord = nil
            appendCharacter(value)
        default:
            if scalar.properties.isAlphabetic {
                for lower in scalar.properties.lowercaseMapping.unicodeScalars { append(lower.value) }
            } else {
                endWord()
                previousCharacter = nil
            }
        }
    }

    private mutating func append(_ letter: UInt32) {
        previousCharacter = nil
        if letters.count < 64 { letters.append(letter) }
    }

    private mutating func appendCharacter(_ scalar: UInt32) {
        let isStopWord = StopWords.characters.contains(scalar)
        let hash = mixed(Self.characterSeed, UInt64(scalar))
        add(hash, Self.character * (isStopWord ? Self.stopWordFactor : 1))
        if let previous = previousCharacter {
            let factor: Float =
                switch (previous.isStopWord, isStopWord) {
                case (false, false): 1
                case (true, true): Self.stopWordFactor
                default: 0.5
                }
            let pair = UInt64(previous.scalar) << 32 | UInt64(scalar)
            add(mixed(Self.characterSeed, pair), Self.characterPair * factor)
        }
        previousCharacter = (scalar, isStopWord)
    }

    private mutating func endWord() {
        guard !letters.isEmpty else { return }
        defer { letters.removeAll(keepingCapacity: true) }
        let whole = hash(letters[...], seed: Self.wordSeed)
        let isStopWord = StopWords.words.contains(whole)
        var stemmed = letters
        let stem = isStopWord ? whole : hash(EnglishStem.of(&stemmed), seed: Self.wordSeed)
        add(stem, Self.word * (isStopWord ? Self.stopWordFactor : 1))
        if let previous = previousWord {
            let factor = isStopWord || previous.isStopWord ? Self.stopWordFactor : 1
            add(mixed(previous.hash ^ Self.pairSeed, stem), Self.wordPair * factor)
        }
        previousWord = (stem, isStopWord)
        if !isStopWord { addPieces() }
    }

    private mutating func addPieces() {
        letters.insert(0x5E, at: 0)
        letters.append(0x24)
        for start in 0..<letters.count {
            var hash = Self.pieceSeed
            for end in start..<min(start + 5, letters.count) {
                hash = (hash ^ UInt64(letters[end])) &* 0x100_0000_01B3
                if end - start >= 2 { add(mixed(hash, UInt64(end - start)), Self.piece) }
            }
        }
    }

    private mutating func add(_ hash: UInt64, _ weight: Float) {
        terms.append(WeightedTerm(hash: hash, weight: weight))
    }

    private mutating func merged() -> [WeightedTerm] {
        terms.sort { $0.hash < $1.hash }
        var result: [WeightedTerm] = []
        result.reserveCapacity(terms.count)
        for term in terms {
            if let last = result.last, last.hash == term.hash {
                result[result.count - 1].weight += term.weight
            } else {
                result.append(term)
            }
        }
        return result
    }

    static func isWrittenWithoutSpaces(_ value: UInt32) -> Bool {
        switch value {
        case 0x3040...0x30FF, 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xAC00...0xD7AF, 0xF900...0xFAFF, 0x20000...0x3FFFF:
            true
        default: false
        }
    }

    /// The hash of a whole word, for the table of stop words.
    static func wordHash(_ word: String) -> UInt64 {
        hash(word.unicodeScalars.map(\.value)[...], seed: wordSeed)
    }

    static func hash(_ letters: ArraySlice<UInt32>, seed: UInt64) -> UInt64 {
        var hash = seed
        for letter in letters { hash = (hash ^ UInt64(letter)) &* 0x100_0000_01B3 }
        return mixed(hash, 0)
    }

    private func hash(_ letters: ArraySlice<UInt32>, seed: UInt64) -> UInt64 { Self.hash(letters, seed: seed) }
}

/// The finalizer of MurmurHash3 over both values: every input bit reaches every output bit.
@inline(__always)
func mixed(_ a: UInt64, _ b: UInt64) -> UInt64 {
    var x = a ^ (b &* 0x9E37_79B9_7F4A_7C15)
    x = (x ^ (x >> 33)) &* 0xFF51_AFD7_ED55_8CCD
    x = (x ^ (x >> 33)) &* 0xC4CE_B9FE_1A85_EC53
    return x ^ (x >> 33)
}
