import ArgumentParser
import ChatJobs
import Logging
import ParleyJSON
import Retrieval
import Worker

struct SearchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "search", abstract: "Shows what retrieval finds for a question, with scores.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var output: JSONOption
    @Argument(help: "The question; with --batch a file of JSON Lines with a member query (- is standard input).")
    var query: String
    @Option(help: "How many passages, 1 to 64; retrieval.top_k unless given.") var topK: Int?
    @Option(help: "The agent whose passages are searched; the default one's unless given.") var agent: String?
    @Option(
        help: "Whose question it is: that tenant's passages are found beside everybody's. Without it everybody's alone."
    )
    var tenant: String?
    @Option(help: "Passages in that language, and those that name none.") var language: String?
    @Option(
        help: ArgumentHelp(
            "What passages have to be, in place of the agent's own where both say something: agent=NAME, tag=NAME, "
                + "since=2026-01-31, until=2026-12-31, several with commas between.",
            valueName: "key=value")) var filter: String?
    @Flag(help: "Reads many questions, and prints one JSON line for each.") var batch = false

    func run() async throws {
        guard query.contains(where: { !$0.isWhitespace }) else {
            throw CommandFailure(.wrong, batch ? "a file is needed" : "query is empty; a question is needed")
        }
        let settings = try await common.load()
        let agent = try Assembly(settings, logger: Logger(label: "parley")).agent(named: agent)
        let topK = topK ?? agent.settings.retrieval.topK
        guard (1...64).contains(topK) else { throw CommandFailure(.wrong, "--top-k \(topK): 1 to 64 is allowed") }
        guard try await agent.retriever.check() != nil else {
            throw CommandFailure(.failed, "\(agent.store.location): no index yet; run parley ingest PATH")
        }
        let filter = try wanted()
        if batch {
            let lines = try LineReader(path: query)
            while let questions = try nextQuestions(lines) {
                let found = try await agent.retriever.retrieve(
                    questions.map { RetrievalQuestion($0, filter: filter) }, topK: topK, timeout: .seconds(60))
                for (question, sources) in zip(questions, found) { printJSON(question, sources) }
            }
            return
        }
        let question = RetrievalQuestion(query, filter: filter)
        let found = try await agent.retriever.retrieve([question], topK: topK, timeout: .seconds(30)).first ?? []
        if output.json { return printJSON(query, found) }
        if found.isEmpty { printLine("nothing found") }
        for (index, source) in found.enumerated() {
            printLine("[\(index + 1)] \(oneLine(source.id))  \(oneLine(source.title))  (\(rounded(source.score)))")
            printLine(source.text.split(separator: "\n").map { "    \($0)" }.joined(separator: "\n") + "\n")
        }
    }

    private func wanted() throws -> PassageFilter {
        do throws(RetrievalError) {
            var wanted = try PassageFilter(parsing: filter ?? "")
            wanted.tenant = tenant
            wanted.language = language ?? wanted.language
            return wanted
        } catch {
            throw CommandFailure(.wrong, "--filter: \(error.message)")
        }
    }

    private func nextQuestions(_ lines: LineReader) throws -> [String]? {
        var questions: [String] = []
        while questions.count < 64, let line = try lines.next() {
            guard line.contains(where: { $0 > 0x20 }) else { continue }
            guard let query = (try? JSONDocument(line))?.root["query"]?.string else {
                throw CommandFailure(.wrong, "\(query): a line without a member query")
            }
            questions.append(query)
        }
        return questions.isEmpty ? nil : questions
    }

    private func printJSON(_ question: String, _ sources: [Source]) {
        var json = JSONWriter()
        json.object {
            $0.member("query", question)
            $0.key("results")
            $0.array { for source in sources { source.write(to: &$0) } }
        }
        printLine(json.bytes)
    }
}
