import ChatJobs
import ParleyRedis
import Pipeline
import Topology

/// An account as the script that stores an answer notes it.
extension Account {
    /// A day has at most so many fields; what comes then is noted under nobody's name.
    private static let mostFields: Int64 = 50_000
    private static let life: Int64 = 400 * 86_400 * 1000

    /// `2026-11-22`.
    var day: String { String(at.rfc3339.prefix(10)) }

    /// The beginning of its fields, another for when there are too many, how many are, what is counted, how long it is kept.
    var arguments: [RedisCommand.Argument] {
        let currency = usage.cost?.currency
        let counts: [(LedgerField.Count, Int)] = [
            (.answers, 1), (.reused, isReused ? 1 : 0), (.calls, usage.calls), (.promptTokens, usage.promptTokens),
            (.completionTokens, usage.completionTokens), (.cachedTokens, usage.cachedTokens),
            (.cost, Int(((usage.cost?.amount ?? 0) * 1_000_000_000).rounded())),
        ]
        return [
            .text(LedgerField.beginning(tenant: tenant, agent: agent, model: model, currency: currency)),
            .text(LedgerField.beginning(tenant: "…", agent: "…", model: "…", currency: currency)),
            .number(Self.mostFields),
        ] + counts.filter { $1 != 0 }.flatMap { [.text($0.rawValue), .number(Int64($1))] } + [.number(Self.life)]
    }
}
