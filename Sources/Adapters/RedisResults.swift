import ChatJobs
import Pipeline
import Redis

/// Results in Redis (contract, section 3): `chat:result:<id>`, each with a life of its own.
public struct RedisResults: ResultStore {
    let redis: RedisClient
    let ttl: Duration
    let jitter: Double

    /// - Parameters:
    ///   - ttl: `results.ttl`.
    ///   - jitter: `results.ttl_jitter`: the fraction by which each key's life varies either way, drawn uniformly, so
    ///     that what was written together does not expire together.
    public init(redis: RedisClient, ttl: Duration, jitter: Double) {
        self.redis = redis
        self.ttl = ttl
        self.jitter = jitter
    }

    /// The key of a job's result.
    public static func key(_ id: JobID) -> String { "chat:result:" + id.text }

    nonisolated(nonsending) public func lookup(_ ids: [JobID]) async throws(Outage) -> [[UInt8]?] {
        var arguments: [[UInt8]] = [Array("MGET".utf8)]
        arguments.reserveCapacity(ids.count + 1)
        for id in ids { arguments.append(Array(Self.key(id).utf8)) }
        let reply = try await send(RedisCommand(arguments: arguments))
        guard let values = reply.array, values.count == ids.count else { throw refused(reply) }
        return values.map(\.bytes)
    }

    nonisolated(nonsending) public func store(
        _ id: JobID, _ reply: [UInt8], status: Reply.Status
    ) async throws(Outage) -> [UInt8]? {
        let key = Array(Self.key(id).utf8)
        let life = Array(String(lifetime()).utf8)
        // The common case needs no script: nothing is stored yet.
        let fresh = try await send(
            RedisCommand(arguments: [Self.set, key, reply, Self.px, life, Self.nx]))
        if case .status = fresh { return nil }
        guard fresh.isNull else { throw refused(fresh) }
        let kept = try await send(
            RedisCommand(script: Self.keepFirstSuccess, keys: [Self.key(id)], arguments: [reply, life]))
        if kept.isError { throw refused(kept) }
        return kept.bytes
    }

    nonisolated(nonsending) public func untilAvailable() async {
        try? await Task.sleep(for: .milliseconds(Int.random(in: 50...250)))
        try? await redis.waitUntilConnected()
    }

    /// Milliseconds.
    private func lifetime() -> Int64 {
        let (seconds, attoseconds) = ttl.components
        let milliseconds = Double(seconds) * 1000 + Double(attoseconds) / 1e15
        return max(1, Int64((milliseconds * Double.random(in: (1 - jitter)...(1 + jitter))).rounded()))
    }

    private static let set = Array("SET".utf8)
    private static let px = Array("PX".utf8)
    private static let nx = Array("NX".utf8)

    /// Returns the stored reply when it succeeded; replaces anything else.
    private static let keepFirstSuccess = RedisScript(
        """
        local kind = redis.call('TYPE', KEYS[1]).ok
        if kind == 'string' then
          local stored = redis.call('GET', KEYS[1])
          local ok, reply = pcall(cjson.decode, stored)
          if ok and type(reply) == 'table' and reply.status == 'succeeded' then return stored end
        end
        redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
        return false
        """)

    nonisolated(nonsending) private func send(_ command: RedisCommand) async throws(Outage) -> RedisValue {
        do throws(RedisError) {
            return try await redis.send(command)
        } catch {
            throw Outage(service: "redis", reason: error.message)
        }
    }

    private func refused(_ value: RedisValue) -> Outage {
        guard case .error(let text) = value else { return Outage(service: "redis", reason: "an unexpected answer") }
        return Outage(service: "redis", reason: text)
    }
}
