import ArgumentParser
import Operations
import ParleyJSON
import Synchronization

struct DeadListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Groups dead letters by error code and queue, with counts and a sample.",
        discussion: "Filters that are given must all hold.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var filters: FilterOptions
    @OptionGroup var output: JSONOption
    @Flag(help: "One line for each letter, oldest first, instead of groups.") var each = false
    @Option(help: "With --each: the most letters.") var limit: Int?

    func run() async throws {
        let filter = try filters.filter()
        if let limit, limit < 1 { throw CommandFailure(.wrong, "--limit \(limit): 1 or more is allowed") }
        if limit != nil, !each { throw CommandFailure(.wrong, "--limit is for single letters: add --each") }
        let letters = try await common.operatorContext().letters
        let progress = SharedProgress("letters looked at")
        let isEmpty: Bool
        if each {
            isEmpty = try await list(letters, filter) == 0
        } else {
            let groups = try await letters.groups(filter) { progress.show($0, of: $1) }
            progress.end()
            if !Interruption.isRequested { show(groups, letters.queue) }
            isEmpty = groups.isEmpty
        }
        if isEmpty, !Interruption.isRequested { await letters.explainNothing() }
        if Interruption.isRequested { throw CommandFailure(.interrupted, "") }
    }

    /// - Returns: how many letters were looked at.
    private func list(_ letters: DeadLetters, _ filter: LetterFilter) async throws -> Int {
        let left = Mutex(limit ?? .max)
        return try await letters.look(filter) { letter in
            if output.json {
                var json = JSONWriter()
                letter.write(to: &json)
                printLine(json.bytes)
            } else {
                printLine("\(letter.deadAt?.rfc3339 ?? "at an unknown time")  \(describe(letter))")
            }
            return left.withLock {
                $0 -= 1
                return $0 > 0
            }
        }
    }

    private func show(_ groups: [LetterGroup], _ queue: String) {
        if output.json {
            for group in groups {
                var json = JSONWriter()
                group.write(to: &json)
                printLine(json.bytes)
            }
            return
        }
        for group in groups {
            let code = group.code.isEmpty ? "(no error code)" : oneLine(group.code)
            let source = group.sourceQueue.isEmpty ? "" : "  from \(oneLine(group.sourceQueue))"
            printLine("\(group.count)  \(code)\(source)")
            if let first = group.first, let last = group.last {
                printLine("    died \(first.rfc3339) to \(last.rfc3339)")
            }
            printLine("    oldest: \(describe(group.sample))")
        }
        let total = groups.reduce(0) { $0 + $1.count }
        printLine(total == 0 ? "no dead letters in \(queue)" : "\(total) dead letters in \(queue)")
    }
}

/// A letter in one line.
private func describe(_ letter: DeadLetter) -> String {
    var text = letter.id ?? "(no id)"
    if let code = letter.code { text += "  \(code)" }
    if let tenant = letter.tenant { text += "  tenant \(tenant)" }
    if let attempts = letter.attempts { text += "  attempts \(attempts)" }
    if letter.requeues > 0 { text += "  requeued \(letter.requeues) times" }
    if let error = letter.error { text += "  \(error)" }
    return oneLine(text)
}
