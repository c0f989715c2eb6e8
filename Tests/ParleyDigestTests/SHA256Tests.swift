import Testing

@testable import ParleyDigest

struct SHA256Tests {
    // FIPS 180-4's examples, and nothing.
    @Test(arguments: [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
    ])
    func knownDigests(_ text: String, _ digest: String) {
        #expect(SHA256.hex(of: text.utf8) == digest)
    }

    @Test func piecesOfAnySizeMakeTheDigestOfTheWhole() throws {
        let whole = (0..<1000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        for size in [1, 3, 63, 64, 65, 999] {
            let digest = try #require(SHA256())
            for start in stride(from: 0, to: whole.count, by: size) {
                Array(whole[start..<min(start + size, whole.count)]).withUnsafeBytes { digest.update($0) }
            }
            #expect(digest.finish().hex == SHA256.hex(of: whole))
        }
    }
}
