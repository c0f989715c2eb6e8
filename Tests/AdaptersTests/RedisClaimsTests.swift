import Adapters
import Answering
import ChatJobs
import ParleyRedis
import Pipeline
import TestSupport
import Testing
import Topology

@Suite(.enabled(if: PrivateRedis.isAvailable, "redis-server is not installed"))
struct RedisClaimsTests {
    let keys = Ledger.keys

    @Test func aWindowIsToldJobByJobWhereItStands() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["me", "other"]) { workers in
            let (me, other) = (workers[0], workers[1])
            let ids = try ["fresh", "stored", "revoked", "both", "others"].map(jobID)
            _ = try await other.begin(ids[4])
            #expect(try await me.results.store(ids[1], reply(.failed), status: .failed) == nil)
            #expect(try await me.results.store(ids[3], reply(.succeeded), status: .succeeded) == nil)
            try await me.redis("SET", keys.revoked(ids[2]), "1")
            try await me.redis("SET", keys.revoked(ids[3]), "1")

            #expect(
                try await me.results.look(ids) == [
                    .free, .stored(reply(.failed)), .revoked, .stored(reply(.succeeded)), .free,
                ])
            #expect(try await me.claim(ids[0]) == nil, "looking claims nothing")
            #expect(
                try await me.results.begin(ids) == [
                    .claimed(starts: 1, losses: 0), .stored(reply(.failed)), .revoked, .stored(reply(.succeeded)),
                    .elsewhere,
                ])
            #expect(try await me.claim(ids[0]) == "me 1 0")
            #expect(try await me.claim(ids[2]) == nil)
            for id in [ids[1], ids[3]] { #expect(try await me.claim(id) == " 0 0", "nobody's, as they were") }
            #expect(try await me.claim(ids[4]) == "other 1 0")
            #expect(try await me.results.begin([]) == [])
            let twice = try jobID("twice")
            let fresh = ClaimState.claimed(starts: 1, losses: 0)
            #expect(try await me.results.begin([twice, twice]) == [fresh, fresh])
            let life = try #require(try await me.redis("PTTL", keys.claim(ids[0])).int)
            #expect((3_500_000...3_600_000).contains(life))
        }
    }

    @Test func aWorkersOwnClaimIsItsOwnStill() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["me"]) { workers in
            let id = try jobID("a")
            #expect(try await workers[0].begin(id) == .claimed(starts: 1, losses: 0))
            #expect(try await workers[0].begin(id) == .claimed(starts: 1, losses: 0))
            #expect(try await workers[0].claim(id) == "me 1 0")
        }
    }

    @Test func aDeadWorkersClaimIsTakenOverAndCountsALoss() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["first", "second", "third"]) { workers in
            let id = try jobID("a")
            #expect(try await workers[0].begin(id) == .claimed(starts: 1, losses: 0))
            #expect(try await workers[1].begin(id) == .elsewhere)
            try await workers[0].redis("DEL", keys.worker("first"))
            #expect(try await workers[1].begin(id) == .claimed(starts: 2, losses: 1))
            #expect(try await workers[2].begin(id) == .elsewhere)
            try await workers[0].redis("DEL", keys.worker("second"))
            #expect(try await workers[2].begin(id) == .claimed(starts: 3, losses: 2))
            #expect(try await workers[2].claim(id) == "third 3 2")
            // The first was only thought dead: what it gives up now is no longer its own.
            try await workers[0].results.release(id, keepingStarts: nil)
            #expect(try await workers[2].claim(id) == "third 3 2")
        }
    }

    @Test func aWorkerThatLeftInGoodOrderIsNoLoss() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["first", "second"]) { workers in
            let id = try jobID("a")
            _ = try await workers[0].begin(id)
            await workers[0].results.farewell()
            #expect(try await workers[1].begin(id) == .claimed(starts: 2, losses: 0))
        }
    }

    @Test func aWorkerLivesFromItsFirstClaimOnAndUntilItsKeyExpires() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["me"], immortal: false) { workers in
            _ = try await workers[0].begin(jobID("a"))
            // Once more where the machine is so slow that it has expired meanwhile.
            try await waitUntil("the worker has a sign of life") {
                _ = try await workers[0].begin(jobID("a"))
                let life = try await workers[0].redis("PTTL", keys.worker("me")).int ?? 0
                #expect(life == -2 || (0...5_000).contains(life))
                return try await workers[0].redis("GET", keys.worker("me")).string == "{}"
            }
            // What the worker shows of itself stays.
            _ = try await workers[0].results.pulse(Array(#"{"pid":1}"#.utf8))
            _ = try await workers[0].begin(jobID("b"))
            #expect(try await workers[0].redis("GET", keys.worker("me")).string == #"{"pid":1}"#)
        }
    }

    @Test func aClaimGivenUpKeepsItsCountsOrNone() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["me", "other"]) { workers in
            let (me, other) = (workers[0], workers[1])
            let id = try jobID("a")
            try await me.claim(id, "dead 4 2")
            #expect(try await me.begin(id) == .claimed(starts: 5, losses: 3))
            try await other.results.release(id, keepingStarts: 0)
            #expect(try await me.claim(id) == "me 5 3")
            try await me.results.release(id, keepingStarts: 4)
            #expect(try await me.claim(id) == " 4 3")
            #expect(try #require(try await me.redis("PTTL", keys.claim(id)).int) > 3_500_000)
            try await me.results.release(id, keepingStarts: nil)
            #expect(try await me.claim(id) == " 4 3", "it was nobody's to give up")
            #expect(try await other.begin(id) == .claimed(starts: 5, losses: 3))
            try await other.results.release(id, keepingStarts: nil)
            #expect(try await other.claim(id) == " 0 3", "losses are remembered until the job ends")
            #expect(try await me.begin(id) == .claimed(starts: 1, losses: 3))
            let another = try jobID("b")
            #expect(try await me.begin(another) == .claimed(starts: 1, losses: 0))
            try await me.results.release(another, keepingStarts: nil)
            #expect(try await me.claim(another) == " 0 0", "whose the id is stays known")
        }
    }

    @Test func ofWorkersThatRaceExactlyOneGetsEachJob() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["w0", "w1", "w2", "w3"]) { workers in
            let ids = try (0..<600).map { try jobID("job-\($0)") }
            let standings = try await withThrowingTaskGroup(of: [(Int, ClaimState)].self) { group in
                for (number, worker) in workers.enumerated() {
                    for window in stride(from: 0, to: ids.count, by: 20) {
                        let start = number.isMultiple(of: 2) ? window : ids.count - 20 - window
                        group.addTask {
                            Array(zip(start..., try await worker.results.begin(Array(ids[start..<start + 20]))))
                        }
                    }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            #expect(standings.count == 2400)
            for job in ids.indices {
                let told = standings.filter { $0.0 == job }.map(\.1)
                #expect(told.count { $0 == .claimed(starts: 1, losses: 0) } == 1)
                #expect(told.count { $0 == .elsewhere } == 3)
            }
        }
    }

    @Test func aDeadWorkersJobsAreSharedOutOnceWhenSeveralTakeOver() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["dead", "w1", "w2"]) { workers in
            let ids = try (0..<1_100).map { try jobID("job-\($0)") }
            let first = try await workers[0].results.begin(ids)
            #expect(first == Array(repeating: .claimed(starts: 1, losses: 0), count: ids.count))
            try await workers[0].redis("DEL", keys.worker("dead"))
            async let one = workers[1].results.begin(ids)
            async let two = workers[2].results.begin(ids)
            for pair in zip(try await one, try await two) {
                let both = [pair.0, pair.1]
                #expect(both.contains(.claimed(starts: 2, losses: 1)) && both.contains(.elsewhere))
            }
        }
    }

    @Test(arguments: [
        "", "me", "me 1", "me 1 0 0", "me x 0", "me -1 0", "me 1.5 0", "dead 99999999999999999999 0", "\u{0}\u{1}",
        "dead 1 0\n",
    ])
    func aClaimThatCannotBeReadIsNobodys(garbage: String) async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["me"]) { workers in
            let id = try jobID("a")
            try await workers[0].redis("SET", keys.claim(id), garbage)
            try await workers[0].results.release(id, keepingStarts: nil)
            #expect(try await workers[0].begin(id) == .claimed(starts: 1, losses: 0))
            #expect(try await workers[0].claim(id) == "me 1 0")
        }
    }

    @Test func keysOfAnotherTypeAreAsGoodAsAbsent() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["me"]) { workers in
            let (me, id) = (workers[0], try jobID("a"))
            for key in [keys.claim(id), keys.result(id), keys.revoked(id)] { try await me.redis("RPUSH", key, "x") }
            try await me.results.release(id, keepingStarts: nil)
            #expect(try await me.begin(id) == .claimed(starts: 1, losses: 0))
            #expect(try await me.results.revoked(among: [id]) == [])
            #expect(try await me.results.store(id, reply(.succeeded), status: .succeeded) == nil)
            #expect(try await me.begin(id) == .stored(reply(.succeeded)))
        }
    }

    @Test func aJobBegunAnewPassesOverWhatDidNotSucceed() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["me"]) { workers in
            let results = workers[0].results
            let ids = try ["failed", "succeeded", "no-json", "absent", "revoked"].map(jobID)
            _ = try await results.store(ids[0], reply(.failed), status: .failed)
            _ = try await results.store(ids[1], reply(.succeeded), status: .succeeded)
            _ = try await results.store(ids[2], Array("{".utf8), status: .failed)
            _ = try await results.store(ids[4], reply(.failed), status: .failed)
            try await workers[0].redis("SET", keys.revoked(ids[4]), "1")
            let fresh = ClaimState.claimed(starts: 1, losses: 0)
            #expect(
                try await results.begin(ids, anew: true) == [fresh, .stored(reply(.succeeded)), fresh, fresh, .revoked])
        }
    }

    @Test func revokedJobsAreFoundAmongThousands() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["me"]) { workers in
            let ids = try (0..<1_500).map { try jobID("job-\($0)") }
            for index in [3, 511, 512, 1_499] { try await workers[0].redis("SET", keys.revoked(ids[index]), "") }
            let found = try await workers[0].results.revoked(among: ids)
            #expect(found == [ids[3], ids[511], ids[512], ids[1_499]])
            #expect(try await workers[0].results.revoked(among: [JobID]()) == [])
        }
    }

    @Test func aLedgerLostWithItsServerBeginsAgain() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["me", "other"]) { workers in
            let (me, id) = (workers[0], try jobID("a"))
            _ = try await me.begin(id)
            try await server.stop()
            let away = await #expect(throws: Outage.self) { try await me.results.begin([id]) }
            #expect(away?.dependency == .redis)
            #expect(away?.reason.contains("claiming jobs") == true)
            try await server.start()
            await me.results.untilAvailable()
            await workers[1].results.untilAvailable()
            // The scripts are gone as well; and so is the claim, which now goes to whoever asks first.
            #expect(try await workers[1].begin(id) == .claimed(starts: 1, losses: 0))
            #expect(try await me.begin(id) == .elsewhere)
            try await me.results.release(id, keepingStarts: nil)
            #expect(try await workers[1].claim(id) == "other 1 0")
            #expect(try await me.results.pulse([]) == 0)
        }
    }
}
