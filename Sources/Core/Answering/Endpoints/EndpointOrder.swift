import Glibc

/// In which order the endpoints of a model are asked for what begins alike: weighted rendezvous hashing.
///
/// The same in every worker, so that a server that remembers the beginnings of prompts meets them again; and when an endpoint
/// comes or goes, only what was its own changes place.
package enum EndpointOrder {
    /// - Parameters:
    ///   - key: what prompts that begin alike have in common.
    ///   - endpoints: names with weights above 0.
    /// - Returns: places in `endpoints`, the one to be asked first in front.
    package static func order(of endpoints: [(name: String, weight: Int)], for key: String) -> [Int] {
        let scores = endpoints.map { Double($0.weight) / -log(uniform(key, $0.name)) }
        return endpoints.indices.sorted { (scores[$0], $1) > (scores[$1], $0) }
    }

    /// Uniform in 0 ..< 1 without its ends, over all pairs of texts.
    private static func uniform(_ key: String, _ name: String) -> Double {
        // FNV-1a, whose upper bits SplitMix64's end mixes.
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in key.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        hash = (hash ^ 0xFF) &* 0x100_0000_01B3
        for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        hash = (hash ^ (hash >> 30)) &* 0xBF58_476D_1CE4_E5B9
        hash = (hash ^ (hash >> 27)) &* 0x94D0_49BB_1331_11EB
        hash ^= hash >> 31
        return (Double(hash >> 11) + 0.5) / Double(UInt64(1) << 53)
    }
}
