import Glibc

/// Reads the text of a JSON number, already known to be well-formed.
enum JSONNumber {
    private static let powers: [Double] = (0...22).map { pow(10, Double($0)) }
    /// With one digit more a mantissa below this still fits.
    private static let most: UInt64 = 100_000_000_000_000_000

    static func double(_ text: ArraySlice<UInt8>) -> Double { text.withUnsafeBufferPointer { double($0) } }

    /// Exact for up to 18 digits and small exponents by the fast path of Clinger (How to Read Floating Point Numbers
    /// Accurately, 1990): a mantissa below 2^53 times or divided by a power of ten up to 10^22 rounds once. Everything
    /// else goes through the standard library.
    static func double(_ text: UnsafeBufferPointer<UInt8>) -> Double {
        var mantissa: UInt64 = 0
        var exponent = 0
        let isNegative = text.first == UInt8(ascii: "-")
        var at = isNegative ? 1 : 0
        var point = text.count
        scan: while at < text.count {
            switch text[at] {
            case let digit where digit &- UInt8(ascii: "0") <= 9:
                guard mantissa < most else { return slowDouble(text) }
                mantissa = mantissa * 10 + UInt64(digit - UInt8(ascii: "0"))
            case UInt8(ascii: "."): point = at
            default:
                exponent = Self.exponent(text[(at + 1)...])
                break scan
            }
            at += 1
        }
        if point < at { exponent -= at - point - 1 }
        guard mantissa < 1 << 53, (-22...22).contains(exponent) else { return slowDouble(text) }
        let value = Double(mantissa)
        let scaled = exponent < 0 ? value / powers[-exponent] : value * powers[exponent]
        return isNegative ? -scaled : scaled
    }

    /// What stands behind the `e`; far beyond a double's when it is long.
    private static func exponent(_ text: Slice<UnsafeBufferPointer<UInt8>>) -> Int {
        var value = 0
        for byte in text where byte &- UInt8(ascii: "0") <= 9 {
            value = min(value * 10 + Int(byte - UInt8(ascii: "0")), 100_000)
        }
        return text.first == UInt8(ascii: "-") ? -value : value
    }

    private static func slowDouble(_ text: UnsafeBufferPointer<UInt8>) -> Double {
        // Not strtod, which reads numbers as the process's locale writes them.
        Double(String(decoding: text, as: UTF8.self)) ?? .nan
    }

    /// The number when it is written as a plain integer that fits.
    static func integer(_ text: ArraySlice<UInt8>) -> Int? {
        guard !text.isEmpty, text.count <= 20 else { return nil }
        return Int(String(decoding: text, as: UTF8.self))
    }
}
