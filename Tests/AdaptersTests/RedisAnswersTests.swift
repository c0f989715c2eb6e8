import Adapters
import Answering
import ChatJobs
import ParleyRedis
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

    private func key(_ number: UInt8) -> AnswerKey { AnswerKey([UInt8](repeating: number, count: 16), owner: "shop:") }

    private func answers(_ worker: Ledger, _ name: String) -> RedisAnswers {
        RedisAnswers(redis: worker.client, keys: Ledger.keys, worker: name)
    }

    @Test func answersAreKeptSmallAndRead() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["me"]) { workers in
            let answers = answers(workers[0], "me")
            for (number, bytes) in [(1, 3000), (2, 300_000)] as [(UInt8, Int)] {
                await answers.keep(answer(bytes: bytes), as: key(number), for: .seconds(60))
                let size = try await workers[0].redis("STRLEN", Ledger.keys.answer(key(number).text)).int ?? .max
                #expect(size * 10 < bytes * 4, "at least 60 % smaller")
            }
            let found = await answers.look(for: [key(1), key(2), key(3)], stale: .zero)
            #expect(found[key(1)]?.kept == answer(bytes: 3000) && found[key(1)]?.maker == .nobody)
            #expect(found[key(2)]?.kept == answer(bytes: 300_000))
            #expect(found[key(3)]?.kept == nil && found[key(3)]?.maker == .thisWorker)
        }
    }

    @Test(arguments: ["", "{", #"{"v":1}"#, "\u{1F}\u{8B}", "abc"]) func garbageIsAMiss(text: String) async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["me"]) { workers in
            try await workers[0].redis("SET", Ledger.keys.answer(key(1).text), text)
            let found = await answers(workers[0], "me").look(for: [key(1)], stale: .zero)
            #expect(found[key(1)]?.kept == nil && found[key(1)]?.maker == .thisWorker)
        }
    }

    @Test func oneWorkerMakesAnAnswerAnewThatIsStillFresh() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["one", "two"]) { workers in
            let (one, two) = (answers(workers[0], "one"), answers(workers[1], "two"))
            await one.keep(answer(bytes: 30), as: key(1), for: .seconds(60))
            guard case .thisWorker = await one.renew(key(1), left: .seconds(60)) else {
                Issue.record("nobody makes it")
                return
            }
            guard case .another = await two.renew(key(1), left: .seconds(60)) else {
                Issue.record("the other makes it")
                return
            }
            // Others are given the old one meanwhile.
            #expect(await two.look(for: [key(1)], stale: .zero)[key(1)]?.maker == .nobody)
            await one.keep(answer(bytes: 60), as: key(1), for: .seconds(120))
            guard case .nobody(let newer) = await two.renew(key(1), left: .seconds(60)) else {
                Issue.record("it was made")
                return
            }
            #expect(newer == answer(bytes: 60))
            guard case .thisWorker = await two.renew(key(1), left: .seconds(120)) else {
                Issue.record("its maker did not give it up")
                return
            }
        }
    }

    @Test func oneWorkerMakesAnAnswerUntilItIsKeptOrGivenUp() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["one", "two"]) { workers in
            let (one, two) = (answers(workers[0], "one"), answers(workers[1], "two"))
            func maker(_ answers: RedisAnswers) async throws -> AnswerStanding.Maker? {
                let maker = await answers.look(for: [key(1)], stale: .zero)[key(1)]?.maker
                // However slow the machine.
                for worker in ["one", "two"] { try await workers[0].redis("PERSIST", Ledger.keys.makerLives(worker)) }
                return maker
            }
            let seen1 = try await maker(one)
            #expect(seen1 == .thisWorker)
            let seen2 = try await maker(two)
            #expect(seen2 == .another)
            let seen3 = try await maker(one)
            #expect(seen3 == .thisWorker)
            await two.giveUp([key(1)])
            let seen4 = try await maker(two)
            #expect(seen4 == .another, "it is not the other's to give up")
            await one.giveUp([key(1)])
            let seen5 = try await maker(two)
            #expect(seen5 == .thisWorker)
            await two.keep(answer(bytes: 30), as: key(1), for: .seconds(60))
            let seen6 = try await maker(one)
            #expect(seen6 == .nobody)
            let left = try await workers[0].redis("EXISTS", Ledger.keys.maker(key(1).text)).int
            #expect(left == 0)
        }
    }

    @Test func whoGivesNoSignOfLifeIsReplaced() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["one", "two"]) { workers in
            let (one, two) = (answers(workers[0], "one"), answers(workers[1], "two"))
            _ = await one.look(for: [key(1)], stale: .zero)
            try await workers[0].redis("PERSIST", Ledger.keys.makerLives("one"))
            #expect(await two.look(for: [key(1)], stale: .zero)[key(1)]?.maker == .another)
            await one.farewell()
            #expect(await two.look(for: [key(1)], stale: .zero)[key(1)]?.maker == .thisWorker)
        }
    }

    @Test func whatAMakerSaysIsHeardByThoseWhoWantIt() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["one", "two"]) { workers in
            let (one, two) = (answers(workers[0], "one"), answers(workers[1], "two"))
            func hear(_ heard: HeardPieces) async -> SaidPieces? {
                await two.look(for: [key(2), key(1)], stale: .zero, heard: [key(1): heard])[key(1)]?.pieces
            }
            _ = await one.look(for: [key(1)], stale: .zero)
            try await workers[0].redis("PERSIST", Ledger.keys.makerLives("one"))
            #expect(await two.look(for: [key(1)], stale: .zero)[key(1)]?.pieces == nil)
            #expect(await one.followed(among: [key(1)]) == [], "nobody wants pieces")
            #expect(await hear(HeardPieces()) == nil)
            #expect(await one.followed(among: [key(1), key(3)]) == [key(1)])

            #expect(await one.say(SaidPieces(call: 7, text: "Zurück "), as: key(1), isFirst: true))
            #expect(await hear(HeardPieces()) == SaidPieces(call: 7, text: "Zurück "))
            #expect(await one.say(SaidPieces(call: 7, text: "退货"), as: key(1), isFirst: false))
            #expect(await hear(HeardPieces(call: 7, bytes: 8)) == SaidPieces(call: 7, text: "退货"))
            #expect(await hear(HeardPieces(call: 7, bytes: 14)) == nil)
            #expect(await hear(HeardPieces(call: 6, bytes: 14))?.text == "Zurück 退货", "of another call")
            for key in [Ledger.keys.pieces(key(1).text), Ledger.keys.wanted(of: "one")] {
                #expect(try await workers[0].redis("PTTL", key).int ?? -1 > 0, "\(key)")
            }
            try await workers[0].redis("APPEND", Ledger.keys.pieces(key(1).text), "!")
            // As if half a character had been written.
            let half = RedisCommand(arguments: [
                Array("APPEND".utf8), Array(Ledger.keys.pieces(key(1).text).utf8), [0xE9, 0x80],
            ])
            _ = try await workers[0].client.send(half)
            #expect(await hear(HeardPieces(call: 7, bytes: 14)) == SaidPieces(call: 7, text: "!"))
            await one.hush(key(1))
            #expect(await !one.say(SaidPieces(call: 7, text: "more"), as: key(1), isFirst: false), "it is gone")
            #expect(try await workers[0].redis("EXISTS", Ledger.keys.pieces(key(1).text)).int == 0)
        }
    }

    @Test func whatIsLeftOfADeadMakersIsNotTheNextOnes() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["one", "two", "three"]) { workers in
            let all = zip(workers, ["one", "two", "three"]).map { answers($0, $1) }
            _ = await all[0].look(for: [key(1)], stale: .zero)
            #expect(await all[0].say(SaidPieces(call: 1, text: "old"), as: key(1), isFirst: true))
            await all[0].farewell()
            #expect(await all[1].look(for: [key(1)], stale: .zero)[key(1)]?.maker == .thisWorker)
            try await workers[0].redis("PERSIST", Ledger.keys.makerLives("two"))
            let standing = await all[2].look(for: [key(1)], stale: .zero, heard: [key(1): HeardPieces()])[key(1)]
            #expect(standing?.maker == .another && standing?.pieces == nil)
            #expect(await !all[0].say(SaidPieces(call: 1, text: "er"), as: key(1), isFirst: false))
            #expect(await !all[0].say(SaidPieces(call: 1, text: "older"), as: key(1), isFirst: true))
            #expect(await all[1].say(SaidPieces(call: 1, text: "new"), as: key(1), isFirst: true))
            let heard = await all[2].look(for: [key(1)], stale: .zero, heard: [key(1): HeardPieces()])
            #expect(heard[key(1)]?.pieces == SaidPieces(call: 1, text: "new"))
        }
    }

    @Test func anAnswerThatOnlyStandsInIsMadeAnewByOne() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["one", "two"]) { workers in
            let (one, two) = (answers(workers[0], "one"), answers(workers[1], "two"))
            await one.keep(answer(bytes: 30), as: key(1), for: .seconds(60))
            let first = await one.look(for: [key(1)], stale: .seconds(120))[key(1)]
            try await workers[0].redis("PERSIST", Ledger.keys.makerLives("one"))
            let second = await two.look(for: [key(1)], stale: .seconds(120))[key(1)]
            #expect(first?.maker == .thisWorker && second?.maker == .another)
            #expect(first?.kept != nil && second?.kept != nil)
        }
    }
}
