/// About how often each key was asked for lately: four rows of counters, of which the smallest counts (a count-min sketch:
/// Cormode and Muthukrishnan, 2005). Now and then all are halved, so that what was popular is forgotten (TinyLFU: Einziger,
/// Friedman and Manes, ACM Transactions on Storage, 2017).
struct FrequencySketch {
    private static let rows = 4
    private static let most: UInt8 = 15

    private var counters: [UInt8]
    private let mask: Int
    private var additions = 0
    private let period: Int

    /// - Parameter entries: about how many keys are kept. So that those that are not kept do not count for them, there are
    ///   eight counters a row for each, and halving comes after ten additions for each.
    init(entries: Int) {
        var width = 64
        while width < entries * 8 { width *= 2 }
        counters = Array(repeating: 0, count: width * Self.rows)
        mask = width - 1
        period = width / 8 * 10
    }

    func count(of hash: Int) -> Int {
        var least = Self.most
        for row in 0..<Self.rows { least = min(least, counters[place(hash, row)]) }
        return Int(least)
    }

    mutating func add(_ hash: Int) {
        for row in 0..<Self.rows where counters[place(hash, row)] < Self.most { counters[place(hash, row)] += 1 }
        additions += 1
        if additions >= period { age() }
    }

    private mutating func age() {
        for index in counters.indices { counters[index] /= 2 }
        additions /= 2
    }

    private func place(_ hash: Int, _ row: Int) -> Int {
        // Another multiplier for each row; the high bits are the mixed ones.
        let mixed = UInt(bitPattern: hash) &* (0x9E37_79B9_7F4A_7C15 &+ UInt(row) &* 0xC2B2_AE3D_27D4_EB4E | 1)
        return row * (mask + 1) + Int(truncatingIfNeeded: mixed >> 24) & mask
    }
}
