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

    /// Behind a number of the form that vectors mostly have, such as `-0.0123`, when a comma follows; nil for any other.
    @inline(__always)
    static func endOfFraction(in text: UnsafeBufferPointer<UInt8>, from start: Int) -> Int? {
        guard start + 32 <= text.count else { return nil }
        let raw = UnsafeRawBufferPointer(text)
        let digits = start + (text[start] == UInt8(ascii: "-") ? 3 : 2)
        let head = raw.loadUnaligned(fromByteOffset: digits - 2, as: UInt16.self)
        guard UInt16(littleEndian: head) == UInt16(UInt8(ascii: ".")) << 8 | UInt16(UInt8(ascii: "0")) else {
            return nil
        }
        var at = digits
        var others = nonDigits(raw, at)
        if others == 0 {
            at += 8
            others = nonDigits(raw, at)
            if others == 0 {
                at += 8
                others = nonDigits(raw, at)
            }
        }
        at += others.trailingZeroBitCount / 8
        return others != 0 && at > digits && text[at] == UInt8(ascii: ",") ? at : nil
    }

    /// Marks, in the high bit of its byte, the first of eight that is no digit; what is above it may be marked wrongly.
    @inline(__always)
    private static func nonDigits(_ raw: UnsafeRawBufferPointer, _ at: Int) -> UInt64 {
        let word = UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: at, as: UInt64.self))
        // A digit is now 0…9, and only what is more reaches the high bit. What is carried can only mark bytes above one
        // that is marked.
        let value = word ^ ones &* UInt64(UInt8(ascii: "0"))
        return (value &+ ones &* 0x76 | value) & ones << 7
    }

    private static func endOfDigits(in text: UnsafeBufferPointer<UInt8>, from start: Int) -> Int {
        var at = start
        let raw = UnsafeRawBufferPointer(text)
        while at + 8 <= text.count {
            let others = nonDigits(raw, at)
            guard others == 0 else { return at + others.trailingZeroBitCount / 8 }
            at += 8
        }
        while at < text.count, text[at] &- UInt8(ascii: "0") <= 9 { at += 1 }
        return at
    }
}
