import Glibc

/// Which passages an answer names.
package enum Citations {
    /// The places that `text` refers to as `[n]` or `[n, m]`, from 1, each once, in order.
    ///
    /// - Parameter count: how many passages there are; other numbers refer to something else.
    package static func places(in text: String, of count: Int) -> [Int] {
        guard count > 0 else { return [] }
        var text = text
        return text.withUTF8 { text in
            var places: [Int] = []
            var at = 0
            // Most of an answer is outside of brackets.
            while let opening = opening(in: text, from: at) {
                let (numbers, end) = numbers(in: text, from: opening + 1)
                for number in numbers where (1...count).contains(number) && !places.contains(number) {
                    places.append(number)
                }
                at = end
            }
            return places.sorted()
        }
    }

    private static func opening(in text: UnsafeBufferPointer<UInt8>, from start: Int) -> Int? {
        guard start < text.count, let beginning = text.baseAddress,
            let found = memchr(beginning + start, Int32(UInt8(ascii: "[")), text.count - start)
        else { return nil }
        return UnsafeRawPointer(found) - UnsafeRawPointer(beginning)
    }

    /// - Parameter start: behind a bracket.
    /// - Returns: the numbers in it, none when there is anything else in it, and where to go on.
    private static func numbers(in text: UnsafeBufferPointer<UInt8>, from start: Int) -> ([Int], end: Int) {
        var numbers: [Int] = []
        var number: Int?
        var at = start
        while at < text.count {
            switch text[at] {
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                // Larger than any place there is.
                number = min(10_000, (number ?? 0) * 10 + Int(text[at] - UInt8(ascii: "0")))
            case UInt8(ascii: ","), UInt8(ascii: ";"), UInt8(ascii: " "), UInt8(ascii: "]"):
                if let number { numbers.append(number) }
                number = nil
                if text[at] == UInt8(ascii: "]") { return (numbers, at + 1) }
            default: return ([], at)
            }
            at += 1
        }
        return ([], at)
    }
}
