import Adapters
import Answering
import ChatJobs
import ParleyRedis
import Pipeline
import TestSupport
import Testing
import Topology

/// A worker's view of the ledger, with its own connection to one of the test's servers.
struct Ledger: Sendable {
    static let keys = RedisKeys(prefix: "test")

    let results: RedisResults
    let client: RedisClient

    /// What Redis says to a command.
    @discardableResult
    func redis(_ parts: String...) async throws -> RedisValue {
        try await client.send(RedisCommand(arguments: parts.map { Array($0.utf8) }))
    }

    func begin(_ id: JobID) async throws -> ClaimState? { try await results.begin([id]).first }

    func claim(_ id: JobID) async throws -> String? { try await redis("GET", Self.keys.claim(id)).string }
}

/// Runs `body` with one ledger per worker token on `server`, each over a connection of its own.
/// - Parameter immortal: the workers' signs of life do not expire by themselves, however slow the machine.
func withLedgers(
    _ url: String, _ workers: [String], ttl: Duration = .seconds(60), jitter: Double = 0.1, immortal: Bool = true,
    _ body: ([Ledger]) async throws -> Void
) async throws {
    try await open(url, workers[...], [], ttl, jitter) { ledgers in
        if immortal {
            for worker in workers { try await ledgers[0].redis("SET", Ledger.keys.worker(worker), "{}") }
        }
        try await body(ledgers)
    }
}

private func open(
    _ url: String, _ left: ArraySlice<String>, _ ledgers: [Ledger], _ ttl: Duration, _ jitter: Double,
    _ body: ([Ledger]) async throws -> Void
) async throws {
    guard let worker = left.first else { return try await body(ledgers) }
    try await withClient(url) { client in
        try await client.connect()
        let results = RedisResults(redis: client, ttl: ttl, jitter: jitter, keys: Ledger.keys, worker: worker)
        try await open(url, left.dropFirst(), ledgers + [Ledger(results: results, client: client)], ttl, jitter, body)
    }
}

func jobID(_ text: String) throws -> JobID { try #require(JobID(text)) }

func reply(_ status: Reply.Status, _ mark: String = "") -> [UInt8] {
    Array(#"{"status":"\#(status.rawValue)","mark":"\#(mark)"}"#.utf8)
}
