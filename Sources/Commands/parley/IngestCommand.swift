import ArgumentParser
import Glibc
import Logging
import ParleyJSON
import Retrieval
import Synchronization
import Worker

struct IngestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ingest",
        abstract: "Loads documents into the vector store: Markdown, text, HTML, CSV, JSON Lines, PDF, Word.",
        discussion: """
            Run again, it replaces changed documents and removes those that are gone from the files and folders that are named: \
            what lies elsewhere stays, and so does what cannot be read. When more than a fifth of all would go, it asks on a \
            terminal; elsewhere --yes is needed. Of several documents with one id the first counts.
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var output: JSONOption
    @Option(help: "The agent whose passages they are; the default one's unless given.") var agent: String?
    @Flag(help: "Removes nothing.") var keep = false
    @Flag(help: "Makes everything anew, beside what there is, and changes over at the end.") var anew = false
    @Flag(help: "Says what would be done, and does nothing. Exit status 1 when something cannot be read.")
    var dryRun = false
    @Flag(help: "Does not ask.") var yes = false
    @Argument(help: "Files or folders.") var paths: [String]

    func run() async throws {
        let settings = try await common.load()
        let assembly = try Assembly(settings, logger: Logger(label: "parley"))
        let agent = try assembly.agent(named: agent)
        let line = Mutex(ProgressLine())
        var options = Ingestor.Options(batchSize: settings.embeddings.batch, removesVanished: !keep)
        options.makesAnew = anew
        let ingestor = Ingestor(embedder: assembly.embedder, store: agent.store, options: options)
        let plan = try await ingestor.plan(paths: paths, isTrial: dryRun)
        for skipped in plan.summary.skipped {
            printError(
                oneLine("\(skipped.isUnreadable ? "cannot be read" : "left out") \(skipped.path): \(skipped.reason)"))
        }
        if let reason = plan.summary.reason {
            printError(oneLine("everything is made anew at \(agent.store.location), \(reason)"))
        }
        if dryRun { return try show(plan.summary, agent.store.location) }
        try confirm(plan.summary, agent.store.location)
        let summary = try await ingestor.carryOut(plan) { progress in
            line.withLock { $0.show(progress.done, of: progress.total, "passages \(progress.phase.rawValue)") }
        }
        line.withLock { $0.end() }
        if output.json { return printJSON(summary) }
        printLine(
            "\(agent.store.location): \(counts(summary)); \(summary.passages) passages stored"
                + (summary.reused > 0 ? ", \(summary.reused) of which had been embedded before" : ""))
    }

    private func confirm(_ summary: IngestSummary, _ location: String) throws {
        guard summary.removesMany, !yes else { return }
        let what = "\(summary.removed) of the \(summary.known) documents in \(location)"
        guard isatty(STDIN_FILENO) != 0 else {
            throw CommandFailure(
                .wrong,
                "\(what) would be removed, since they are gone from what was named: nothing was changed; add --yes if that is "
                    + "meant, --keep to remove nothing, or --dry-run to see which")
        }
        guard confirmed("Remove \(what), which are gone from what was named? [y/N] ") else {
            throw CommandFailure(.failed, "nothing was changed")
        }
    }

    private func counts(_ summary: IngestSummary) -> String {
        "\(summary.added) documents added, \(summary.changed) changed, \(summary.unchanged) unchanged, "
            + "\(summary.removed) removed"
            + (summary.unreadable.isEmpty ? "" : ", \(summary.unreadable.count) unreadable")
    }

    // MARK: - Trying out

    private func show(_ summary: IngestSummary, _ location: String) throws {
        if output.json {
            printJSON(summary)
        } else {
            for (word, ids) in lists(summary) { for id in ids { printLine("\(word)  \(oneLine(id))") } }
            printLine("\(location) would have \(counts(summary)); nothing was changed")
        }
        guard summary.unreadable.isEmpty else { throw CommandFailure(.failed, "") }
    }

    private func lists(_ summary: IngestSummary) -> [(word: String, ids: [String])] {
        [("added", summary.addedIDs), ("changed", summary.changedIDs), ("removed", summary.removedIDs)]
    }

    private func printJSON(_ summary: IngestSummary) {
        var json = JSONWriter()
        json.object { json in
            if dryRun { json.member("dry_run", true) }
            json.member("added", summary.added)
            json.member("changed", summary.changed)
            json.member("unchanged", summary.unchanged)
            json.member("removed", summary.removed)
            json.member("unreadable", summary.unreadable.count)
            json.member("passages", summary.passages)
            json.member("reused", summary.reused)
            json.member("skipped", summary.skipped.count)
            guard dryRun else { return }
            json.key("documents")
            json.object { json in
                for (word, ids) in lists(summary) {
                    json.key(named: word)
                    json.array { for id in ids { $0.string(id) } }
                }
                json.key("unreadable")
                json.array { list in
                    for input in summary.unreadable {
                        list.object {
                            $0.member("path", input.path)
                            $0.member("reason", input.reason)
                        }
                    }
                }
            }
        }
        printLine(json.bytes)
    }
}
