/// RFC 4648, §4 or §5, with or without padding; nil for anything else.
package func decodeBase64(_ text: String) -> [UInt8]? {
    var text = text
    return text.withUTF8 { decodeBase64($0) }
}

/// RFC 4648, §4 or §5, with or without padding; nil for anything else.
package func decodeBase64(_ text: StaticString) -> [UInt8]? { text.withUTF8Buffer { decodeBase64($0) } }

private func decodeBase64(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8]? {
    var result: [UInt8] = []
    result.reserveCapacity(text.count / 4 * 3)
    var bits: UInt32 = 0
    var count = 0
    var padding = 0
    for byte in text {
        let value: UInt32
        switch byte {
        case 0x41...0x5A: value = UInt32(byte - 0x41)
        case 0x61...0x7A: value = UInt32(byte - 0x61) + 26
        case 0x30...0x39: value = UInt32(byte - 0x30) + 52
        case UInt8(ascii: "+"), UInt8(ascii: "-"): value = 62
        case UInt8(ascii: "/"), UInt8(ascii: "_"): value = 63
        case UInt8(ascii: "="):
            padding += 1
            continue
        default: return nil
        }
        guard padding == 0 else { return nil }
        bits = bits << 6 | value
        count += 1
        if count % 4 == 0 {
            result.append(UInt8(truncatingIfNeeded: bits >> 16))
            result.append(UInt8(truncatingIfNeeded: bits >> 8))
            result.append(UInt8(truncatingIfNeeded: bits))
            bits = 0
        }
    }
    guard padding <= 2 else { return nil }
    switch count % 4 {
    case 0: break
    case 2: result.append(UInt8(truncatingIfNeeded: bits >> 4))
    case 3:
        result.append(UInt8(truncatingIfNeeded: bits >> 10))
        result.append(UInt8(truncatingIfNeeded: bits >> 2))
    default: return nil
    }
    return result
}
