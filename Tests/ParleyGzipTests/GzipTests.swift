import ParleyGzip
import TestSupport
import Testing

@Suite struct GzipTests {
    /// kombu labels it gzip.
    @Test func zlibIsUndoneToo() throws {
        let packed: [UInt8] = [
            120, 156, 171, 86, 42, 44, 77, 45, 170, 84, 178, 82, 42, 72, 76, 206, 78, 77, 81, 170, 5, 0, 60, 222, 6, 89,
        ]
        #expect(try gunzip(packed, limit: 100) == Array(#"{"query":"packed"}"#.utf8))
    }

    @Test(arguments: [0, 1, 1000, 65_536, 200_000])
    func whatIsCompressedComesBack(_ count: Int) throws {
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        #expect(try gunzip(gzipped(bytes), limit: count) == bytes)
    }

    @Test func aBombIsRefusedAtTheLimit() throws {
        let bomb = try gzipped([UInt8](repeating: 0, count: 50_000_000))
        #expect(bomb.count < 300_000)
        #expect(throws: GzipError.exceedsLimit) { try gunzip(bomb, limit: 1 << 20) }
    }

    @Test func severalMembersAreOneContent() throws {
        #expect(try gunzip(gzipped([1, 2]) + gzipped([3]), limit: 10) == [1, 2, 3])
    }

    @Test func damageIsAnErrorAndNeverATrap() throws {
        let good = try gzipped(Array("hello hello hello hello".utf8))
        #expect(throws: GzipError.malformed) { try gunzip([], limit: 10) }
        #expect(throws: GzipError.malformed) { try gunzip(Array("plain".utf8), limit: 10) }
        for length in 0..<good.count {
            #expect(throws: GzipError.malformed) { try gunzip(Array(good.prefix(length)), limit: 100) }
        }
        for index in good.indices {
            var damaged = good
            damaged[index] ^= 0x55
            _ = try? gunzip(damaged, limit: 100)
        }
    }
}
