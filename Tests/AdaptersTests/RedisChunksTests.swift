import Adapters
import ChatJobs
import TestSupport
import Testing

/// Chunks of streamed answers in Redis.
@Suite(.enabled(if: PrivateRedis.isAvailable, "redis-server is not installed"))
struct RedisChunksTests {
    @Test func chunksAreKeptInTheirOrderForAWhile() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["a"]) { workers in
            let chunks = RedisChunks(redis: workers[0].client, keys: Ledger.keys, life: .seconds(60))
            let key = JobKey(try #require(JobID("x")))
            let all = (0..<3).map { Chunk(id: "x", seq: $0, delta: "piece \($0)", attempt: 2) }
            for chunk in all { await chunks.keep(chunk, of: key) }
            let entries = try await workers[0].redis("XRANGE", Ledger.keys.stream(key), "-", "+").array ?? []
            let kept = try entries.compactMap { $0.array?.last?.array?.last?.bytes }.map { try Chunk(decoding: $0) }
            #expect(kept == all)
            let left = try await workers[0].redis("PTTL", Ledger.keys.stream(key)).int ?? 0
            #expect((1...60_000).contains(left))
        }
    }

    @Test func whatCannotBeKeptIsNoError() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["a"]) { workers in
            let chunks = RedisChunks(redis: workers[0].client, keys: Ledger.keys, life: .seconds(60))
            let key = JobKey(try #require(JobID("x")))
            try await workers[0].redis("SET", Ledger.keys.stream(key), "no stream")
            await chunks.keep(Chunk(id: "x", seq: 0, delta: "piece"), of: key)
        }
    }
}
