import ChatJobs
import Logging
import ParleyRedis
import Topology

/// What answers have cost, from the ledger in Redis.
package struct Costs: Sendable, Equatable {
    package enum Grouping: String, Sendable, CaseIterable { case tenant, agent, model, day }

    package struct Row: Sendable, Equatable {
        /// The tenant, agent, model or day; empty when the jobs named none.
        package var name: String
        /// Nil where no prices were configured.
        package var currency: String?
        package var answers = 0
        package var reused = 0
        package var calls = 0
        /// Of the calls those that came to no answer.
        package var failedCalls = 0
        /// Of the calls those of which the service did not say all that it counted.
        package var estimatedCalls = 0
        package var promptTokens = 0
        package var completionTokens = 0
        package var cachedTokens = 0
        /// In billionths of the currency.
        package var billionths = 0

        package var cost: Double { Double(billionths) / 1_000_000_000 }
    }

    /// By name; of one name a row for each currency.
    package var rows: [Row] = []

    /// - Parameter days: as `2026-11-22`, with the fields of each.
    package init(_ days: [(day: String, fields: [(name: String, value: Int)])], by grouping: Grouping) {
        struct Key: Hashable {
            let name: String
            let currency: String
        }
        var rows: [Key: Row] = [:]
        for (day, fields) in days {
            for (text, value) in fields {
                guard let field = LedgerField(text) else { continue }
                let name =
                    switch grouping {
                    case .tenant: field.tenant
                    case .agent: field.agent
                    case .model: field.model
                    case .day: day
                    }
                let currency = field.currency.isEmpty ? nil : field.currency
                let key = Key(name: name, currency: field.currency)
                var row = rows[key] ?? Row(name: name, currency: currency)
                switch field.count {
                case .answers: row.answers = sum(row.answers, value)
                case .reused: row.reused = sum(row.reused, value)
                case .calls: row.calls = sum(row.calls, value)
                case .failedCalls: row.failedCalls = sum(row.failedCalls, value)
                case .estimatedCalls: row.estimatedCalls = sum(row.estimatedCalls, value)
                case .promptTokens: row.promptTokens = sum(row.promptTokens, value)
                case .completionTokens: row.completionTokens = sum(row.completionTokens, value)
                case .cachedTokens: row.cachedTokens = sum(row.cachedTokens, value)
                case .cost: row.billionths = sum(row.billionths, value)
                }
                rows[key] = row
            }
        }
        self.rows = rows.values.sorted { ($0.name, $0.currency ?? "") < ($1.name, $1.currency ?? "") }
    }
}

/// Reads the ledger of the days from `since` on, today's included.
///
/// - Throws: ``OperationError`` when Redis is away or refuses.
package func costs(
    since: Timestamp, until now: Timestamp, by grouping: Costs.Grouping, redis: RedisConfiguration, keys: RedisKeys,
    logger: Logger
) async throws(OperationError) -> Costs {
    var days: [String] = []
    let day: Int64 = 86_400_000
    for moment in stride(from: since.milliseconds / day * day, through: now.milliseconds, by: Int(day)) {
        days.append(String(Timestamp(milliseconds: moment).rfc3339.prefix(10)))
    }
    let wanted = days
    let read = try await withRedis(redis, logger: logger) { client throws(RedisError) in
        var read: [(day: String, fields: [(name: String, value: Int)])] = []
        for value in zip(wanted, try await client.send(wanted.map { RedisCommand("HGETALL", keys.costs($0)) })) {
            let parts = try value.1.get().array ?? []
            let fields = stride(from: 0, to: parts.count - 1, by: 2).compactMap { place in
                parts[place].string.map { ($0, parts[place + 1].int ?? 0) }
            }
            read.append((value.0, fields))
        }
        return read
    }
    return Costs(read, by: grouping)
}

/// At most what a number holds: what stands in Redis may be any number.
private func sum(_ one: Int, _ other: Int) -> Int {
    let (sum, isOver) = one.addingReportingOverflow(other)
    return isOver ? (one < 0 ? .min : .max) : sum
}
