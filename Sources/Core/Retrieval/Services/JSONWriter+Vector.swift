import ParleyJSON

extension JSONWriter {
    /// Digits behind the point.
    private static let decimals = 7
    private static let scale = 10_000_000.0

    /// A vector's numbers with seven decimals: that does not move a cosine unless the whole vector is tiny, and
    /// fixed-point digits cost a tenth of the shortest exact text, which tiny ones get.
    mutating func vector(_ vector: [Float]) {
        guard !vector.allSatisfy({ abs($0) < 0.01 }), vector.allSatisfy({ abs($0) < 1000 }) else {
            return array { list in for value in vector { list.float(value.isFinite ? value : 0) } }
        }
        // Of each number at most: a comma, a sign, three digits (999.99994 is the largest), the point and the decimals.
        withUnsafeTemporaryAllocation(byteCount: vector.count * (6 + Self.decimals) + 2, alignment: 1) { text in
            var at = 0
            func put(_ byte: UInt8) {
                text[at] = byte
                at += 1
            }
            put(UInt8(ascii: "["))
            for value in vector {
                if at > 1 { put(UInt8(ascii: ",")) }
                if value < 0 { put(UInt8(ascii: "-")) }
                let scaled = Int(Double(abs(value)) * Self.scale + 0.5)
                let (whole, decimals) = scaled.quotientAndRemainder(dividingBy: Int(Self.scale))
                if whole >= 100 { put(UInt8(ascii: "0") + UInt8(whole / 100)) }
                if whole >= 10 { put(UInt8(ascii: "0") + UInt8(whole / 10 % 10)) }
                put(UInt8(ascii: "0") + UInt8(whole % 10))
                guard decimals != 0 else { continue }
                put(UInt8(ascii: "."))
                var rest = decimals
                for place in stride(from: Self.decimals - 1, through: 0, by: -1) {
                    text[at + place] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
                    rest /= 10
                }
                at += Self.decimals
                while text[at - 1] == UInt8(ascii: "0") { at -= 1 }
            }
            put(UInt8(ascii: "]"))
            raw(text[..<at])
        }
    }
}
