import Answering
import ChatJobs
import ParleyRedis
import Pipeline
import Topology

/// The jobs' ledger in Redis: results (contract, section 3), who works on what, what was revoked, which workers live.
///
/// Results are kept in `RedisResults.swift`, claims and revocations in `RedisResults+Claims.swift`, the worker's own
/// sign of life in `RedisResults+Presence.swift`, its calls under way in `RedisResults+Calls.swift`; what runs inside Redis is in `RedisResults+Scripts.swift`.
/// It needs a single primary, with or without replicas, not a cluster: its scripts touch keys of several jobs, and of
/// workers that are only known inside the script.
///
/// Every method throws an ``Outage`` that quotes Redis when Redis is away or refuses (`OOM`, `READONLY`, `LOADING`,
/// `MISCONF`, `NOPERM` …). A key of another type where a string belongs is as good as a key that is not there.
package struct RedisResults: ResultStore {
    let redis: RedisClient
    let ttl: Duration
    let jitter: Double
    private let spread = Spread()
    let keys: RedisKeys
    package let worker: String
    // Made once: every window names them.
    let ownKey: String
    let workersKeys: String
    let calls: OpenCalls

    /// - Parameters:
    ///   - ttl: `results.ttl`.
    ///   - jitter: `results.ttl_jitter`: the fraction by which each key's life varies either way, drawn uniformly, so
    ///     that what was written together does not expire together.
    ///   - keys: the keys' names, under `redis.prefix`.
    ///   - worker: names this process among all that ever run; no white space. One is drawn at random by default.
    package init(
        redis: RedisClient, ttl: Duration, jitter: Double, keys: RedisKeys = RedisKeys(),
        worker: String = RedisResults.randomToken()
    ) {
        self.redis = redis
        self.ttl = ttl
        self.jitter = jitter
        self.keys = keys
        self.worker = worker
        ownKey = keys.worker(worker)
        workersKeys = keys.worker("")
        calls = OpenCalls(keys, worker)
    }

    /// A name for a worker process: 16 hexadecimal digits from the system's random numbers.
    package static func randomToken() -> String {
        let digits = String(UInt64.random(in: 0...UInt64.max), radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    package func store(
        _ key: JobKey, _ fingerprint: Fingerprint?, _ reply: [UInt8], status: Reply.Status, account: Account? = nil
    ) async throws(Outage) -> StoreOutcome {
        let what = "storing a result"
        var arguments: [RedisCommand.Argument] = []
        arguments.reserveCapacity(26)
        arguments.append(.text(keys.result(key)))
        arguments.append(.text(keys.claim(key)))
        if let account { arguments.append(.text(keys.costs(account.day))) }
        let keyCount = arguments.count
        arguments.append(.bytes(reply))
        arguments.append(.number(lifetime()))
        arguments.append(.text(worker))
        arguments.append(.text(fingerprint?.text ?? ""))
        arguments.append(.text(EndMark.letter(of: status)))
        account?.add(to: &arguments, closingIn: calls.own)
        let kept = try await send(RedisCommand(script: ClaimScripts.store, keyCount: keyCount, arguments), what)
        switch kept {
        case .null: return .kept
        case .integer(-2): return .conflict
        case .bytes(let stored): return .winner(stored)
        default: throw refused(what, kept)
        }
    }

    package func note(_ account: Account) async {
        var arguments: [RedisCommand.Argument] = [.text(keys.costs(account.day))]
        account.add(to: &arguments, closingIn: calls.own)
        _ = try? await redis.send(RedisCommand(script: ClaimScripts.note, keyCount: 1, arguments))
    }

    /// Deletes the stored result if it holds exactly these bytes: one that cannot be read is as good as none, but another
    /// worker may have replaced it meanwhile.
    package func discard(_ key: JobKey, _ unreadable: [UInt8]) async throws(Outage) {
        let what = "deleting a result that cannot be read"
        let reply = try await send(
            RedisCommand(script: ResultScripts.discard, keys: [keys.result(key)], arguments: [.bytes(unreadable)]), what
        )
        guard reply.int != nil else { throw refused(what, reply) }
    }

    /// Returns when Redis takes writes again, or the task is cancelled: it may be there and refuse (`OOM`, `READONLY`,
    /// `MISCONF`).
    package func untilAvailable() async {
        var rest = 0.1
        while !Task.isCancelled {
            try? await Task.sleep(for: .seconds(rest * Double.random(in: 0.5...1)))
            try? await redis.waitUntilConnected()
            let sign = RedisCommand("SET", keys.worker(worker), "{}", "NX", "PX", 5000)
            let answer = try? await redis.send(sign)
            if answer == .status("OK") || answer == .null { return }
            rest = min(2, rest * 2)
        }
    }

    /// Milliseconds.
    private func lifetime() -> Int64 {
        let (seconds, attoseconds) = ttl.components
        let milliseconds = Double(seconds) * 1000 + Double(attoseconds) / 1e15
        return max(1, Int64((milliseconds * (1 + jitter * spread.next())).rounded()))
    }

}

// MARK: - Asking Redis

extension RedisResults {
    /// So many keys at most are named by one command, for the sake of everybody else whom Redis serves in turn (and far
    /// fewer than Lua's `unpack` takes).
    static let keysAtOnce = 512

    /// - Parameter what: what is being done, for the outage's reason.
    func send(_ command: RedisCommand, _ what: String) async throws(Outage) -> RedisValue {
        do throws(RedisError) {
            return try await redis.send(command)
        } catch {
            throw Outage(.redis, "\(what): \(error.message)")
        }
    }

    /// In one pipeline.
    func send(_ commands: [RedisCommand], _ what: String) async throws(Outage) -> [RedisValue] {
        do throws(RedisError) {
            return try await redis.send(commands)
        } catch {
            throw Outage(.redis, "\(what): \(error.message)")
        }
    }

    /// What each key holds, in order; nil when nothing, or no string.
    func values(_ names: [String], _ what: String) async throws(Outage) -> [[UInt8]?] {
        let chunks = names.chunked(by: Self.keysAtOnce)
        let replies = try await send(
            chunks.map { RedisCommand(arguments: [.text("MGET")] + $0.map { .text($0) }) }, what)
        var values: [[UInt8]?] = []
        values.reserveCapacity(names.count)
        for (chunk, reply) in zip(chunks, replies) {
            guard let some = reply.array, some.count == chunk.count else { throw refused(what, reply) }
            for value in some {
                guard value.isNull || value.bytes != nil else { throw refused(what, value) }
                values.append(value.bytes)
            }
        }
        return values
    }

    func refused(_ what: String, _ value: RedisValue) -> Outage {
        guard let refusal = value.refusal else {
            return Outage(.redis, "\(what): Redis gave an answer that makes no sense")
        }
        return Outage(.redis, "\(what): Redis refuses: \(refusal)")
    }
}

extension Array {
    func chunked(by size: Int) -> [ArraySlice<Element>] {
        stride(from: 0, to: count, by: size).map { self[$0..<Swift.min($0 + size, count)] }
    }
}
