import Adapters
import Answering
import ChatJobs
import TestSupport
import Testing

/// What becomes of kept answers in Redis.
@Suite(.enabled(if: PrivateRedis.isAvailable, "redis-server is not installed"))
struct RedisAnswersTests {
    private func answer(bytes: Int) -> KeptAnswer {
        let source = Source(
            id: "a.md#1", score: 0.5, title: "A \"title\"", text: String(repeating: "ab\n", count: bytes / 3))
        return KeptAnswer(
            Answer(
                text: "[1]", model: "m", usage: Usage(promptTokens: 1, completionTokens: 2), sources: [source]),
            made: Timestamp(milliseconds: 1), freshUntil: Timestamp(milliseconds: 2))
    }

    private func key(_ query: String) throws -> AnswerKey {
        let keys = AnswerKeys(scope: .tenant, worker: "w", retrieve: .never, topK: 1)
        return try #require(keys.key(of: Job(id: try jobID("a"), query: query), knowledge: nil))
    }

    @Test func aSmallOneIsPlainALargeOneCompressedAndBothAreRead() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["me"]) { workers in
            let answers = RedisAnswers(redis: workers[0].client, keys: Ledger.keys)
            let (small, large, none) = (try key("small"), try key("large"), try key("none"))
            await answers.keep(answer(bytes: 3000), as: small, for: .seconds(60))
            await answers.keep(answer(bytes: 300_000), as: large, for: .seconds(60))

            func size(_ key: AnswerKey) async throws -> Int {
                try await workers[0].redis("STRLEN", Ledger.keys.answer(key.text)).int ?? 0
            }
            #expect(try await size(small) > 3000)
            #expect(try await size(large) < 30_000)
            let found = await answers.answers(to: [small, large, none])
            #expect(found == [small: answer(bytes: 3000), large: answer(bytes: 300_000)])
        }
    }

    @Test(arguments: ["", "{", #"{"v":1}"#, "\u{1F}\u{8B}", "abc"]) func garbageIsAMiss(text: String) async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["me"]) { workers in
            let answers = RedisAnswers(redis: workers[0].client, keys: Ledger.keys)
            let key = try key("garbage")
            try await workers[0].redis("SET", Ledger.keys.answer(key.text), text)
            #expect(await answers.answers(to: [key]).isEmpty)
        }
    }
}
