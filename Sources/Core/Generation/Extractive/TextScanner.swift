/// Reads text as what it can be compared by: stems of words, and pairs of neighbouring characters in scripts that are
/// written without spaces.
///
/// Bytes in, hashes out, no allocation: an extractive answer reads every passage once.
struct TextScanner {
    let bytes: UnsafeBufferPointer<UInt8>
    private var stem: Stemmer

    init(_ bytes: UnsafeBufferPointer<UInt8>) {
        self.bytes = bytes
        stem = Stemmer()
    }

    /// What a character is good for.
    enum Class {
        /// Part of a word between spaces: Latin, Cyrillic, digits…
        case word
        /// Stands for itself: Chinese, Japanese, Korean, Thai…
        case wide
        /// Parts others.
        case other
    }

    /// Calls `body` with the hash of each term in `range`: stems of words, single wide characters and pairs of them.
    mutating func terms(in range: Range<Int>, _ body: (UInt32) -> Void) {
        var at = range.lowerBound
        var previousWide: UInt32 = 0
        while at < range.upperBound {
            let (kind, length) = Self.classify(bytes, at)
            switch kind {
            case .other:
                previousWide = 0
                at += length
            case .wide:
                let code = Self.code(bytes, at, length)
                body(Self.hash(wide: code))
                if previousWide != 0 { body(Self.hash(pair: previousWide, code)) }
                previousWide = code
                at += length
            case .word:
                previousWide = 0
                stem.begin()
                while at < range.upperBound {
                    let (kind, length) = Self.classify(bytes, at)
                    guard kind == .word else { break }
                    for offset in at..<min(at + length, bytes.count) { stem.append(bytes[offset]) }
                    at += length
                }
                body(stem.finish())
            }
        }
    }

    @inline(__always)
    static func classify(_ bytes: UnsafeBufferPointer<UInt8>, _ at: Int) -> (Class, Int) {
        let byte = bytes[at]
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: return (.word, 1)
        case 0..<0xC2: return (.other, 1)
        case 0xC2: return (.other, 2)
        case 0xC3..<0xE0: return (.word, 2)
        case 0xE0..<0xF0:
            let second = at + 1 < bytes.count ? bytes[at + 1] : 0
            // U+2000–U+2E7F and U+3000–U+303F are punctuation and symbols, U+F900–U+FAFF ideographs, from U+FF00
            // on full-width forms.
            let isMark =
                byte == 0xE2 && second < 0xBA || byte == 0xE3 && second == 0x80 || byte == 0xEF && second >= 0xAC
            return (isMark ? .other : .wide, 3)
        default:
            let second = at + 1 < bytes.count ? bytes[at + 1] : 0
            return (byte == 0xF0 && second >= 0xA0 ? .wide : .other, 4)
        }
    }

    @inline(__always)
    private static func code(_ bytes: UnsafeBufferPointer<UInt8>, _ at: Int, _ length: Int) -> UInt32 {
        var code: UInt32 = 0
        for offset in at..<min(at + length, bytes.count) { code = code << 8 | UInt32(bytes[offset]) }
        return code
    }

    static func hash(wide code: UInt32) -> UInt32 { mix(code ^ 0x5BD1_E995) }
    static func hash(pair first: UInt32, _ second: UInt32) -> UInt32 { mix(mix(first) &+ second) }

    /// The finalizer of MurmurHash3.
    private static func mix(_ value: UInt32) -> UInt32 {
        var hash = value
        hash = (hash ^ hash >> 16) &* 0x85EB_CA6B
        hash = (hash ^ hash >> 13) &* 0xC2B2_AE35
        return hash ^ hash >> 16
    }
}

/// Cuts the endings off English words, so that "returned parcels" meets "returning a parcel"; not a dictionary, and
/// the same on both sides is all that matters. Other languages' words pass almost unchanged.
struct Stemmer {
    private var word: [UInt8] = []

    init() { word.reserveCapacity(64) }

    mutating func begin() { word.removeAll(keepingCapacity: true) }

    mutating func append(_ byte: UInt8) {
        // Longer "words" are no words; their beginning will do.
        guard word.count < 48 else { return }
        word.append((0x41...0x5A).contains(byte) ? byte | 0x20 : byte)
    }

    /// The stem's hash.
    mutating func finish() -> UInt32 {
        if word.count > 2, word[0] > 0x39 { cut() }
        var hash: UInt32 = 0x811C_9DC5
        for byte in word { hash = (hash ^ UInt32(byte)) &* 0x0100_0193 }
        return hash
    }

    private mutating func cut() {
        if ends("ies") {
            word.removeLast(2)
        } else if ends("sses") || ends("xes") || ends("ches") || ends("shes") {
            word.removeLast(2)
        } else if word.last == s, !ends("ss"), !ends("us"), !ends("is") {
            word.removeLast()
        }
        for ending: StaticString in ["ation", "ement", "ment", "able", "ing", "ed", "er", "ly"] where ends(ending) {
            guard word.count - ending.utf8CodeUnitCount >= 3 else { continue }
            word.removeLast(ending.utf8CodeUnitCount)
            let count = word.count
            if count > 3, word[count - 1] == word[count - 2], word[count - 1] != s { word.removeLast() }
            break
        }
        if word.count > 3, word.last == e { word.removeLast() }
        if word.count > 2, word.last == y { word[word.count - 1] = i }
    }

    private func ends(_ ending: StaticString) -> Bool {
        let count = ending.utf8CodeUnitCount
        guard word.count > count else { return false }
        for offset in 0..<count where word[word.count - count + offset] != ending.utf8Start[offset] { return false }
        return true
    }

    private let s = UInt8(ascii: "s")
    private let e = UInt8(ascii: "e")
    private let y = UInt8(ascii: "y")
    private let i = UInt8(ascii: "i")
}
