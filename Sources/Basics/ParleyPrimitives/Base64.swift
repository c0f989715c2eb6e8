/// RFC 4648, §4 or §5, with or without padding; nil for anything else.
package func decodeBase64(_ text: String) -> [UInt8]? {
    var text = text
    return text.withUTF8 { decodeBase64($0) }
}

/// RFC 4648, §4 or §5, with or without padding; nil for anything else.
package func decodeBase64(_ text: StaticString) -> [UInt8]? { text.withUTF8Buffer { decodeBase64($0) } }

private func decodeBase64(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8]? {
    guard let end = text.lastIndex(where: { $0 != UInt8(ascii: "=") }) else { return text.count <= 2 ? [] : nil }
    let digits = text[...end]
    guard digits.count % 4 != 1, text.count - digits.count <= 2 else { return nil }
    // Bits above the sixth are set where a byte is no digit.
    var seen: UInt32 = 0
    let size = digits.count * 3 / 4
    let values = digitValues
    let result = [UInt8](unsafeUninitializedCapacity: size) { result, count in
        var (place, next) = (0, 0)
        while place + 4 <= digits.count {
            let (a, b) = (values[Int(digits[place])], values[Int(digits[place + 1])])
            let (c, d) = (values[Int(digits[place + 2])], values[Int(digits[place + 3])])
            seen |= a | b | c | d
            let bits = a << 18 | b << 12 | c << 6 | d
            result[next] = UInt8(truncatingIfNeeded: bits >> 16)
            result[next + 1] = UInt8(truncatingIfNeeded: bits >> 8)
            result[next + 2] = UInt8(truncatingIfNeeded: bits)
            place += 4
            next += 3
        }
        var bits: UInt32 = 0
        for digit in digits[place...] {
            seen |= values[Int(digit)]
            bits = bits << 6 | values[Int(digit)]
        }
        bits <<= UInt32(4 - digits[place...].count) * 6
        for shift in [16, 8] where next < size {
            result[next] = UInt8(truncatingIfNeeded: bits >> UInt32(shift))
            next += 1
        }
        count = next
    }
    return seen < 64 ? result : nil
}

/// Of each byte as a digit; 64 when it is none.
private let digitValues: [UInt32] = (0...255).map { byte in
    switch UInt8(byte) {
    case 0x41...0x5A: UInt32(byte - 0x41)
    case 0x61...0x7A: UInt32(byte - 0x61) + 26
    case 0x30...0x39: UInt32(byte - 0x30) + 52
    case UInt8(ascii: "+"), UInt8(ascii: "-"): 62
    case UInt8(ascii: "/"), UInt8(ascii: "_"): 63
    default: 64
    }
}
