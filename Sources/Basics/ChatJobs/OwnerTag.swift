/// What is kept of a tenant's or a user's name beside a job's result, so that it can be found when they are to be forgotten:
/// 16 hexadecimal digits, zeros for nobody. It tells a name that is known from others; the name cannot be read from it.
package enum OwnerTag {
    package static func text(of name: String?) -> String {
        guard let name, !name.isEmpty else { return "0000000000000000" }
        // FNV-1a; its upper bits are mixed as SplitMix64 does.
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        hash = (hash ^ (hash >> 30)) &* 0xBF58_476D_1CE4_E5B9
        hash = (hash ^ (hash >> 27)) &* 0x94D0_49BB_1331_11EB
        hash ^= hash >> 31
        let digits = String(max(1, hash), radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
