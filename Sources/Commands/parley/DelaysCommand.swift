import ArgumentParser
import Glibc
import Operations
import ParleyJSON
import Synchronization
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
    @Flag(help: "One line for each job, with its id and when it is due. Holds the jobs while it looks.") var each =
        false

    func run() async throws {
        let delays = try await common.operatorContext().delays
        if each { return try await list(delays) }
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

    private func list(_ delays: Delays) async throws {
        let count = Mutex(0)
        Interruption.watch()
        let isOver: @Sendable () -> Bool = { Interruption.isRequested }
        _ = try await delays.look(isInterrupted: isOver) { job in
            count.withLock { $0 += 1 }
            if output.json {
                var json = JSONWriter()
                job.write(to: &json)
                printLine(json.bytes)
            } else {
                let due = job.due?.rfc3339 ?? "at an unknown time"
                printLine("\(due)  \(oneLine(job.id ?? "(no id)"))" + (job.queue.map { "  to \(oneLine($0))" } ?? ""))
            }
            return false
        }
        if Interruption.isRequested { throw CommandFailure(.interrupted, "") }
        if !output.json { printLine("\(count.withLock { $0 }) jobs wait in the delay queues of \(delays.ladder.base)") }
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
        commandName: "remove", abstract: "Removes the delay queues and their exchanges, or single jobs from them.",
        discussion: """
            With --id only those jobs are removed; parley revoke has them answered as revoked instead. Without it:
            Refuses while jobs wait in them. Workers declare them again when a job has to wait, so stop those first. \
            Asks on a terminal; elsewhere --yes is needed.
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var output: JSONOption
    @Option(name: .customLong("id"), help: ArgumentHelp("Only the jobs of this id. May be repeated.", valueName: "id"))
    var ids: [String] = []
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
        if !ids.isEmpty { return try await removeJobs(context) }
        let depth = try await delays.depth()
        guard depth.exists else {
            if output.json { return printLine(Array(#"{"lost":0,"existed":false}"#.utf8)) }
            return printLine("there are no delay queues of \(base): nothing was removed")
        }
        let waiting = depth.total
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
                json.object {
                    $0.member("lost", lost)
                    $0.member("existed", true)
                }
                printLine(json.bytes)
            } else {
                printLine("the delay queues of \(base) are removed" + (lost == 0 ? "" : ", \(lost) jobs lost"))
            }
        } catch {
            await context.audit.record("remove delays", "failed", filters: words)
            throw error
        }
    }

    private func removeJobs(_ context: OperatorContext) async throws {
        if ids.contains("") { throw CommandFailure(.wrong, "--id \"\": an id is needed") }
        let wanted = Set(ids)
        guard yes || confirmed("Remove \(wanted.count) jobs from the delay queues for good? [y/N] ") else {
            throw CommandFailure(.failed, "nothing was removed")
        }
        let words =
            "id=" + ids.prefix(20).joined(separator: ",") + (ids.count > 20 ? " and \(ids.count - 20) more" : "")
        await context.audit.record("remove delayed jobs", "started", filters: words)
        let removed: Int
        do {
            removed = try await context.delays.look { $0.id.map(wanted.contains) ?? false }
        } catch {
            await context.audit.record("remove delayed jobs", "failed", filters: words)
            throw error
        }
        await context.audit.record("remove delayed jobs", "done", filters: words, counts: [("removed", removed)])
        if output.json {
            var json = JSONWriter()
            json.object { $0.member("removed", removed) }
            printLine(json.bytes)
        } else if removed > 0 {
            printLine("\(removed) jobs removed from the delay queues of \(context.delays.ladder.base)")
        }
        guard removed > 0 else {
            throw CommandFailure(
                .failed,
                "no job with such an id waits in the delay queues of \(context.delays.ladder.base): nothing was removed"
            )
        }
    }
}
