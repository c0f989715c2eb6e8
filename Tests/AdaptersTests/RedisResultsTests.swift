import Adapters
import Answering
import ChatJobs
import ParleyRedis
import Pipeline
import TestSupport
import Testing
import Topology

@Suite(.enabled(if: PrivateRedis.isAvailable, "redis-server is not installed"))
struct RedisResultsTests {
    let keys = Ledger.keys

    @Test func aStoredResultEndsTheClaimAndLivesAsLongAsSaid() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["me"], ttl: .seconds(1_000), jitter: 0.2) { workers in
            let me = workers[0]
            var lives: Set<Int> = []
            for number in 0..<100 {
                let id = try jobID("job-\(number)")
                _ = try await me.begin(id)
                #expect(try await me.results.store(id, reply(.succeeded), status: .succeeded) == nil)
                #expect(try await me.claim(id) == " 0 0")
                #expect(try await me.results.begin([id]) == [.stored(reply(.succeeded))])
                lives.insert(try #require(try await me.redis("PTTL", keys.result(id)).int) / 10_000)
            }
            #expect(lives.allSatisfy { (78...120).contains($0) })
            #expect(lives.count > 20, "the lives are spread")
        }
    }

    @Test func aSuccessReplacesAFailureAndStays() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["me"]) { workers in
            let (results, id) = (workers[0].results, try jobID("a"))
            #expect(try await results.store(id, reply(.failed), status: .failed) == nil)
            #expect(try await results.store(id, reply(.failed, "2"), status: .failed) == nil)
            #expect(try await results.store(id, reply(.succeeded, "1"), status: .succeeded) == nil)
            #expect(try await results.store(id, reply(.succeeded, "2"), status: .succeeded) == reply(.succeeded, "1"))
            #expect(try await results.store(id, reply(.failed), status: .failed) == reply(.succeeded, "1"))
            #expect(try await results.begin([id]) == [.stored(reply(.succeeded, "1"))])
        }
    }

    @Test func ofSuccessesThatRaceTheFirstIsEverybodys() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["w0", "w1", "w2"]) { workers in
            for number in 0..<100 {
                let id = try jobID("job-\(number)")
                if number.isMultiple(of: 2) {
                    _ = try await workers[0].results.store(id, reply(.failed), status: .failed)
                }
                let kept = try await withThrowingTaskGroup(of: (Int, [UInt8]?).self) { group in
                    for (index, worker) in workers.enumerated() {
                        group.addTask {
                            let mine = reply(.succeeded, "\(index)")
                            return (index, try await worker.results.store(id, mine, status: .succeeded))
                        }
                    }
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                let winners = kept.filter { $0.1 == nil }
                #expect(winners.count == 1)
                let stored = reply(.succeeded, "\(winners.first?.0 ?? -1)")
                #expect(kept.allSatisfy { $0.1 == nil || $0.1 == stored })
                #expect(try await workers[0].results.begin([id]) == [.stored(stored)])
            }
        }
    }

    @Test func theSignOfLifeIsShownAndTurnedIntoAGoodbyeAndBringsTheCountOfRevocations() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["me"]) { workers in
            let me = workers[0]
            #expect(try await me.results.pulse(Array(#"{"pid":7}"#.utf8)) == 0)
            #expect(try await me.redis("GET", keys.worker("me")).string == #"{"pid":7}"#)
            let life = try #require(try await me.redis("PTTL", keys.worker("me")).int)
            #expect((1...5_000).contains(life))
            for _ in 0..<3 { try await me.redis("INCR", keys.revocations) }
            #expect(try await me.results.pulse(Array("{}".utf8)) == 3)
            await me.results.farewell()
            #expect(try await me.redis("GET", keys.worker("me")).string == "")

            try await me.redis("SET", keys.revocations, "many")
            let garbage = await #expect(throws: Outage.self) { try await me.results.pulse(Array("{}".utf8)) }
            #expect(garbage?.reason.contains("test:revocations") == true)
            try await me.redis("DEL", keys.revocations)
            try await me.redis("RPUSH", keys.revocations, "x")
            let list = await #expect(throws: Outage.self) { try await me.results.pulse(Array("{}".utf8)) }
            #expect(list?.reason.contains("WRONGTYPE") == true)
            #expect(try await me.redis("EXISTS", keys.worker("me")).int == 1, "it lives all the same")
        }
    }

    @Test func whatRedisRefusesIsAnOutageThatSaysWhyAndEndsWithItsReason() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["me"]) { workers in
            let (me, id) = (workers[0], try jobID("a"))
            _ = try await me.results.begin([jobID("claimed")])
            func refusals() async throws -> [String] {
                var reasons: [String] = []
                do { _ = try await me.results.begin([id]) } catch { reasons.append(error.reason) }
                do { _ = try await me.results.store(id, reply(.succeeded), status: .succeeded) } catch {
                    reasons.append(error.reason)
                }
                do { try await me.results.release(jobID("claimed"), keepingStarts: 1) } catch {
                    reasons.append("\(error)")
                }
                do { _ = try await me.results.pulse(Array("{}".utf8)) } catch { reasons.append(error.reason) }
                return reasons
            }
            try await me.redis("CONFIG", "SET", "maxmemory", "1")
            var reasons = try await refusals()
            #expect(reasons.count == 4)
            #expect(reasons.allSatisfy { $0.contains("OOM") }, "\(reasons)")
            try await me.redis("CONFIG", "SET", "maxmemory", "0")
            #expect(try await refusals() == [])

            // A replica without its primary refuses every write, and the connection is given up for another.
            try await me.redis("DEL", keys.result(id))
            try await me.redis("REPLICAOF", "127.0.0.1", "1")
            reasons = try await refusals()
            #expect(reasons.first?.contains("READONLY") == true)
            #expect(reasons.count >= 3)
            try await waitUntil("a connection that takes the command") {
                (try? await me.redis("REPLICAOF", "NO", "ONE")) == .status("OK")
            }
            // It is available when it takes writes, and not before.
            await me.results.untilAvailable()
            #expect(try await refusals() == [])
        }
    }

    @Test func waitingForRedisEndsWithTheTask() async throws {
        try await withClient("redis://127.0.0.1:\(freePort())") { client in
            let results = RedisResults(redis: client, ttl: .seconds(1), jitter: 0)
            let waiting = Task { await results.untilAvailable() }
            try await waitUntil("the client tries") { await !client.isConnected }
            waiting.cancel()
            await waiting.value
        }
    }

    @Test func everyProcessDrawsATokenOfItsOwn() {
        let tokens = (0..<100).map { _ in RedisResults.randomToken() }
        #expect(Set(tokens).count == 100)
        #expect(tokens.allSatisfy { $0.count == 16 && !$0.contains(" ") })
    }

    /// What a worker's entry in the access control list has to allow, and nothing more.
    static let rights = [
        "-@all", "+ping", "+client|setname", "+role", "+mget", "+get", "+set", "+del", "+exists", "+evalsha",
        "+eval", "+pexpire", "+pttl", "~test:result:*", "~test:claim:*", "~test:worker:*", "~test:revoked:*",
        "%R~test:revocations",
    ]

    @Test func aUserWithTheseRightsAloneCanDoItAll() async throws {
        let server = try await PrivateRedis(options: ["--user", "worker", "on", ">secret"] + Self.rights)
        try await withLedgers(server.url("worker:secret@"), ["me", "other"]) { workers in
            let (me, other, id) = (workers[0].results, workers[1].results, try jobID("a"))
            #expect(try await me.pulse(Array("{}".utf8)) == 0)
            #expect(try await me.begin([id]) == [.claimed(starts: 1, losses: 0)])
            #expect(try await other.begin([id]) == [.elsewhere])
            await me.farewell()
            #expect(try await other.begin([id]) == [.claimed(starts: 2, losses: 0)])
            try await other.release(id, keepingStarts: 1)
            #expect(try await me.begin([id], anew: true) == [.claimed(starts: 2, losses: 0)])
            #expect(try await me.store(id, reply(.failed), status: .failed) == nil)
            #expect(try await me.store(id, reply(.succeeded), status: .succeeded) == nil)
            #expect(try await me.begin([id]) == [.stored(reply(.succeeded))])
            #expect(try await me.revoked(among: [id]) == [])
            #expect(try await me.begin([jobID("b")], anew: false, inGroup: true).count == 1)
            try await me.renew([jobID("b")])
            try await me.discard(jobID("b"), [])
            try await other.release(jobID("absent"), keepingStarts: nil)
            #expect(try await workers[0].claim(id) == " 0 0", "the claim has ended")
            #expect(try await workers[0].redis("GET", "elsewhere").errorKind == "NOPERM")
            #expect(try await workers[0].redis("KEYS", "*").errorKind == "NOPERM")
        }
    }
}
