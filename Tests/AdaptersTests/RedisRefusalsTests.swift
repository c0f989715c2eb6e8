import Adapters
import Answering
import ChatJobs
import ParleyRedis
import Pipeline
import TestSupport
import Testing
import Topology

/// Whatever Redis answers, a call ends with what was asked for or with an outage that says why.
@Suite(.serialized) struct RedisRefusalsTests {
    /// What each call says when Redis answers like this.
    private func reasons(_ answers: ScriptedRedis.Step..., patience: Duration = .seconds(60)) async throws -> [String] {
        let peer = try ScriptedRedis([[ScriptedRedis.greeting] + answers])
        var reasons: [String] = []
        // A refusal may end the connection: each call has one of its own.
        let id = try jobID("a")
        let adjust: (inout RedisConfiguration) -> Void = { $0.commandTimeout = patience }
        for call in Call.allCases {
            try await withClient(peer.url, adjust: adjust) { client in
                try await client.connect()
                do throws(Outage) {
                    try await make(call, RedisResults(redis: client, ttl: .seconds(60), jitter: 0), id)
                    reasons.append("done")
                } catch {
                    #expect(error.dependency == .redis)
                    reasons.append(error.reason)
                }
            }
        }
        return reasons
    }

    private enum Call: CaseIterable {
        case begin, beginInGroup, look, store, release, renew, discard, revoked, pulse
    }

    private func make(_ call: Call, _ results: RedisResults, _ id: JobID) async throws(Outage) {
        switch call {
        case .begin: _ = try await results.begin([id])
        case .beginInGroup: _ = try await results.begin([id], anew: true, inGroup: true)
        case .look: _ = try await results.look([id])
        case .store: _ = try await results.store(id, [], status: .succeeded)
        case .release: try await results.release(id, keepingStarts: 1)
        case .renew: try await results.renew([id])
        case .discard: try await results.discard(id, [])
        case .revoked: _ = try await results.revoked(among: [id])
        case .pulse: _ = try await results.pulse([])
        }
    }

    @Test(arguments: [
        ("OOM command not allowed when used memory > 'maxmemory'.", "maxmemory"),
        ("READONLY You can't write against a read only replica.", "Sentinels"),
        ("LOADING Redis is loading the dataset in memory", "LOADING"),
        ("MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist", "disk"),
        ("NOPERM this user has no permissions to run the 'eval' command", "NOPERM"),
        ("NOAUTH Authentication required.", "password"), ("NOSCRIPT No matching script.", "NOSCRIPT"),
        ("CLUSTERDOWN The cluster is down", "Cluster"), ("MOVED 3999 127.0.0.1:6381", "Cluster"),
        ("CROSSSLOT Keys in request don't hash to the same slot", "Cluster"), ("ERR unknown command 'EVAL'", "EVAL"),
        ("", "Redis refuses: "), (" ", "Redis refuses: "),
    ])
    func anErrorIsAnOutageThatQuotesIt(text: String, names: String) async throws {
        for reason in try await reasons(.always("-\(text)\r\n")) {
            #expect(reason.contains("Redis refuses: \(text)") && reason.contains(names), "\(reason)")
        }
    }

    @Test func anAnswerThatMakesNoSenseIsAnOutage() async throws {
        for answer in [
            "+QUEUED", "+", "*1\r\n*1\r\n:1", "*1\r\n*3\r\n:0\r\n:0\r\n:0", "*1\r\n*3\r\n:1\r\n:-1\r\n:0",
            "*1\r\n+OK", "*2\r\n$-1\r\n$-1", "*1\r\n*3\r\n$1\r\nx\r\n:1\r\n:0",
        ] {
            for reason in try await reasons(.always("\(answer)\r\n")) {
                #expect(reason.hasSuffix("Redis gave an answer that makes no sense"), "\(answer): \(reason)")
            }
        }
    }

    @Test func anAnswerThatDoesNotComeIsAnOutage() async throws {
        for first in [ScriptedRedis.Step.silence, .answer("*1\r\n$10\r\nabc")] {
            for reason in try await reasons(first, .silence, patience: .milliseconds(200)) {
                #expect(reason.contains("no reply from redis://") || reason.contains("not connected"), "\(reason)")
            }
        }
    }
}
