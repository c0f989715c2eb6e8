import ArgumentParser
import Logging
import ParleyJSON
import Retrieval
import Synchronization
import Worker

struct IngestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ingest",
        abstract: "Loads Markdown, text or JSON Lines documents into the vector store.",
        discussion: "Run again, it replaces changed documents and removes those that are gone.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var output: JSONOption
    @Option(help: "The agent whose passages they are; the default one's unless given.") var agent: String?
    @Argument(help: "Files or folders.") var paths: [String]

    func run() async throws {
        let settings = try await common.load()
        let assembly = try Assembly(settings, logger: Logger(label: "parley"))
        let agent = try assembly.agent(named: agent)
        let line = Mutex(ProgressLine())
        let ingestor = Ingestor(
            embedder: assembly.embedder, store: agent.store,
            options: .init(batchSize: settings.embeddings.batch))
        let summary = try await ingestor.ingest(paths: paths) { progress in
            line.withLock { $0.show(progress.done, of: progress.total, "passages \(progress.phase.rawValue)") }
        }
        line.withLock { $0.end() }
        for skipped in summary.skipped { printError(oneLine("left out \(skipped.path): \(skipped.reason)")) }
        if output.json { return printJSON(summary) }
        printLine(
            "\(agent.store.location): \(summary.added) documents added, \(summary.changed) changed, "
                + "\(summary.unchanged) unchanged, \(summary.removed) removed; \(summary.passages) passages stored")
    }

    private func printJSON(_ summary: IngestSummary) {
        var json = JSONWriter()
        json.object {
            $0.member("added", summary.added)
            $0.member("changed", summary.changed)
            $0.member("unchanged", summary.unchanged)
            $0.member("removed", summary.removed)
            $0.member("passages", summary.passages)
            $0.member("skipped", summary.skipped.count)
        }
        printLine(json.bytes)
    }
}
