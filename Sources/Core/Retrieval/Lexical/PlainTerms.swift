/// Reads a text as the terms that an index of words has: stemmed words, and for scripts written without spaces (Chinese,
/// Japanese, Korean) single characters and pairs of neighbours, which need no dictionary.
///
/// ``TextTerms`` also has pairs and pieces of words. Here similar words are found among all words there are
/// (``Vocabulary``), which takes a tenth of the memory.
struct PlainTerms {
    struct Term {
        var hash: UInt32
        var weight: Float
        /// Words that every text has: they count for less, and prove nothing.
        var isStop: Bool
        var isWord: Bool
        /// Two characters that stand side by side.
        var isPair = false
    }

    static let stopFactor: Float = 0.35
    static let character: Float = 0.6
    private static let longestWord = 64

    /// The word being read, lower-cased; when a word is handed out, its stem.
    private(set) var letters: [UInt32] = []
    private var previous: (scalar: UInt32, isStop: Bool)?

    /// - Parameter body: takes each term as it comes. `letters` are those of the stem when it is a word.
    @inline(__always)
    static func forEach(in text: ArraySlice<UInt8>, _ body: (_ term: Term, _ letters: ArraySlice<UInt32>) -> Void) {
        text.withUnsafeBufferPointer { forEach(in: $0, body) }
    }

    /// - Parameter text: UTF-8; what is none separates words.
    static func forEach(
        in text: UnsafeBufferPointer<UInt8>, _ body: (_ term: Term, _ letters: ArraySlice<UInt32>) -> Void
    ) {
        var reader = PlainTerms()
        reader.letters.reserveCapacity(longestWord)
        var at = 0
        while at < text.count {
            let byte = text[at]
            if byte < 0x80 {
                reader.read(ascii: byte, body)
                at += 1
                continue
            }
            // A scalar has four bytes at most.
            var rest = text[at..<min(at + 4, text.count)].makeIterator()
            var decoder = UTF8()
            if case .scalarValue(let scalar) = decoder.decode(&rest) {
                reader.read(scalar, body)
                at += UTF8.width(scalar)
            } else {
                reader.read(ascii: 0x20, body)
                at += 1
            }
        }
        reader.endWord(body)
    }

    @inline(__always)
    private mutating func read(ascii byte: UInt8, _ body: (Term, ArraySlice<UInt32>) -> Void) {
        switch byte {
        case 0x30...0x39, 0x61...0x7A: append(UInt32(byte))
        case 0x41...0x5A: append(UInt32(byte | 0x20))
        case 0x27: break  // an apostrophe joins: don't
        default:
            endWord(body)
            previous = nil
        }
    }

    private mutating func read(_ scalar: Unicode.Scalar, _ body: (Term, ArraySlice<UInt32>) -> Void) {
        var value = scalar.value
        if (0xFF01...0xFF5E).contains(value) { value -= 0xFEE0 }  // full-width forms of ASCII
        switch value {
        case 0x30...0x39, 0x61...0x7A: append(value)
        case 0x41...0x5A: append(value | 0x20)
        case 0x27, 0x2019: break  // an apostrophe joins: don't, doesn’t
        case 0..<0x80:
            endWord(body)
            previous = nil
        case _ where TextTerms.isWrittenWithoutSpaces(value):
            endWord(body)
            add(character: value, body)
        default:
            if scalar.properties.isAlphabetic {
                for lower in scalar.properties.lowercaseMapping.unicodeScalars { append(lower.value) }
            } else {
                endWord(body)
                previous = nil
            }
        }
    }

    @inline(__always)
    private mutating func append(_ letter: UInt32) {
        previous = nil
        if letters.count < Self.longestWord { letters.append(letter) }
    }

    private mutating func endWord(_ body: (Term, ArraySlice<UInt32>) -> Void) {
        guard !letters.isEmpty else { return }
        let whole = TextTerms.hash(letters[...], seed: TextTerms.wordSeed)
        if StopWords.words.contains(whole) {
            body(Term(hash: Self.short(whole), weight: Self.stopFactor, isStop: true, isWord: true), letters[...])
        } else {
            let stem = EnglishStem.of(&letters)
            let hash = Self.short(TextTerms.hash(stem, seed: TextTerms.wordSeed))
            body(Term(hash: hash, weight: 1, isStop: false, isWord: true), stem)
        }
        letters.removeAll(keepingCapacity: true)
    }

    private mutating func add(character scalar: UInt32, _ body: (Term, ArraySlice<UInt32>) -> Void) {
        let isStop = StopWords.characters.contains(scalar)
        let weight = Self.character * (isStop ? Self.stopFactor : 1)
        body(Term(hash: Self.hash(of: scalar), weight: weight, isStop: isStop, isWord: false), [])
        if let previous {
            let weight: Float =
                switch (previous.isStop, isStop) {
                case (false, false): 1
                case (true, true): Self.stopFactor
                default: 0.5
                }
            let isStop = previous.isStop && isStop
            body(
                Term(
                    hash: Self.hash(of: previous.scalar, scalar), weight: weight, isStop: isStop, isWord: false,
                    isPair: true), [])
        }
        previous = (scalar, isStop)
    }

    private static func short(_ hash: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: hash >> 32) }

    static func hash(of character: UInt32) -> UInt32 { short(mixed(TextTerms.characterSeed, UInt64(character))) }

    static func hash(of first: UInt32, _ second: UInt32) -> UInt32 {
        short(mixed(TextTerms.characterSeed, UInt64(first) << 32 | UInt64(second)))
    }
}
