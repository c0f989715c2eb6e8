import ArgumentParser
import Glibc
import Operations
import ParleyJSON
import Topology

struct DelaysCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delays", abstract: "Looks at the queues in which jobs wait for their time, and removes them.",
        subcommands: [DelaysShowCommand.self, DelaysRemoveCommand.self])
}

struct DelaysShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Shows how many jobs wait, level by level.",
        discussion: """
            A job's wait is a sum of levels, the longest first: one on the level of 2 minutes waits up to 2 minutes there, \
            and on shorter ones after it.
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var output: JSONOption

    func run() async throws {
        let delays = try await common.operatorContext().delays
        let depth = try await delays.depth()
        if output.json {
            var json = JSONWriter()
            depth.write(to: &json, of: delays.ladder)
            return printLine(json.bytes)
        }
        guard depth.exists else { return printLine("there are no delay queues of \(delays.ladder.base)") }
        // Levels that no job had to wait on yet do not exist.
        for (number, messages) in depth.levels.enumerated() where messages ?? 0 > 0 {
            let count = "\(messages ?? 0)"
            let gap = String(repeating: " ", count: max(1, 9 - count.count))
            printLine(
                "\(gap)\(count)  \(delays.ladder.queueName(ofLevel: number)), \(duration(DelayLadder.wait(onLevel: number)))"
            )
        }
        printLine("\(depth.total) jobs wait in the delay queues of \(delays.ladder.base)")
    }

    /// In the unit that keeps it short: `125 ms`, `2.13 min`.
    private func duration(_ wait: Duration) -> String {
        let seconds = wait / .seconds(1)
        return switch seconds {
        case ..<1: "\(Int(seconds * 1000)) ms"
        case ..<60: "\(Int(seconds)) s"
        case ..<3600: "\(rounded(seconds / 60)) min"
        case ..<86_400: "\(rounded(seconds / 3600)) h"
        default: "\(rounded(seconds / 86_400)) days"
        }
    }
}

struct DelaysRemoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "Removes the delay queues and their exchanges.",
        discussion: """
            Refuses while jobs wait in them. Workers declare them again when a job has to wait, so stop those first. \
            Asks on a terminal; elsewhere --yes is needed.
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var output: JSONOption
    @Flag(help: "Also when jobs wait in them: those are lost.") var force = false
    @Flag(help: "Does not ask.") var yes = false

    func run() async throws {
        guard yes || isatty(STDIN_FILENO) != 0 else {
            throw CommandFailure(
                .wrong,
                "removing cannot be undone, and there is no terminal to ask on: add --yes, or see parley delays show"
            )
        }
        let context = try await common.operatorContext()
        let delays = context.delays
        let base = delays.ladder.base
        let waiting = try await delays.depth().total
        guard force || waiting == 0 else {
            throw CommandFailure(
                .failed,
                "\(waiting) jobs wait in the delay queues of \(base): nothing was removed. Wait until they are due, or lose them with --force"
            )
        }
        let lost = waiting == 0 ? "" : ", and lose the \(waiting) jobs in them"
        guard yes || confirmed("Remove the delay queues of \(base)\(lost)? [y/N] ") else {
            throw CommandFailure(.failed, "nothing was removed")
        }
        let words = force ? "force" : "empty"
        await context.audit.record("remove delays", "started", filters: words, counts: [("waiting", waiting)])
        do {
            let lost = try await delays.remove(force: force)
            await context.audit.record("remove delays", "done", filters: words, counts: [("lost", lost)])
            if output.json {
                var json = JSONWriter()
                json.object { $0.member("lost", lost) }
                printLine(json.bytes)
            } else {
                printLine("the delay queues of \(base) are removed" + (lost == 0 ? "" : ", \(lost) jobs lost"))
            }
        } catch {
            await context.audit.record("remove delays", "failed", filters: words)
            throw error
        }
    }
}
