import Adapters
import ChatJobs
import ParleyRedis
import Pipeline
import TestSupport
import Testing
import Topology

/// Stored results that Lua's JSON reads and Swift's does not.
@Suite(.enabled(if: PrivateRedis.isAvailable, "redis-server is not installed"))
struct UnreadableResultsTests {
    let keys = Ledger.keys

    private func success(_ member: String) -> String { #"{"status":"succeeded","x":\#(member)}"# }

    private func nested(_ levels: Int) -> String {
        success(String(repeating: "[", count: levels - 1) + String(repeating: "]", count: levels - 1))
    }

    @Test func whatSwiftCannotReadIsNoSuccess() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["me"]) { workers in
            let me = workers[0]
            let texts =
                ["NaN", "-nan", "Infinity", "-Infinity", "0x10", "01"].map(success)
                + [65, 999, 1_001, 100_000].map(nested)
                + [#"{"status":{"status":"succeeded"}}"#, #""succeeded""#, "[]", "null", "{", "", "\u{0}"]
            for (number, stored) in texts.enumerated() {
                #expect(throws: (any Error).self, "or it would be one") { try Reply(decoding: Array(stored.utf8)) }
                let id = try jobID("job-\(number)")
                try await me.redis("SET", keys.result(id), stored)
                #expect(try await me.begin(id) == .stored(Array(stored.utf8)))
                let claimed = try await me.results.begin([id], anew: true) == [.claimed(starts: 1, losses: 0)]
                #expect(claimed, "\(stored.prefix(60))")
                #expect(try await me.results.store(id, reply(.succeeded), status: .succeeded) == nil)
                #expect(try await me.begin(id) == .stored(reply(.succeeded)))
            }
        }
    }

    @Test func nestingThatSwiftReadsIsASuccess() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["me"]) { workers in
            let (me, id) = (workers[0], try jobID("a"))
            let stored = nested(64)
            try await me.redis("SET", keys.result(id), stored)
            #expect(try await me.results.begin([id], anew: true) == [.stored(Array(stored.utf8))])
            // The decoder of other scripts is as it was.
            #expect(try await me.redis("EVAL", "return cjson.decode('[NaN]')[1] ~= nil and 1 or 0", "0").int == 1)
        }
    }

    /// There will always be some: members that stand there twice, numbers such as `1.`, bytes that are no UTF-8.
    @Test func oneThatIsFoundUnreadableIsDiscardedOnce() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["me", "other"]) { workers in
            let (me, id) = (workers[0], try jobID("a"))
            let stored = Array(success("1.").utf8)
            try await me.redis("SET", keys.result(id), success("1."))
            #expect(try await me.results.begin([id], anew: true) == [.stored(stored)])
            try await me.results.discard(id, stored)
            #expect(try await me.results.begin([id], anew: true) == [.claimed(starts: 1, losses: 0)])
            #expect(try await me.results.store(id, reply(.succeeded), status: .succeeded) == nil)
            // Another worker found it, too, and is late.
            try await workers[1].results.discard(id, stored)
            #expect(try await me.begin(id) == .stored(reply(.succeeded)))
            try await me.results.discard(jobID("absent"), stored)
            try await me.redis("RPUSH", keys.result(jobID("list")), "x")
            try await me.results.discard(jobID("list"), [])
            #expect(try await me.redis("EXISTS", keys.result(jobID("list"))) == .integer(1))
        }
    }
}
