/// Finds where a JSON number ends (RFC 8259, section 6), digits eight at a time (Warren, Hacker's Delight, §6-1).
enum NumberText {
    private static let ones: UInt64 = 0x0101_0101_0101_0101

    /// Behind the number that begins at `start`, or where one of its digits is missing.
    static func end(in text: UnsafeBufferPointer<UInt8>, from start: Int) -> (Int, isNumber: Bool) {
        func byte(at place: Int) -> UInt8 { place < text.count ? text[place] : 0 }
        var digits = byte(at: start) == UInt8(ascii: "-") ? start + 1 : start
        // No digit follows a leading zero.
        var at = byte(at: digits) == UInt8(ascii: "0") ? digits + 1 : endOfDigits(in: text, from: digits)
        guard at > digits else { return (at, false) }
        if byte(at: at) == UInt8(ascii: ".") {
            digits = at + 1
            at = endOfDigits(in: text, from: digits)
            guard at > digits else { return (at, false) }
        }
        if byte(at: at) | 0x20 == UInt8(ascii: "e") {
            let sign = byte(at: at + 1)
            digits = sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") ? at + 2 : at + 1
            at = endOfDigits(in: text, from: digits)
            guard at > digits else { return (at, false) }
        }
        return (at, true)
    }

    private static func endOfDigits(in text: UnsafeBufferPointer<UInt8>, from start: Int) -> Int {
        var at = start
        let raw = UnsafeRawBufferPointer(text)
        while at + 8 <= text.count {
            let word = UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: at, as: UInt64.self))
            // A digit is now 0…9, and only what is more reaches the high bit. What is carried can only mark bytes above
            // one that is marked.
            let value = word ^ ones &* UInt64(UInt8(ascii: "0"))
            let others = (value &+ ones &* 0x76 | value) & ones << 7
            guard others == 0 else { return at + others.trailingZeroBitCount / 8 }
            at += 8
        }
        while at < text.count, text[at] &- UInt8(ascii: "0") <= 9 { at += 1 }
        return at
    }
}
