import Testing

@testable import ParleyZstd

/// Small texts of one kind, made small.
struct ZstdTests {
    private static let dictionary = Array(
        (0..<40).flatMap { Array("\"number\":\($0),\"answer\":\"You can return it within thirty days\",".utf8) })

    private func zstd(_ dictionary: [UInt8] = dictionary) throws -> Zstd {
        try #require(Zstd(dictionary: dictionary, level: 3))
    }

    @Test(arguments: [0, 1, 100, 5000, 3_000_000]) func whatIsCompressedComesBack(size: Int) throws {
        let zstd = try zstd()
        let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* $0 / 7) }
        let small = try #require(zstd.compress(bytes))
        #expect(zstd.decompress(small, limit: size) == bytes)
        if size > 0 { #expect(zstd.decompress(small, limit: size - 1) == nil) }
    }

    @Test func theDictionaryMakesShortTextsSmaller() throws {
        let text = Array(#"{"number":7,"answer":"You can return it within thirty days"}"#.utf8)
        let (with, without) = (try zstd(), try zstd(Array("something else altogether".utf8)))
        let small = try #require(with.compress(text))
        let large = try #require(without.compress(text))
        #expect(small.count * 2 < large.count)
    }

    @Test func whatIsDamagedCutOrOfAnotherDictionaryIsNothing() throws {
        let zstd = try zstd()
        let small = try #require(zstd.compress(Array("You can return it within thirty days".utf8)))
        #expect(zstd.decompress(small.dropLast(), limit: 1000) == nil)
        #expect(zstd.decompress([], limit: 1000) == nil)
        #expect(zstd.decompress(Array("plain".utf8), limit: 1000) == nil)
        #expect(zstd.decompress([0x1F, 0x8B, 8, 0, 0, 0, 0, 0], limit: 1000) == nil)
        for place in small.indices {
            var damaged = small
            damaged[place] ^= 0xFF
            // Whatever comes of it, it is no crash, and no more than asked for.
            #expect(zstd.decompress(damaged, limit: 1000)?.count ?? 0 <= 1000)
        }
    }

    @Test func manyAtOnceDoNotDisturbEachOther() async throws {
        let zstd = try zstd()
        let all = await withTaskGroup(of: Bool.self) { group in
            for number in 0..<200 {
                group.addTask { @concurrent in
                    let bytes = Array(String(repeating: "text \(number) ", count: number).utf8)
                    return zstd.compress(bytes).flatMap { zstd.decompress($0, limit: 1 << 20) } == bytes
                }
            }
            return await group.allSatisfy { $0 }
        }
        #expect(all)
    }
}
