import Glibc

/// Reads the text of a JSON number, already known to be well-formed.
enum JSONNumber {
    private static let powers: [Double] = (0...22).map { pow(10, Double($0)) }

    /// Exact for up to 19 digits and small exponents by the fast path of Clinger (How to Read Floating Point Numbers
    /// Accurately, 1990): a mantissa below 2^53 times or divided by a power of ten up to 10^22 rounds once. Everything
    /// else goes through strtod.
    static func double(_ text: ArraySlice<UInt8>) -> Double {
        var mantissa: UInt64 = 0
        var digits = 0
        var exponent = 0
        var negative = false
        var at = text.startIndex
        if at < text.endIndex, text[at] == UInt8(ascii: "-") {
            negative = true
            at += 1
        }
        var fraction = false
        while at < text.endIndex {
            let byte = text[at]
            if byte == UInt8(ascii: ".") {
                fraction = true
            } else if byte &- UInt8(ascii: "0") <= 9 {
                if digits > 0 || byte != UInt8(ascii: "0") { digits += 1 }
                guard digits <= 18 else { return slowDouble(text) }
                mantissa = mantissa * 10 + UInt64(byte - UInt8(ascii: "0"))
                if fraction { exponent -= 1 }
            } else {
                var sign = 1
                var value = 0
                for byte in text[(at + 1)...] {
                    if byte == UInt8(ascii: "-") { sign = -1 }
                    if byte &- UInt8(ascii: "0") <= 9 {
                        value = min(value * 10 + Int(byte - UInt8(ascii: "0")), 100_000)
                    }
                }
                exponent += sign * value
                break
            }
            at += 1
        }
        guard mantissa < 1 << 53, (-22...22).contains(exponent) else { return slowDouble(text) }
        let value = Double(mantissa)
        let scaled = exponent < 0 ? value / powers[-exponent] : value * powers[exponent]
        return negative ? -scaled : scaled
    }

    private static func slowDouble(_ text: ArraySlice<UInt8>) -> Double {
        var terminated = text.map { CChar(bitPattern: $0) }
        terminated.append(0)
        return strtod(terminated, nil)
    }

    /// The number when it is written as a plain integer that fits.
    static func integer(_ text: ArraySlice<UInt8>) -> Int? {
        guard !text.isEmpty, text.count <= 20 else { return nil }
        return Int(String(decoding: text, as: UTF8.self))
    }
}
