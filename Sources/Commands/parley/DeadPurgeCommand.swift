import ArgumentParser
import Glibc
import Operations

struct DeadPurgeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "purge", abstract: "Removes dead letters for good.",
        discussion: "Asks on a terminal; elsewhere --yes is needed. Filters that are given must all hold.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var filters: FilterOptions
    @OptionGroup var output: JSONOption
    @Flag(help: "Every dead letter.") var all = false
    @Flag(help: "Does not ask.") var yes = false
    @Flag(help: "Only counts.") var dryRun = false

    func run() async throws {
        let filter = try filters.filter()
        guard all || !filter.isEmpty else {
            throw CommandFailure(
                .wrong, "which letters? Give --all, or a filter: --id, --digest, --error, --tenant, --before, --after")
        }
        guard yes || dryRun || isatty(STDIN_FILENO) != 0 else {
            throw CommandFailure(
                .wrong, "purging cannot be undone, and there is no terminal to ask on: add --yes, or --dry-run to count"
            )
        }
        let context = try await common.operatorContext()
        let letters = context.letters
        if !yes, !dryRun {
            let count = try await counted(letters, filter)
            guard count == 0 || confirmed("Purge \(count) dead letters from \(letters.queue) for good? [y/N] ")
            else {
                throw CommandFailure(.failed, "nothing was purged")
            }
        }
        let words = filter.description
        if !dryRun { await context.audit.record("purge", "started", filters: words) }
        let progress = SharedProgress("letters looked at")
        let summary = await letters.purge(filter, dryRun: dryRun) { progress.show($0, of: $1) }
        progress.end()
        if !dryRun { await context.audit.record(summary, filters: words) }
        if summary.scanned == 0, summary.problem == nil, !summary.isInterrupted { await letters.explainNothing() }
        try finish(
            summary, json: output.json,
            text: dryRun
                ? "\(summary.matched) dead letters would be purged from \(letters.queue)"
                : "\(summary.done) dead letters purged from \(letters.queue) in \(rounded(summary.seconds)) s")
    }

    private func counted(_ letters: DeadLetters, _ filter: LetterFilter) async throws -> Int {
        let progress = SharedProgress("letters counted")
        let summary = await letters.purge(filter, dryRun: true) { progress.show($0, of: $1) }
        progress.end()
        if summary.isInterrupted { throw CommandFailure(.interrupted, "") }
        if let problem = summary.problem { throw problem }
        return summary.matched
    }
}
