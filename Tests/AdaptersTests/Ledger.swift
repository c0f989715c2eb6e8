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

    /// What is written of a claim: token, starts, losses and mark, if there is one.
    func claim(_ id: JobID) async throws -> String? {
        let text = try await redis("GET", Self.keys.claim(id)).string
        let claim = text?.replacing(" " + Fingerprint(of: id).text, with: "").replacing(" -", with: "")
        guard let last = claim?.last, "sfer".contains(last) else { return claim }
        return claim.map { String($0.dropLast(2)) }
    }

    /// How the job ended, as its claim says.
    func end(_ id: JobID) async throws -> Reply.Status? {
        EndMark.status(inClaim: try await redis("GET", Self.keys.claim(id)).bytes ?? [])
    }

    /// Writes a claim: `TOKEN STARTS LOSSES`, and perhaps ` MARK`.
    func claim(_ id: JobID, _ text: String) async throws {
        let mark = text.hasSuffix("g") || text.hasSuffix("a") ? "" : " -"
        try await redis("SET", Self.keys.claim(id), "\(text)\(mark) \(Fingerprint(of: id).text)")
    }
}

/// One job for each id.
extension Fingerprint {
    init(of id: JobID) { self.init(of: Job(id: id, query: "What about \(id)?")) }
}

extension JobIdentity {
    init(_ id: JobID) { self.init(key: JobKey(id), fingerprint: Fingerprint(of: id)) }
}

extension RedisKeys {
    func result(_ id: JobID) -> String { result(JobKey(id)) }
    func claim(_ id: JobID) -> String { claim(JobKey(id)) }
    func revoked(_ id: JobID) -> String { revoked(JobKey(id)) }
}

extension RedisResults {
    func begin(_ ids: [JobID], anew: Bool = false, inGroup: Bool = false) async throws(Outage) -> [ClaimState] {
        try await begin(
            ids.map { JobIdentity($0) }, anew: anew, for: inGroup ? .groupTrial : .work(suspectsFrom: 100))
    }

    /// - Returns: what was stored before.
    func store(_ id: JobID, _ reply: [UInt8], status: Reply.Status) async throws(Outage) -> [UInt8]? {
        if case .winner(let stored) = try await store(JobKey(id), Fingerprint(of: id), reply, status: status) {
            return stored
        }
        return nil
    }

    func release(_ id: JobID, keepingStarts starts: Int?) async throws(Outage) {
        try await release(JobKey(id), keepingStarts: starts)
    }

    func renew(_ ids: [JobID]) async throws(Outage) { try await renew(ids.map { JobKey($0) }) }
    func discard(_ id: JobID, _ stored: [UInt8]) async throws(Outage) { try await discard(JobKey(id), stored) }
    func look(_ ids: [JobID]) async throws(Outage) -> [ClaimState] { try await look(ids.map { JobIdentity($0) }) }
    func revoked(among ids: [JobID]) async throws(Outage) -> [JobID] {
        try await revoked(among: ids.map { JobKey($0) }).map(\.id)
    }
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
