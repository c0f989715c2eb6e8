import Adapters
import ParleyRedis

extension HealthCheck {
    /// Does what a worker does with keys that only a probe would use: nothing is left behind.
    func checkRedis() async -> CheckResult {
        let client = RedisClient(configuration: assembly.redis, loop: assembly.loop, logger: logger)
        let result: CheckResult
        do throws(RedisError) {
            try await client.connect()
            result = try await probe(client)
        } catch {
            let isWrong = error.code == .authenticationFailed || error.code == .invalidConfiguration
            result = CheckResult(
                name: "redis", outcome: isWrong ? .wrong : .unreachable,
                detail: "\(assembly.redis.redacted): \(error.message) (redis.url)")
        }
        await client.close()
        return result
    }

    private func probe(_ client: RedisClient) async throws(RedisError) -> CheckResult {
        let address = assembly.redis.redacted
        func wrong(_ what: String) -> CheckResult {
            CheckResult(name: "redis", outcome: .wrong, detail: "\(address)\(what)")
        }
        let prefix = assembly.keys.prefix
        let keys = ["result", "claim", "worker", "revoked"].map { "\(prefix):\($0):parley-check" }
        let server = try await client.send(RedisCommand("INFO", "server"))
        // First: a cluster may refuse a key for another's.
        if server.string?.contains("redis_mode:cluster") == true {
            return wrong(" is a Redis Cluster: a single primary is needed, with or without replicas")
        }
        let steps: [(what: String, command: RedisCommand)] = [
            ("results cannot be written", RedisCommand("SET", keys[0], "{}", "PX", 1000)),
            ("results cannot be read", RedisCommand("MGET", keys[0], keys[3])),
            (
                "scripts cannot be run, which every job needs: Redis 7, or a stand-in that has EVAL and lets this user use it",
                RedisCommand("EVAL", Self.script, keys.count, keys[0], keys[1], keys[2], keys[3])
            ),
            ("revocations cannot be read", RedisCommand("GET", assembly.keys.revocations)),
            ("results cannot be deleted", RedisCommand("DEL", keys[0], keys[1], keys[2])),
        ]
        let answers = try await client.send(steps.map(\.command))
        for (step, answer) in zip(steps, answers) {
            if let refusal = answer.refusal { return wrong(": \(step.what): \(refusal)") }
        }
        guard answers[2].string == "parley" else {
            return wrong(": scripts do not work as they do in Redis 7, which every job needs")
        }
        let answer = try await client.send(
            RedisCommand(
                script: RedisResults.dropOld, keys: [assembly.keys.audit], arguments: [[], [], Array("0".utf8)]))
        if let refusal = answer.refusal {
            return CheckResult(
                name: "redis", outcome: .warning,
                detail:
                    "\(address): a worker with this user could not drop audit entries older than audit.ttl: \(refusal)")
        }
        let version = server.string?.split(separator: "\r\n").first { $0.hasPrefix("redis_version:") }
        return CheckResult(
            name: "redis", outcome: .ok, detail: "\(address): Redis \(version?.dropFirst(14) ?? "of unknown version")")
    }

    /// What the workers' scripts use of Redis and of its Lua.
    private static let script = """
        local call = redis.call
        call('SET', KEYS[2], 'x', 'PX', 1000)
        call('SET', KEYS[3], '{}', 'NX', 'PX', 1000)
        local known = call('MGET', KEYS[1], KEYS[2], KEYS[4])
        call('PEXPIRE', KEYS[2], call('PTTL', KEYS[2]))
        call('GET', KEYS[3])
        local json = cjson.new and cjson.new() or cjson
        local readable, read = pcall(json.decode, '{"a":"parley"}')
        if not readable or known[2] ~= 'x' then return 'no' end
        return read.a
        """
}
