import Adapters
import Answering
import ChatJobs
import ParleyRedis
import Pipeline
import TestSupport
import Testing
import Topology

/// What becomes of the calls that a worker has under way, in Redis.
@Suite(.enabled(if: PrivateRedis.isAvailable, "redis-server is not installed"))
struct RedisCallsTests {
    private static let at = Timestamp(milliseconds: 1_795_000_000_000)
    private static let day = "2026-11-18"

    /// As a call is opened.
    private func opening(_ tenant: String = "shop") -> Account {
        var usage = Usage(promptTokens: 210, completionTokens: 0)
        usage.isEstimated = true
        usage.cost = Cost(0.00042, "USD")
        return Account(tenant: tenant, agent: "sales", model: "m", kind: .lostCall, usage: usage, at: Self.at)
    }

    /// Of an answer that the call has come to.
    private func answer(closing number: UInt64) -> Account {
        var usage = Usage(promptTokens: 200, completionTokens: 50)
        usage.cost = Cost(0.001, "USD")
        return Account(
            tenant: "shop", agent: "sales", model: "m", kind: .answer, usage: usage, at: Self.at,
            closes: [CallMark(number)])
    }

    /// What the day's ledger has, over everybody; what is nothing is not there.
    private func sums(_ worker: Ledger) async throws -> [String: Int] {
        let fields = try await worker.redis("HGETALL", Ledger.keys.costs(Self.day)).array ?? []
        var sums: [String: Int] = [:]
        for (name, value) in zip(fields, fields.dropFirst()).enumerated().filter({ $0.offset % 2 == 0 }).map(\.element)
        {
            let field = try #require(name.string.flatMap { LedgerField($0) })
            sums[field.count.rawValue, default: 0] += value.int ?? 0
        }
        return sums.filter { $1 != 0 }
    }

    private func untilOpen(_ count: Int, of name: String, _ worker: Ledger) async throws {
        try await waitUntil("\(count) open calls") {
            try await worker.redis("HLEN", Ledger.keys.calls(name)).int == count
        }
    }

    private func die(_ name: String, _ worker: Ledger) async throws {
        try await worker.redis("DEL", Ledger.keys.worker(name))
    }

    @Test func ofWorkersThatLookAtOnceOneNotesADeadOnesCalls() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["dead", "one", "two"]) { workers in
            for number in 1...3 { workers[0].results.open(CallMark(UInt64(number)), opening("shop \(number)\n")) }
            try await untilOpen(3, of: "dead", workers[0])
            #expect(try await workers[1].results.noteLostCalls() == 0, "it lives")
            try await die("dead", workers[1])
            let noted = try await withThrowingTaskGroup(of: Int.self) { group in
                for worker in workers[1...] { group.addTask { try await worker.results.noteLostCalls() } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(noted.sorted() == [0, 3])
            #expect(try await workers[1].results.noteLostCalls() == 0)
            let sums = try await sums(workers[1])
            #expect(
                sums == ["calls": 3, "failed_calls": 3, "estimated_calls": 3, "prompt_tokens": 630, "cost": 1_260_000])
            #expect(try await workers[1].redis("EXISTS", Ledger.keys.calls("dead")).int == 0)
        }
    }

    @Test func aWorkerThatHasLeftHasNoneOpenEither() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["left", "me"]) { workers in
            workers[0].results.open(CallMark(1), opening())
            try await untilOpen(1, of: "left", workers[0])
            await workers[0].results.farewell()
            #expect(try await workers[1].results.noteLostCalls() == 1)
            #expect(try await sums(workers[1])["failed_calls"] == 1)
        }
    }

    @Test func whatIsNotedOrCostsNothingIsNotLost() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["dead", "me"]) { workers in
            let dead = workers[0].results
            for number in 1...4 { dead.open(CallMark(UInt64(number)), opening()) }
            try await untilOpen(4, of: "dead", workers[0])
            let id = try jobID("a")
            _ = try await dead.begin([id])
            let outcome = try await dead.store(
                JobKey(id), Fingerprint(of: id), reply(.succeeded), status: .succeeded, account: answer(closing: 1))
            #expect(outcome == .kept)
            await dead.note(
                Account(
                    tenant: nil, agent: nil, model: "m", kind: .renewal,
                    usage: Usage(promptTokens: 1, completionTokens: 1), at: Self.at, closes: [CallMark(2)]))
            dead.close([CallMark(3), CallMark(4)])
            try await untilOpen(0, of: "dead", workers[0])
            try await die("dead", workers[1])
            #expect(try await workers[1].results.noteLostCalls() == 0)
            let sums = try await sums(workers[1])
            #expect(sums["calls"] == 2 && sums["answers"] == 1 && sums["failed_calls"] == nil, "\(sums)")
        }
    }

    @Test func whatAWorkerBringsThatOnlySeemedToBeDeadIsNotedOnce() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["slow", "me"]) { workers in
            let slow = workers[0].results
            slow.open(CallMark(1), opening())
            try await untilOpen(1, of: "slow", workers[0])
            try await die("slow", workers[1])
            #expect(try await workers[1].results.noteLostCalls() == 1)
            let id = try jobID("a")
            _ = try await slow.store(
                JobKey(id), Fingerprint(of: id), reply(.succeeded), status: .succeeded, account: answer(closing: 1))
            let sums = try await sums(workers[1])
            #expect(
                sums == ["answers": 1, "calls": 1, "prompt_tokens": 200, "completion_tokens": 50, "cost": 1_000_000])
            #expect(try await workers[1].redis("HLEN", Ledger.keys.calls("slow") + ":lost").int == 0)
        }
    }

    @Test func anAnswerThatIsStoredAgainIsNotedOnceAndAnotherJobsIsNotFree() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["me"]) { workers in
            let (me, id) = (workers[0].results, try jobID("a"))
            for number in 1...2 { me.open(CallMark(UInt64(number)), opening()) }
            try await untilOpen(2, of: "me", workers[0])
            for _ in 0..<2 {
                _ = try await me.store(
                    JobKey(id), Fingerprint(of: id), reply(.succeeded), status: .succeeded, account: answer(closing: 1))
            }
            #expect(try await sums(workers[0])["calls"] == 1)
            let another = try jobID("b")
            let outcome = try await me.store(
                JobKey(id), Fingerprint(of: another), reply(.succeeded, "2"), status: .succeeded,
                account: answer(closing: 2))
            #expect(outcome == .conflict)
            let sums = try await sums(workers[0])
            #expect(sums["calls"] == 2 && sums["answers"] == 1)
            #expect(try await workers[0].redis("HLEN", Ledger.keys.calls("me")).int == 0)
        }
    }

    @Test func whatIsKeptOfCallsExpires() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["dead", "me"]) { workers in
            for worker in workers { worker.results.open(CallMark(1), opening()) }
            for name in ["dead", "me"] { try await untilOpen(1, of: name, workers[0]) }
            try await die("dead", workers[1])
            #expect(try await workers[1].results.noteLostCalls() == 1)
            let keys = Ledger.keys
            for key in [keys.callers, keys.calls("me"), keys.calls("dead") + ":lost"] {
                #expect(try await workers[1].redis("PTTL", key).int ?? -1 > 0, "\(key)")
            }
        }
    }

    /// As after an update whose users.acl is the old one: answers are stored all the same, and the reason can be told.
    @Test func aUserWithoutRightsOnCallsStoresAnswers() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["admin"]) { admin in
            let names = ["result", "claim", "costs", "worker"].map { "~test:\($0):*" }
            let rules = ["ACL", "SETUSER", "old", "on", "nopass", "+@all"] + names
            _ = try await admin[0].client.send(RedisCommand(arguments: rules.map { Array($0.utf8) }))
            try await withLedgers(server.url("old:x@"), ["me"]) { workers in
                let (me, id) = (workers[0].results, try jobID("a"))
                me.open(CallMark(1), opening())
                let outcome = try await me.store(
                    JobKey(id), Fingerprint(of: id), reply(.succeeded), status: .succeeded, account: answer(closing: 1))
                #expect(outcome == .kept)
                #expect(try await sums(workers[0])["answers"] == 1)
                let outage = await #expect(throws: Outage.self) { _ = try await me.noteLostCalls() }
                #expect(outage?.reason.contains("NOPERM") == true)
            }
        }
    }
}
