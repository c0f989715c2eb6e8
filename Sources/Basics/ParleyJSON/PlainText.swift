/// Finds the bytes that mean something in a JSON string, eight at a time (Warren, Hacker's Delight, §6-1).
enum PlainText {
    private static let ones: UInt64 = 0x0101_0101_0101_0101
    private static let highBits = ones << 7

    /// The first place from `start` on with a quotation mark, a backslash or a control character; `text.count` when there
    /// is none.
    ///
    /// - Parameter isASCII: stop at anything else than ASCII, too.
    static func end(in text: UnsafeBufferPointer<UInt8>, from start: Int, isASCII: Bool) -> Int {
        var at = start
        let others = isASCII ? highBits : 0
        let raw = UnsafeRawBufferPointer(text)
        while at + 8 <= text.count {
            let word = UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: at, as: UInt64.self))
            let found =
                below(0x20, word) | zero(word ^ ones &* UInt64(UInt8(ascii: "\"")))
                | zero(word ^ ones &* UInt64(UInt8(ascii: "\\"))) | word & others
            guard found == 0 else { return at + found.trailingZeroBitCount / 8 }
            at += 8
        }
        while at < text.count, !isSpecial(text[at], isASCII) { at += 1 }
        return at
    }

    private static func isSpecial(_ byte: UInt8, _ isASCII: Bool) -> Bool {
        byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") || isASCII && byte >= 0x80
    }

    /// The high bit of each byte that is below `limit`. What is borrowed can only mark bytes above one that is.
    @inline(__always)
    private static func below(_ limit: UInt64, _ word: UInt64) -> UInt64 { (word &- ones &* limit) & ~word & highBits }

    @inline(__always)
    private static func zero(_ word: UInt64) -> UInt64 { below(1, word) }
}
