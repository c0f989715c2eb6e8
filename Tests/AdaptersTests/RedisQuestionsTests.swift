import Adapters
import ChatJobs
import TestSupport
import Testing

/// Counting what is asked, in a sorted set that does not grow.
@Suite(.enabled(if: PrivateRedis.isAvailable, "redis-server is not installed"))
struct RedisQuestionsTests {
    private func question(_ text: String, user: String? = nil) throws -> RecordedQuestion {
        var job = Job(id: try jobID("a"), query: text)
        job.userID = user
        job.metadata = Array(#"{"secret":1}"#.utf8)
        return try #require(RecordedQuestion(job, perUser: false))
    }

    private var day: String { String(SystemClock().wall.rfc3339.prefix(10)) }

    private func counts(_ ledger: Ledger) async throws -> [String] {
        try await ledger.redis("ZRANGE", Ledger.keys.questions(day), "0", "-1", "WITHSCORES").array?.compactMap(
            \.string)
            ?? []
    }

    @Test func equalQuestionsAreCountedWhoeverAsksThem() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["me"]) { workers in
            let log = RedisQuestions(redis: workers[0].client, keys: Ledger.keys)
            await log.record([try question("often", user: "u"), try question("once"), try question("often")])
            #expect(try await counts(workers[0]) == [#"{"query":"once"}"#, "1", #"{"query":"often"}"#, "2"])
            #expect(try await workers[0].redis("HLEN", Ledger.keys.askers(day)).int == 1)
            for key in [Ledger.keys.questions(day), Ledger.keys.askers(day)] {
                #expect(try await workers[0].redis("TTL", key).int ?? 0 > 7 * 86_400)
            }
        }
    }

    @Test func whatIsAskedOftenStaysHoweverManyAreAskedOnce() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["me"]) { workers in
            let log = RedisQuestions(redis: workers[0].client, keys: Ledger.keys, places: 10)
            for number in 0..<50 {
                await log.record([try question("often"), try question("once \(number)")])
            }
            let counts = try await counts(workers[0])
            #expect(counts.count == 20)
            #expect(counts.contains(#"{"query":"often"}"#))
            #expect(counts.contains("50"))
        }
    }

    @Test func whatCouldNotBeForgottenIsNotRecorded() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["me"]) { workers in
            let log = RedisQuestions(redis: workers[0].client, keys: Ledger.keys, askers: 1)
            await log.record([try question("a", user: "u"), try question("b", user: "u"), try question("c")])
            #expect(try await counts(workers[0]) == [#"{"query":"a"}"#, "1", #"{"query":"c"}"#, "1"])
        }
    }
}
