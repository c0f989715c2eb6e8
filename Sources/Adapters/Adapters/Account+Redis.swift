import ChatJobs
import ParleyRedis
import Pipeline
import Synchronization
import Topology

/// An account as the script that stores an answer notes it.
extension Account {
    /// A day has at most so many fields; what comes then is noted under nobody's name.
    private static let mostFields: Int64 = 50_000
    private static let life: Int64 = 400 * 86_400 * 1000

    private static let everybody = LedgerField.beginning(tenant: "…", agent: "…", model: "…", currency: nil)
    private static let today = Mutex<(number: Int64, text: String)>((-1, ""))

    /// `2026-11-22`. Made once a day.
    var day: String {
        let number = at.milliseconds / 86_400_000
        return Self.today.withLock { today in
            if today.number != number { today = (number, String(at.rfc3339.prefix(10))) }
            return today.text
        }
    }

    /// The beginning of its fields, another for when there are too many, how many are, what is counted, how long it is kept.
    var arguments: [RedisCommand.Argument] {
        var arguments: [RedisCommand.Argument] = [
            .text(
                LedgerField.beginning(tenant: tenant, agent: agent, model: model, currency: usage.cost?.currency)),
            .text(Self.everybody), .number(Self.mostFields),
        ]
        func add(_ count: LedgerField.Count, _ number: Int) {
            guard number != 0 else { return }
            arguments.append(.text(count.rawValue))
            arguments.append(.number(Int64(number)))
        }
        add(.answers, 1)
        add(.reused, isReused ? 1 : 0)
        add(.calls, usage.calls)
        add(.promptTokens, usage.promptTokens)
        add(.completionTokens, usage.completionTokens)
        add(.cachedTokens, usage.cachedTokens)
        let billionths = ((usage.cost?.amount ?? 0) * 1_000_000_000).rounded()
        // What a service counts may be absurd: more than ten million of the currency is noted as that.
        if billionths.isFinite { add(.cost, Int(min(max(0, billionths), 1e16))) }
        arguments.append(.number(Self.life))
        return arguments
    }
}
