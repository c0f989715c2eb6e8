import ArgumentParser
import ChatJobs
import Operations
import ParleyJSON

struct CostsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "costs", abstract: "Shows what answers have cost.",
        discussion: """
            Answers, how many of them were reused, calls of the model, how many of those came to no answer, their tokens (all \
            calls'), and money where model.prices are set. Days are those of UTC; they are kept for 400 days.
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var output: JSONOption
    @Option(help: "tenant, agent, model or day.") var by = "day"
    @Option(
        help: ArgumentHelp(
            "From the day of this moment on: RFC 3339, a date such as 2026-11-22, or a duration such as 7d for that long ago.",
            valueName: "when"))
    var since = "30d"

    func run() async throws {
        guard let grouping = Costs.Grouping(rawValue: by) else {
            throw CommandFailure(.wrong, "--by \(by): allowed are tenant, agent, model, day")
        }
        let now = Moment.now
        guard let start = Moment.parse(since) ?? Timestamp("\(since)T00:00:00Z"), start <= now,
            now.since(start) <= .seconds(400 * 86_400)
        else {
            throw CommandFailure(
                .wrong,
                "--since \(since): allowed are RFC 3339, a date, or a duration such as 24h, within the last 400 days")
        }
        let context = try await common.operatorContext()
        let costs = try await costs(
            since: start, until: now, by: grouping, redis: context.redis, keys: context.keys, logger: context.logger)
        if output.json { printLine(json(costs, grouping)) } else { show(costs, grouping) }
    }

    private func json(_ costs: Costs, _ grouping: Costs.Grouping) -> [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.key("rows")
            json.array { list in
                for row in costs.rows {
                    list.object {
                        $0.key(named: grouping.rawValue)
                        $0.string(row.name)
                        $0.member("answers", row.answers)
                        $0.member("reused", row.reused)
                        $0.member("calls", row.calls)
                        $0.member("failed_calls", row.failedCalls)
                        $0.member("estimated_calls", row.estimatedCalls)
                        $0.member("prompt_tokens", row.promptTokens)
                        $0.member("completion_tokens", row.completionTokens)
                        $0.member("cached_tokens", row.cachedTokens)
                        $0.member("cost", row.cost)
                        $0.member("currency", row.currency)
                    }
                }
            }
        }
        return json.bytes
    }

    private func show(_ costs: Costs, _ grouping: Costs.Grouping) {
        guard !costs.rows.isEmpty else { return printLine("nothing was answered since \(since)") }
        var table = [
            [grouping.rawValue, "answers", "reused", "calls", "failed", "prompt", "completion", "cached", "cost"]
        ]
        for row in costs.rows {
            table.append([
                row.name.isEmpty ? "-" : oneLine(row.name), "\(row.answers)", "\(row.reused)", "\(row.calls)",
                "\(row.failedCalls)",
                "\(row.promptTokens)", "\(row.completionTokens)", "\(row.cachedTokens)",
                row.currency.map { "\(row.cost) \(oneLine($0))" } ?? "-",
            ])
        }
        let widths = table[0].indices.map { column in table.map { $0[column].count }.max() ?? 0 }
        for line in table {
            let cells = line.enumerated().map { column, cell in
                let padding = String(repeating: " ", count: widths[column] - cell.count)
                return column == 0 ? cell + padding : padding + cell
            }
            printLine(cells.joined(separator: "  "))
        }
    }
}
