import ArgumentParser
import Operations
import ParleyJSON
import ParleySettings

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Shows queues, servers and workers at a glance.",
        discussion:
            "Exit status 3 when RabbitMQ or Redis cannot be reached; what the other knows is shown all the same.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var output: JSONOption
    @Flag(help: "Shows it again and again, until interrupted.") var watch = false
    @Option(help: "With --watch: how often.") var every = "2s"

    func run() async throws {
        guard let interval = Quantity.duration(every), interval >= .milliseconds(100) else {
            throw CommandFailure(.wrong, "--every \(every): a duration from 100ms, such as 2s, is needed")
        }
        let context = try await common.operatorContext()
        var isFirst = true
        while true {
            let status = await SystemStatus.read(
                rabbitMQ: context.rabbitMQ, redis: context.redis, queues: context.queues, keys: context.keys,
                looksClosely: isFirst, logger: context.logger)
            // Before a screen that is rewritten, and not again.
            for queue in status.queues { if let warning = queue.warning { printError("warning: \(oneLine(warning))") } }
            isFirst = false
            if output.json {
                var json = JSONWriter()
                status.write(to: &json)
                printLine(json.bytes)
            } else {
                let text = lines(of: status)
                if watch, isTerminal {
                    rewriteScreen(text)
                } else {
                    printLine(text.map(oneLine).joined(separator: "\n"))
                }
            }
            guard watch else {
                if let problem = status.problem { throw CommandFailure(CommandFailure.status(of: problem), "") }
                return
            }
            try await Task.sleep(for: interval)
        }
    }

    private func lines(of status: SystemStatus) -> [String] {
        var lines: [String] = []
        for service in status.services {
            let state = service.problem.map { "\(service.state): \($0.message)" }
            lines.append(padded(service.name, 10) + (state ?? "\(service.version ?? "unknown")  \(service.address)"))
        }
        if !status.queues.isEmpty {
            let width = max(12, (status.queues.map(\.name.count).max() ?? 0) + 2)
            lines += ["", padded("QUEUE", width) + padded("KIND", 7) + right("MESSAGES", 10) + right("CONSUMERS", 11)]
            for queue in status.queues {
                let messages = queue.messages.map { "\($0)" } ?? (queue.kind == .delay ? "none" : "missing")
                lines.append(
                    padded(queue.name, width) + padded(queue.kind.rawValue, 7) + right(messages, 10)
                        + right(queue.consumers.map { "\($0)" } ?? "", 11))
            }
        }
        lines.append("")
        if status.workers?.isEmpty == false {
            lines.append(
                padded("WORKER", 28) + padded("STATE", 10) + right("IN FLIGHT", 10) + right("JOBS/S", 9)
                    + right("JOBS", 10) + "  WAITS FOR")
        }
        for worker in status.workers ?? [] {
            let name = "\(worker.host ?? "?"):\(worker.pid.map { "\($0)" } ?? "?")"
            lines.append(
                padded(name, 28) + padded(worker.state ?? "", 10) + right(worker.inFlight.map { "\($0)" } ?? "", 10)
                    + right(worker.rate.map { rounded($0) } ?? "", 9) + right(worker.jobs.map { "\($0)" } ?? "", 10)
                    + "  " + worker.away.joined(separator: ", "))
        }
        let depths = [("ready", SystemStatus.Kind.jobs), ("delayed", .delay), ("dead", .dead)].map { word, kind in
            "\(status.messages(kind).map { "\($0)" } ?? "unknown") \(word)"
        }
        let workers =
            if let workers = status.workerCount, let inFlight = status.inFlight, let rate = status.rate {
                "\(workers) workers with \(inFlight) in flight, \(rounded(rate)) jobs/s"
            } else {
                "workers unknown"
            }
        lines.append((status.queues.isEmpty ? ["queues unknown"] : depths).joined(separator: ", ") + ", " + workers)
        return lines
    }

    private func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(1, width - text.count))
    }

    private func right(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(1, width - text.count)) + text
    }
}
