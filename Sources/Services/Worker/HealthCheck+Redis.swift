import ParleyRedis

extension HealthCheck {
    func checkRedis() async -> CheckResult {
        let client = RedisClient(configuration: assembly.redis, loop: assembly.loop, logger: logger)
        let address = assembly.redis.redacted
        let result: CheckResult
        do throws(RedisError) {
            try await client.connect()
            let suitability = try await RedisSuitability(of: client, assembly.keys)
            let detail = suitability.problem ?? suitability.version ?? "Redis of unknown version"
            result = CheckResult(
                name: "redis", outcome: suitability.problem == nil ? .ok : .wrong, detail: "\(address): \(detail)")
        } catch {
            let isWrong = error.code == .authenticationFailed || error.code == .invalidConfiguration
            result = CheckResult(
                name: "redis", outcome: isWrong ? .wrong : .unreachable,
                detail: "\(address): \(error.message) (redis.url)")
        }
        await client.close()
        return result
    }
}
