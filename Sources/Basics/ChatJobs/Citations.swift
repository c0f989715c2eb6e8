/// Which passages an answer names.
package enum Citations {
    /// The places that `text` refers to as `[n]` or `[n, m]`, from 1, each once, in order.
    ///
    /// - Parameter count: how many passages there are; other numbers refer to something else.
    package static func places(in text: String, of count: Int) -> [Int] {
        guard count > 0 else { return [] }
        var places: Set<Int> = []
        var numbers: [Int]?
        var number: Int?
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "["):
                numbers = []
                number = nil
            case UInt8(ascii: "0")...UInt8(ascii: "9") where numbers != nil:
                // Larger than any place there is.
                number = min(10_000, (number ?? 0) * 10 + Int(byte - UInt8(ascii: "0")))
            case UInt8(ascii: ","), UInt8(ascii: ";"), UInt8(ascii: " "):
                if let number { numbers?.append(number) }
                number = nil
            case UInt8(ascii: "]"):
                if let number { numbers?.append(number) }
                places.formUnion((numbers ?? []).filter { (1...count).contains($0) })
                numbers = nil
                number = nil
            default:
                numbers = nil
                number = nil
            }
        }
        return places.sorted()
    }
}
