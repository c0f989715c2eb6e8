import ArgumentParser
import Operations
import ParleyJSON
import Synchronization

struct DeadListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Groups dead letters by error code and queue, with the three commonest reasons.",
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
        let look: DeadLetters.Look
        if each {
            look = try await list(letters, filter)
        } else {
            let found = try await letters.groups(filter) { progress.show($0, of: $1) }
            progress.end()
            look = found.look
            if !Interruption.isRequested { show(found.groups, look, letters.queue, filter) }
        }
        if look.hadCompany { tellOfCompany() }
        if look.scanned == 0, !Interruption.isRequested { await letters.explainNothing() }
        if Interruption.isRequested { throw CommandFailure(.interrupted, "") }
    }

    private func list(_ letters: DeadLetters, _ filter: LetterFilter) async throws -> DeadLetters.Look {
        let most = limit ?? .max
        let left = Mutex(most)
        let look = try await letters.look(filter) { letter in
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
        if left.withLock({ $0 }) == most, !output.json, !Interruption.isRequested {
            tellOfNone(look, letters.queue, filter)
        }
        return look
    }

    private func tellOfNone(_ look: DeadLetters.Look, _ queue: String, _ filter: LetterFilter) {
        let which = filter.isEmpty || look.scanned == 0 ? "" : ", of \(look.scanned) that were looked at"
        // With company there may be some: that is said instead.
        if !look.hadCompany { printLine("no dead letters in \(queue)\(which)") }
    }

    private func show(_ groups: [LetterGroup], _ look: DeadLetters.Look, _ queue: String, _ filter: LetterFilter) {
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
            let reasons = group.reasons
            for reason in reasons { printLine("    \(reason.count) × \(oneLine(reason.error))") }
            let others = group.count - reasons.reduce(0) { $0 + $1.count }
            if others > 0, !reasons.isEmpty { printLine("    \(others) with other reasons") }
            printLine("    oldest: \(describe(group.sample, withReason: reasons.isEmpty))")
        }
        let total = groups.reduce(0) { $0 + $1.count }
        guard total > 0 else { return tellOfNone(look, queue, filter) }
        printLine(
            "\(total) dead letters in \(queue)" + (filter.isEmpty ? "" : ", of \(look.scanned) that were looked at"))
    }
}

/// A letter in one line.
private func describe(_ letter: DeadLetter, withReason: Bool = true) -> String {
    var text = letter.id ?? "(no id, digest \(letter.shortDigest))"
    if let code = letter.code { text += "  \(code)" }
    if let tenant = letter.tenant { text += "  tenant \(tenant)" }
    if let attempts = letter.attempts { text += "  attempts \(attempts)" }
    if letter.requeues > 0 { text += "  requeued \(letter.requeues) times" }
    if withReason, let error = letter.error { text += "  \(error)" }
    return oneLine(text)
}
