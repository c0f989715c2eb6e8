/// Cuts English endings lightly, so that `returns`, `returned` and `returning` meet; wrong stems are harmless as long
/// as question and passage get the same one.
enum EnglishStem {
    /// The stem of a lower-case word, which may be changed.
    static func of(_ letters: inout [UInt32]) -> ArraySlice<UInt32> {
        let count = length(&letters)
        return letters.prefix(count)
    }

    private static func length(_ letters: inout [UInt32]) -> Int {
        var count = letters.count
        guard count > 3, letters.allSatisfy({ (0x61...0x7A).contains($0) }) else { return count }
        func ends(_ suffix: StaticString) -> Bool {
            let size = suffix.utf8CodeUnitCount
            guard count >= size else { return false }
            return (0..<size).allSatisfy { letters[count - size + $0] == UInt32(suffix.utf8Start[$0]) }
        }
        if count == 4 {
            if ends("s"), !ends("ss") { count -= 1 }
            return count
        }
        if ends("ies") {
            count -= 2
        } else if ends("ing"), count > 5 {
            count -= 3
        } else if ends("ed") || ends("es") {
            count -= 2
        } else if ends("s"), !ends("ss") {
            count -= 1
        }
        if count > 3, letters[count - 1] == letters[count - 2], !ends("l"), !ends("s"), !ends("z") { count -= 1 }
        if count > 3, ends("e") { count -= 1 }
        if count > 3, ends("y") { letters[count - 1] = UInt32(UInt8(ascii: "i")) }
        return count
    }
}
