import Adapters
import Answering
import ChatJobs
import ParleyRedis
import Pipeline
import TestSupport
import Testing
import Topology

/// How a claim is renewed and ended, and by whom.
@Suite(.enabled(if: PrivateRedis.isAvailable, "redis-server is not installed"))
struct RedisClaimLifeTests {
    let keys = Ledger.keys

    @Test func aResultOfAWorkerThoughtDeadLeavesTheClaimOfWhoeverTookOver() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["slow", "heir"]) { workers in
            let (slow, heir, id) = (workers[0], workers[1], try jobID("a"))
            _ = try await slow.begin(id)
            try await slow.redis("DEL", keys.worker("slow"))
            #expect(try await heir.begin(id) == .claimed(starts: 2, losses: 1))
            #expect(try await slow.results.store(id, reply(.failed), status: .failed) == nil)
            #expect(try await heir.claim(id) == "heir 2 1")
            #expect(try await heir.results.store(id, reply(.succeeded), status: .succeeded) == nil)
            #expect(try await heir.claim(id) == " 0 0", "its own ends, also where a failure was replaced")
        }
    }

    @Test func onlyAClaimOfThisWorkerEndsWithTheResult() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["me"]) { workers in
            let (me, list, others) = (workers[0], try jobID("list"), try ["nobodys", "begins-alike"].map(jobID))
            try await me.redis("RPUSH", keys.claim(list), "me 1 0")
            for (id, text) in zip(others, [" 2 1", "me2 1 0"]) { try await me.claim(id, text) }
            for id in others + [list] {
                #expect(try await me.results.store(id, reply(.succeeded), status: .succeeded) == nil)
                #expect(try await me.redis("EXISTS", keys.claim(id)) == .integer(1), "\(id.text)")
            }
        }
    }

    @Test func anIDStaysBoundForAsLongAsItsResultIsThere() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["me", "heir"]) { workers in
            let (me, heir, id, other) = (workers[0], workers[1], try jobID("a"), try jobID("b"))
            func expectBound(_ id: JobID, _ when: String) async throws {
                let result = try #require(try await me.redis("PTTL", keys.result(id)).int)
                let claim = try #require(try await me.redis("PTTL", keys.claim(id)).int)
                #expect(result > 0 && claim > result, "\(when): \(claim) and \(result)")
            }
            #expect(try await me.results.store(id, reply(.succeeded), status: .succeeded) == nil)
            try await expectBound(id, "stored")
            // A longer life than the next worker would give it.
            for key in [keys.result(id), keys.claim(id)] { try await me.redis("PEXPIRE", key, "7200000") }
            try await me.redis("PEXPIRE", keys.claim(id), "7300000")
            #expect(try await heir.results.store(id, reply(.failed), status: .failed) == reply(.succeeded))
            try await expectBound(id, "stored again")

            // Taken over by another worker, which is still at work when the first one stores, and never ends.
            _ = try await me.begin(other)
            try await me.redis("DEL", keys.worker("me"))
            _ = try await heir.begin(other)
            let text = String(decoding: reply(.succeeded), as: UTF8.self)
            try await me.redis("SET", keys.result(other), text, "PX", "7200000")
            #expect(try await me.results.store(other, reply(.succeeded), status: .succeeded) == reply(.succeeded))
            try await expectBound(other, "while another has the claim")
            try await heir.results.renew([other])
            try await expectBound(other, "renewed")
            try await heir.results.release(other, keepingStarts: 1)
            try await expectBound(other, "given up")
        }
    }

    @Test func aClaimStaysWhileItsResultCannotBeStored() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["me"]) { workers in
            let (me, id) = (workers[0], try jobID("a"))
            _ = try await me.begin(id)
            try await me.redis("CONFIG", "SET", "maxmemory", "1")
            let full = await #expect(throws: Outage.self) {
                try await me.results.store(id, reply(.succeeded), status: .succeeded)
            }
            #expect(full?.reason.contains("OOM") == true)
            #expect(try await me.claim(id) == "me 1 0")
        }
    }

    @Test func renewedAreThisWorkersClaimsAndNoOthers() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["me", "other"]) { workers in
            let (me, other) = (workers[0], workers[1])
            let mine = try (0..<1_100).map { try jobID("mine-\($0)") }
            let (others, released, list) = try (jobID("others"), jobID("released"), jobID("list"))
            _ = try await me.results.begin(mine + [released])
            _ = try await other.begin(others)
            try await me.results.release(released, keepingStarts: 1)
            try await me.redis("RPUSH", keys.claim(list), "me 1 0")
            let rest = [others, released, list]
            for id in mine + rest { try await me.redis("PEXPIRE", keys.claim(id), "100000") }

            try await me.results.renew(rest + mine + [jobID("absent")])
            let hour = 3_500_000...Int(RedisResults.claimLife / .milliseconds(1))
            for id in mine { #expect(hour.contains(try await me.redis("PTTL", keys.claim(id)).int ?? -1)) }
            for id in rest { #expect(try #require(try await me.redis("PTTL", keys.claim(id)).int) <= 100_000) }
            #expect(try await me.claim(mine[0]) == "me 1 0", "its counts are as they were")
            #expect(try await me.claim(jobID("absent")) == nil)
            try await me.results.renew([JobID]())
        }
    }

    @Test func aGroupsCrashIsNoLossButItsMembersMustBeAloneNextTime() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["first", "second", "third"]) { workers in
            let (first, second, third, id) = (workers[0], workers[1], workers[2], try jobID("a"))
            try await first.claim(id, " 2 2")
            #expect(try await first.begin(inGroup: id) == .claimed(starts: 3, losses: 2))
            #expect(try await first.claim(id) == "first 3 2 g")
            #expect(try await second.begin(inGroup: id) == .elsewhere)
            try await first.redis("DEL", keys.worker("first"))
            #expect(try await second.begin(inGroup: id) == .claimed(starts: 4, losses: 2, mustBeAlone: true))
            #expect(try await second.claim(id) == "second 4 2 a")
            #expect(try await second.begin(id) == .claimed(starts: 4, losses: 2, mustBeAlone: true), "its own still")

            // Given up, renewed and claimed again, it is remembered.
            try await second.results.renew([id])
            try await second.results.release(id, keepingStarts: 3)
            #expect(try await second.claim(id) == " 3 2 a")
            #expect(try await second.begin(id) == .claimed(starts: 4, losses: 2, mustBeAlone: true))
            try await second.redis("DEL", keys.worker("second"))
            #expect(try await third.begin(id) == .claimed(starts: 5, losses: 3, mustBeAlone: true), "now it counts")
            #expect(try await third.results.store(id, reply(.failed), status: .failed) == nil)
            #expect(try await third.claim(id) == " 0 0")
        }
    }

    @Test func aJobThatMustBeAloneKeepsThatWithoutAnyCounts() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["dead", "me"]) { workers in
            let (me, id) = (workers[1], try jobID("a"))
            try await me.claim(id, "dead 1 0 g")
            try await me.redis("DEL", keys.worker("dead"))
            #expect(try await me.begin(id) == .claimed(starts: 2, losses: 0, mustBeAlone: true))
            try await me.results.release(id, keepingStarts: nil)
            #expect(try await me.claim(id) == " 0 0 a")
            #expect(try await me.begin(id) == .claimed(starts: 1, losses: 0, mustBeAlone: true))
        }
    }

    @Test func aGroupThatNobodyDiedOfLeavesNoMark() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["first", "second"]) { workers in
            let (first, second) = (workers[0], workers[1])
            let (released, left, regrouped) = try (jobID("released"), jobID("left"), jobID("regrouped"))
            for id in [released, left] { _ = try await first.begin(inGroup: id) }
            #expect(try await first.claim(released) == "first 1 0 g")
            try await first.results.release(released, keepingStarts: 0)
            #expect(try await first.claim(released) == " 0 0", "whose the id is stays known")

            // One's own claim is in the group that it was last asked for.
            _ = try await first.begin(regrouped)
            #expect(try await first.begin(inGroup: regrouped) == .claimed(starts: 1, losses: 0))
            #expect(try await first.claim(regrouped) == "first 1 0 g")
            _ = try await first.begin(regrouped)
            #expect(try await first.claim(regrouped) == "first 1 0")

            await first.results.farewell()
            #expect(try await second.begin(left) == .claimed(starts: 2, losses: 0))
            #expect(try await second.claim(left) == "second 2 0")
        }
    }

    @Test func aSuspectThatWaitsForItsTrialIsNotBlamedForItsWorkersDeath() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["first", "second", "third"]) { workers in
            let (first, second, third) = (workers[0], workers[1], workers[2])
            func look(_ worker: Ledger, _ id: JobID) async throws -> ClaimState? {
                try await worker.results.begin([JobIdentity(id)], anew: false, for: .work(suspectsFrom: 2)).first
            }
            let (suspect, lonely, other) = (try jobID("suspect"), try jobID("lonely"), try jobID("other"))
            try await first.claim(suspect, " 2 2")
            try await first.claim(lonely, " 2 2 a")
            try await first.claim(other, " 2 1")
            #expect(try await look(first, suspect) == .claimed(starts: 3, losses: 2))
            #expect(try await look(first, lonely) == .claimed(starts: 3, losses: 2, mustBeAlone: true))
            #expect(try await look(first, other) == .claimed(starts: 3, losses: 1))
            #expect(try await first.claim(suspect) == "first 3 2 p")
            #expect(try await first.claim(lonely) == "first 3 2 q")
            #expect(try await first.claim(other) == "first 3 1", "it is begun")

            try await first.redis("DEL", keys.worker("first"))
            #expect(try await look(second, suspect) == .claimed(starts: 3, losses: 2), "nothing was begun")
            #expect(try await look(second, lonely) == .claimed(starts: 3, losses: 2, mustBeAlone: true))
            #expect(try await look(second, other) == .claimed(starts: 4, losses: 2))

            // Given back, then tried: from then on a death counts.
            for id in [suspect, lonely] { try await second.results.release(id, keepingStarts: 2) }
            #expect(try await second.claim(suspect) == " 2 2")
            #expect(try await second.claim(lonely) == " 2 2 a")
            _ = try await second.results.begin([JobIdentity(suspect)], anew: true, for: .trial)
            try await second.redis("DEL", keys.worker("second"))
            #expect(try await look(third, suspect) == .claimed(starts: 4, losses: 3))
        }
    }

    @Test func aMarkThatIsNoneMakesTheClaimNobodys() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["me"]) { workers in
            let id = try jobID("a")
            for text in ["dead 1 0 b", "dead 1 0 g ", "dead 1 0 ga", "dead 1 0  a", "dead 1 0a", "dead 1 0 "] {
                try await workers[0].redis("SET", keys.claim(id), "\(text) \(Fingerprint(of: id).text)")
                #expect(try await workers[0].begin(id) == .claimed(starts: 1, losses: 0), "\(text)")
            }
        }
    }
}

extension Ledger {
    fileprivate func begin(inGroup id: JobID) async throws -> ClaimState? {
        try await results.begin([id], anew: false, inGroup: true).first
    }
}
