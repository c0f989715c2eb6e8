import ParleyRedis
import Topology

/// Whether a server does what a worker needs of Redis: there are stand-ins that speak its protocol and lack its scripts, or
/// run them otherwise (Dragonfly, ElastiCache Serverless, Envoy).
struct RedisSuitability: Sendable {
    /// Why it will not do, in a sentence; nil when it will.
    let problem: String?
    /// As it names itself.
    let version: String?

    /// Does what a worker does, with keys that only a probe would use: nothing is left behind.
    init(of client: RedisClient, _ keys: RedisKeys) async throws(RedisError) {
        let server = try await client.send(RedisCommand("INFO", "server"))
        let lines = server.string?.split(separator: "\r\n") ?? []
        func value(_ name: String) -> String? {
            lines.first { $0.hasPrefix(name + ":") }.map { String($0.dropFirst(name.utf8.count + 1)) }
        }
        version = value("valkey_version").map { "Valkey \($0)" } ?? value("redis_version").map { "Redis \($0)" }
        // First: a cluster may refuse a key for another's.
        guard value("redis_mode") != "cluster" else {
            problem = "it is a Redis Cluster: a single primary is needed, with or without replicas"
            return
        }
        problem = try await Self.shortcoming(of: client, keys)
    }

    private static func shortcoming(of client: RedisClient, _ keys: RedisKeys) async throws(RedisError) -> String? {
        let names = ["result", "claim", "worker", "revoked", "costs", "cache"].map {
            "\(keys.prefix):\($0):parley-check"
        }
        let steps: [(what: String?, command: RedisCommand)] = [
            ("results cannot be written", RedisCommand("SET", names[0], "{}", "PX", 1000)),
            ("results cannot be read", RedisCommand("MGET", names[0], names[3])),
            (
                nil,
                RedisCommand(
                    "EVAL", script, 5, names[0], names[1], names[2], names[3], names[4],
                    keys.worker("parley-check-of-another"))
            ),
            ("answers cannot be kept", RedisCommand("SET", names[5], "x", "PX", 1000)),
            ("revocations cannot be read", RedisCommand("GET", keys.revocations)),
            ("results cannot be deleted", RedisCommand("DEL", names[0], names[1], names[2], names[4], names[5])),
        ]
        let answers = try await client.send(steps.map(\.command))
        for (step, answer) in zip(steps, answers) {
            guard let refusal = answer.refusal else { continue }
            return "\(step.what ?? scriptProblem(refusal)): \(refusal)"
        }
        return answers[2].string == "parley"
            ? nil : "scripts do not work as they do in Redis 7, which every job needs: another server is needed"
    }

    /// What a refusal of the script means.
    private static func scriptProblem(_ refusal: String) -> String {
        let text = refusal.lowercased()
        if ["undeclared key", "non local key", "same slot"].contains(where: { text.contains($0) }) {
            return
                "scripts may not read keys that they were not given, and Parley's look whether other workers live (Dragonfly "
                + "lets them with --default_lua_flags=allow-undeclared-keys; ElastiCache Serverless does not)"
        }
        if text.contains("unknown command") || text.contains("unsupported") || text.contains("not supported") {
            return
                "scripts (EVAL) are not there, which every job needs: a proxy such as Envoy, or a service without them, cannot "
                + "stand in for Redis 7 or Valkey"
        }
        return
            "scripts cannot be run, which every job needs: Redis 7, or a stand-in that has EVAL and lets this user use it"
    }

    /// What the workers' scripts use of Redis and of its Lua, a key beside KEYS among it.
    private static let script = """
        local call = redis.call
        call('SET', KEYS[2], 'x', 'PX', 1000)
        call('SET', KEYS[3], '{}', 'NX', 'PX', 1000)
        local known = call('MGET', unpack(KEYS, 1, 2))
        if call('HLEN', KEYS[5]) == 0 then call('HINCRBY', KEYS[5], 'x', 1) end
        call('PEXPIRE', KEYS[2], math.max(1000, call('PTTL', KEYS[2])))
        call('GET', KEYS[3])
        call('GET', ARGV[1])
        local json = cjson.new and cjson.new() or cjson
        local readable, read = pcall(json.decode, '{"a":"parley"}')
        if not readable or known[2] ~= 'x' or not string.match('a 1', '^(%S*) (%d+)$') then return 'no' end
        return read.a
        """
}
