import Synchronization

/// Numbers that spread things evenly, for one addition each and no system call: SplitMix64 (Steele, Lea and Flood, Fast
/// Splittable Pseudorandom Number Generators, OOPSLA 2014), seeded by the system. For nothing that must not be guessed.
final class Spread: Sendable {
    private let state = Atomic<UInt64>(.random(in: 0...UInt64.max))

    /// Uniform in −1 ..< 1.
    func next() -> Double {
        var bits = state.wrappingAdd(0x9E37_79B9_7F4A_7C15, ordering: .relaxed).newValue
        bits = (bits ^ bits >> 30) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ bits >> 27) &* 0x94D0_49BB_1331_11EB
        bits ^= bits >> 31
        // The 53 high bits are the fraction of a double in 0 ..< 1.
        return Double(bits >> 11) * 0x1p-52 - 1
    }
}
