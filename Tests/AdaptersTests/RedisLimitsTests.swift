import Adapters
import Answering
import Logging
import TestSupport
import Testing

/// Limits that workers share in Redis.
@Suite(.enabled(if: PrivateRedis.isAvailable, "redis-server is not installed"))
struct RedisLimitsTests {
    private func limits(_ worker: Ledger, _ name: String) -> RedisLimits {
        RedisLimits(redis: worker.client, keys: Ledger.keys, worker: name, logger: Logger(label: "test"))
    }

    private func take(
        _ limits: RedisLimits, _ buckets: [LimitBucket], _ call: String, tokens: Int = 1, life: Duration = .seconds(60)
    ) async -> (answer: LimitAnswer, workers: Int)? {
        await limits.take(buckets, tokens: tokens, call: call, life: life)
    }

    @Test func workersTakeFromTheSameBuckets() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["a", "b"]) { workers in
            let (a, b) = (limits(workers[0], "a"), limits(workers[1], "b"))
            let bucket = LimitBucket(.model, "m", RateLimits(requests: 3, tokens: 1000, concurrent: 2))
            #expect(await take(a, [bucket], "a1", tokens: 400)?.answer == .granted)
            let second = await take(b, [bucket], "b1", tokens: 400)
            #expect(second?.answer == .granted && second?.workers == 2)
            guard case .refused(let wait, _, 0, _)? = await take(a, [bucket], "a2")?.answer else {
                Issue.record("two calls are under way")
                return
            }
            #expect(wait == .milliseconds(100))
            await b.end([bucket], tokens: 600, call: "b1", wasMade: true)
            // 1,400 of 1,000 tokens were used.
            guard case .refused(let wait, _, 0, _)? = await take(a, [bucket], "a2", tokens: 100)?.answer else {
                Issue.record("no tokens are left")
                return
            }
            #expect((.seconds(25)...(.seconds(30))).contains(wait), "\(wait)")
            await a.end([bucket], tokens: -400, call: "a1", wasMade: false)
            #expect(await take(b, [bucket], "b2", tokens: 0)?.answer == .granted)
            #expect(await take(b, [bucket], "b3", tokens: 0)?.answer == .granted)
            guard case .refused(let wait, let interval, 0, _)? = await take(b, [bucket], "b4", tokens: 0)?.answer else {
                Issue.record("three were made")
                return
            }
            #expect(wait <= .seconds(20) && interval == .seconds(20))
        }
    }

    @Test func aLimitThatIsSetLaterOwesNothing() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["a"]) { workers in
            let limits = limits(workers[0], "a")
            let before = LimitBucket(.model, "m", RateLimits(concurrent: 100))
            for number in 0..<50 { _ = await take(limits, [before], "\(number)", tokens: 500) }
            let after = LimitBucket(.model, "m", RateLimits(requests: 60, tokens: 1000))
            guard case .refused(let wait, _, 0, _)? = await take(limits, [after], "first", tokens: 100)?.answer else {
                return
            }
            #expect(wait <= .seconds(6))
        }
    }

    @Test func aDeadWorkersCallsExpire() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["a"]) { workers in
            let limits = limits(workers[0], "a")
            let bucket = LimitBucket(.tenant, "shop eu", RateLimits(concurrent: 1))
            #expect(await take(limits, [bucket], "1", life: .milliseconds(50))?.answer == .granted)
            _ = try await eventually("the lease to expire") {
                await take(limits, [bucket], "2")?.answer == .granted ? true : nil
            }
            #expect(try await workers[0].redis("ZCARD", Ledger.keys.limit("tenant:shop eu:calls")).int == 1)
        }
    }

    @Test func aDeadWorkersCallsAreGivenUp() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["a", "b"]) { workers in
            let (a, b) = (limits(workers[0], "a"), limits(workers[1], "b"))
            let bucket = LimitBucket(.model, "m", RateLimits(concurrent: 1))
            #expect(await take(a, [bucket], "1")?.answer == .granted)
            #expect(await take(b, [bucket], "1")?.answer != .granted)
            try await workers[0].redis("DEL", Ledger.keys.worker("a"))
            #expect(await take(b, [bucket], "2")?.answer == .granted)
            #expect(try await workers[0].redis("ZCARD", Ledger.keys.limit("model:m:calls")).int == 1)
        }
    }

    @Test func allBucketsOrNone() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["a"]) { workers in
            let limits = limits(workers[0], "a")
            let wide = LimitBucket(.model, "m", RateLimits(requests: 2))
            let narrow = LimitBucket(.tenant, "t", RateLimits(requests: 1))
            #expect(await take(limits, [wide, narrow], "1")?.answer == .granted)
            guard case .refused(_, _, 1, _)? = await take(limits, [wide, narrow], "2")?.answer else {
                Issue.record("the tenant's is empty")
                return
            }
            #expect(await take(limits, [wide], "3")?.answer == .granted)
            #expect(await take(limits, [wide], "4")?.answer != .granted)
        }
    }

    @Test func garbageIsAFullBucket() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["a"]) { workers in
            let limits = limits(workers[0], "a")
            let bucket = LimitBucket(.model, "m", RateLimits(requests: 1))
            try await workers[0].redis("SET", Ledger.keys.limit("model:m"), "nan x -1")
            #expect(await take(limits, [bucket], "1")?.answer == .granted)
            try await workers[0].redis("DEL", Ledger.keys.limit("model:m"))
            try await workers[0].redis("LPUSH", Ledger.keys.limit("model:m"), "x")
            #expect(await take(limits, [bucket], "2") == nil)
        }
    }
}
