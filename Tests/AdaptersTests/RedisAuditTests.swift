import Adapters
import ChatJobs
import ParleyRedis
import TestSupport
import Testing

/// What operators did is dropped when it is old, by workers alone, and by nothing that others add.
@Suite(.enabled(if: PrivateRedis.isAvailable)) struct RedisAuditTests {
    private static func at(_ second: Int64) -> Timestamp { Timestamp(milliseconds: 1_700_000_000_000 + second * 1000) }

    private func entry(_ second: Int64) -> String { #"{"time":"\#(Self.at(second).rfc3339)","n":\#(second)}"# }

    /// What is left of `entries` when those from before second 100 are dropped at second 1000.
    private func left(of entries: [String]) async throws -> [String] {
        let server = try await PrivateRedis()
        var left: [String] = []
        try await withLedgers(server.url(), ["a"]) { ledgers in
            let me = ledgers[0]
            for entry in entries { try await me.redis("RPUSH", Ledger.keys.audit, entry) }
            let dropped = try await me.results.dropOldAudit(before: Self.at(100), now: Self.at(1000))
            left = (try await me.redis("LRANGE", Ledger.keys.audit, "0", "-1").array ?? []).compactMap(\.string)
            #expect(dropped == entries.count - left.count)
        }
        return left
    }

    @Test func oldEntriesGoAndYoungOnesStay() async throws {
        #expect(try await left(of: [1, 2, 99, 100, 500].map(entry)) == [100, 500].map(entry))
        #expect(try await left(of: [1, 2].map(entry)) == [])
        #expect(try await left(of: []) == [])
        #expect(try await left(of: [entry(500)]) == [entry(500)])
    }

    @Test func anEntryThatClaimsToBeOldTakesNoYoungOneWithIt() async throws {
        let forged = [entry(300), entry(1), entry(2)]
        #expect(try await left(of: forged) == forged)
    }

    @Test func whatIsNoEntryGoesWithTheOldOneBehindIt() async throws {
        let junk = ["nonsense", "[]", #"{"time":5}"#, #"{"time":"soon"}"#, entry(5000)]
        #expect(try await left(of: junk + [entry(1), entry(200)]) == [entry(200)])
        #expect(try await left(of: junk + [entry(200), entry(1)]) == junk + [entry(200), entry(1)])
    }

    @Test func aClaimSaysHowItsJobEnded() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["a", "b"]) { ledgers in
            let (me, other) = (ledgers[0], ledgers[1])
            let id = try jobID("x")
            for status: Reply.Status in [.failed, .expired, .revoked, .succeeded] {
                _ = try await me.results.begin([id], anew: true)
                #expect(try await me.end(id) == nil, "it is in work")
                _ = try await me.results.store(id, reply(status), status: status)
                #expect(try await me.end(id) == status)
            }
            // A success stays whatever comes after it.
            _ = try await other.results.store(id, reply(.failed), status: .failed)
            #expect(try await me.end(id) == .succeeded)
        }
    }
}
