/// What the router sees of a text: hashed sequences of one to five characters, of one to three in scripts without spaces,
/// which need no dictionary.
///
/// scripts/lib/router/features.py must do exactly the same: Tests/RoutingTests/golden.jsonl is checked on both sides. Whoever
/// changes anything here changes ``RouterWeights/magic`` with it.
struct TextFeatures {
    /// Of a longer text the first and the last half of so many characters are read: what a text costs is bounded.
    static let mostScalars = 512
    private static let space: UInt32 = 0x20

    /// The characters as they are compared: plain, in lower case, digits all alike and at most three in a row, any white
    /// space one space, and one space at either end.
    private(set) var scalars: [UInt32] = []
    private var digits = 0

    init(_ text: String) {
        scalars.reserveCapacity(min(text.utf8.count, Self.mostScalars) + 2)
        scalars.append(Self.space)
        let all = text.unicodeScalars
        // A scalar has one to four bytes: few texts need be counted.
        let bytes = text.utf8.count
        let isShort = bytes <= Self.mostScalars || bytes <= 4 * Self.mostScalars && all.count <= Self.mostScalars
        if isShort {
            for scalar in all { read(scalar) }
        } else {
            for scalar in all.prefix(Self.mostScalars / 2) { read(scalar) }
            for scalar in all.suffix(Self.mostScalars / 2) { read(scalar) }
        }
        if scalars.last != Self.space { scalars.append(Self.space) }
    }

    /// Calls `body` with the hash of each sequence, in the order in which they begin, and returns their number.
    @inline(__always)
    func forEachHash(_ body: (UInt32) -> Void) -> Int {
        scalars.withUnsafeBufferPointer { scalars in
            var count = 0
            for start in scalars.indices {
                var value: UInt32 = 0x811C_9DC5
                let longest = Self.isIdeographic(scalars[start]) ? 3 : 5
                for at in start..<min(start + longest, scalars.count) {
                    value = (value ^ scalars[at]) &* 0x0100_0193
                    var mixed = (value ^ value >> 16) &* 0x85EB_CA6B
                    mixed = (mixed ^ mixed >> 13) &* 0xC2B2_AE35
                    body(mixed ^ mixed >> 16)
                    count += 1
                }
            }
            return count
        }
    }

    private mutating func read(_ scalar: Unicode.Scalar) {
        let value = Self.plain(scalar.value)
        if Self.isIgnored(value) { return }
        if (0x30...0x39).contains(value) {
            digits += 1
            if digits <= 3 { scalars.append(0x30) }
            return
        }
        digits = 0
        if Self.isSpace(value) {
            if scalars.last != Self.space { scalars.append(Self.space) }
        } else if value < 0x80 {
            scalars.append((0x41...0x5A).contains(value) ? value + 0x20 : value)
        } else if Self.hasNoCase(value) {
            scalars.append(value)
        } else {
            for lower in scalar.properties.lowercaseMapping.unicodeScalars where !Self.isIgnored(lower.value) {
                scalars.append(lower.value)
            }
        }
    }

    /// The compatibility forms that keyboards produce, as NFKC has them, and typographic quotes, in ASCII.
    private static func plain(_ value: UInt32) -> UInt32 {
        switch value {
        case 0xFF01...0xFF5E: value - 0xFEE0
        case 0x2018, 0x2019: 0x27
        case 0x201C, 0x201D: 0x22
        case 0x3002: 0x2E
        default: value
        }
    }

    /// Marks that change how a character looks, and characters without width.
    private static func isIgnored(_ value: UInt32) -> Bool {
        switch value {
        case 0x0300...0x036F, 0x200B...0x200F, 0xFE00...0xFE0F, 0x00AD, 0x2060, 0xFEFF: true
        default: false
        }
    }

    private static func isSpace(_ value: UInt32) -> Bool {
        switch value {
        case 0...0x20, 0x7F...0xA0, 0x2000...0x200A, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000: true
        default: false
        }
    }

    @inline(__always)
    private static func isIdeographic(_ value: UInt32) -> Bool { value >= 0x2E80 }

    /// Han, kana and Hangul: asking each of them for its lower case would take most of the time.
    private static func hasNoCase(_ value: UInt32) -> Bool {
        (0x2E80...0xA4CF).contains(value) || (0xAC00...0xD7A3).contains(value)
    }
}
