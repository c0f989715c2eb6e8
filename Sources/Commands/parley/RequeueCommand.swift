import ArgumentParser
import Operations

struct RequeueCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "requeue",
        abstract: "Sends dead letters back to the queues they came from, with a fresh attempt count.",
        discussion: """
            Give --all, or filters, which must all hold. A letter is let go only once the broker has confirmed the job; \
            ctrl-C finishes what is in flight and prints the summary. Letters that die again meanwhile are left alone. \
            Two commands share the letters out between them: what one holds while it looks, the other does not see. \
            A job that was revoked, or whose deadline is over, is not answered this time either.
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var filters: FilterOptions
    @OptionGroup var output: JSONOption
    @Flag(help: "Every dead letter.") var all = false
    @Option(help: "The most letters to send back, oldest first.") var limit: Int?
    @Option(help: "The most letters a second.") var rate: Double?
    @Flag(help: "Only counts what would be sent back.") var dryRun = false
    @Flag(help: "Also letters that are not signed with secrets.letter_key.") var unsigned = false

    func run() async throws {
        var request = RequeueRequest()
        request.filter = try filters.filter()
        guard all || !request.filter.isEmpty else {
            throw CommandFailure(
                .wrong, "which letters? Give --all, or a filter: --id, --digest, --error, --tenant, --before, --after")
        }
        if let limit, limit < 1 { throw CommandFailure(.wrong, "--limit \(limit): 1 or more is allowed") }
        if let rate, !(rate >= 0.01 && rate <= 1_000_000) {
            throw CommandFailure(.wrong, "--rate \(rate): 0.01 to 1000000 letters a second are allowed")
        }
        request.limit = limit
        request.rate = rate
        request.isDryRun = dryRun
        let context = try await common.operatorContext()
        let words =
            request.filter.description + (limit.map { " limit=\($0)" } ?? "")
            + (unsigned ? " unsigned" : "")
        if !dryRun { await context.audit.record("requeue", "started", filters: words) }
        let progress = SharedProgress("letters looked at")
        let letters = unsigned ? context.unsignedLetters : context.letters
        let summary = await letters.requeue(request) { progress.show($0, of: $1) }
        progress.end()
        for (queue, count) in summary.missingQueues.sorted(by: { $0.key < $1.key }) {
            printError(
                "warning: \(oneLine(queue)) is no job queue of this configuration, or does not exist any more: "
                    + "\(count) jobs went to \(context.queues.names.base)"
            )
        }
        if !dryRun { await context.audit.record(summary, filters: words) }
        if summary.scanned == 0, summary.problem == nil, !summary.isInterrupted {
            await context.letters.explainNothing()
        }
        try finish(
            summary, json: output.json,
            text: dryRun
                ? "\(summary.matched - summary.failed) of \(summary.scanned) dead letters would be requeued"
                : "\(summary.done) of \(summary.matched) dead letters requeued in \(rounded(summary.seconds)) s")
    }
}
