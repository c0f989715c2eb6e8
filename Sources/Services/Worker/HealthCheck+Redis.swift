import Adapters
import ParleyRedis
import ParleySettings

extension HealthCheck {
    func checkRedis() async -> CheckResult {
        let client = RedisClient(configuration: assembly.redis, loop: assembly.loop, logger: logger)
        let address = assembly.redis.redacted
        let result: CheckResult
        do throws(RedisError) {
            try await client.connect()
            let suitability = try await RedisSuitability(of: client, assembly.keys)
            let detail = suitability.problem ?? suitability.version ?? "Redis of unknown version"
            let kept = Quantity.text(assembly.settings.auditTTL)
            let audit = RedisCommand(
                script: RedisResults.dropOld, keys: [assembly.keys.audit],
                arguments: [.text(""), .text(""), .text("0")])
            if suitability.problem == nil, let refusal = try await client.send(audit).refusal {
                result = CheckResult(
                    name: "redis", outcome: .warning,
                    detail:
                        "\(address): the audit grows without end: this user may not drop entries older than audit.ttl "
                        + "(\(kept)), a worker's may with config/redis: \(refusal)")
            } else {
                result = CheckResult(
                    name: "redis", outcome: suitability.problem == nil ? .ok : .wrong,
                    detail: "\(address): \(detail)"
                        + (suitability.problem == nil ? "; audit entries are kept for \(kept)" : ""))
            }
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
