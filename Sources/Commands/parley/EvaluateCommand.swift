import ArgumentParser
import Logging
import ParleyJSON
import ParleySettings
import Retrieval
import Worker

struct EvaluateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate", abstract: "Says how often retrieval finds the right article.",
        discussion: """
            A line of the file is {"query": "…", "article": "returns.md", "lang": "en", "agent": "aftersale"}: the question, and \
            the document that answers it, null when none does; lang and agent are optional. Each question is searched as a \
            worker would. Printed are the shares of questions whose article is of the first passage, the first four, the first \
            ten; MRR, the mean of 1 / its place; and how often nothing was found where nothing answers.
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var output: JSONOption
    @Argument(help: "The questions, JSON Lines; - is standard input.") var file: String
    @Option(help: "The agent whose passages are searched; each question's own, or the default one's, unless given.")
    var agent: String?
    @Option(
        help: ArgumentHelp(
            "A second configuration file, evaluated with the same questions. The environment goes before both.",
            valueName: "file"))
    var compare: String?

    func run() async throws {
        var searchers = [try searcher(try await common.load())]
        if let compare {
            var other = common
            other.config = compare
            searchers.append(try searcher(try await other.read()))
        }
        let questions = try read()
        var line = ProgressLine()
        var evaluations: [Evaluation] = []
        let total = questions.count * searchers.count
        for searcher in searchers {
            let done = evaluations.count * questions.count
            evaluations.append(
                try await searcher.evaluate(questions) { line.show(done + $0, of: total, "questions") })
        }
        line.end()
        if output.json {
            printLine(EvaluationText.json(evaluations[0], compared: evaluations.dropFirst().first))
        } else {
            for row in EvaluationText.table(evaluations) { printLine(row) }
        }
    }

    private func searcher(_ settings: Settings) throws -> EvaluationSearcher {
        let assembly = try Assembly(settings, logger: Logger(label: "parley"))
        if let agent { return EvaluationSearcher(assembly, only: try assembly.agent(named: agent)) }
        return EvaluationSearcher(assembly)
    }

    private static let mostMistakes = 10

    private func read() throws -> [EvaluationQuestion] {
        let lines = try LineReader(path: file)
        let name = file == "-" ? "standard input" : file
        var questions: [EvaluationQuestion] = []
        var mistakes: [String] = []
        var number = 0
        while let line = try lines.next() {
            number += 1
            guard line.contains(where: { $0 > 0x20 }) else { continue }
            do throws(EvaluationQuestion.Mistake) {
                questions.append(try EvaluationQuestion(line: line))
            } catch {
                mistakes.append("\(name) line \(number): \(error.message)")
            }
        }
        if let last = mistakes.last {
            for mistake in mistakes.prefix(Self.mostMistakes).dropLast() { printError(oneLine(mistake)) }
            let more = mistakes.count - Self.mostMistakes
            let shown = more > 0 ? mistakes[Self.mostMistakes - 1] : last
            throw CommandFailure(.wrong, oneLine(shown) + (more > 0 ? " (and \(more) more)" : ""))
        }
        guard !questions.isEmpty else {
            throw CommandFailure(.wrong, "\(name) holds no questions; a line is {\"query\": …, \"article\": …}")
        }
        return questions
    }
}

/// Searches as a worker does.
private struct EvaluationSearcher {
    private let assembly: Assembly
    private let only: AgentParts?

    /// Questions for one search.
    private static let window = 64
    private static let timeout: Duration = .seconds(60)

    init(_ assembly: Assembly, only: AgentParts? = nil) {
        self.assembly = assembly
        self.only = only
    }

    func evaluate(_ questions: [EvaluationQuestion], done: (Int) -> Void) async throws -> Evaluation {
        var evaluation = Evaluation()
        var count = 0
        for (agent, questions) in byAgent(questions) {
            guard try await agent.retriever.check() != nil else {
                throw CommandFailure(.failed, "\(agent.store.location): no index yet; run parley ingest PATH")
            }
            for start in stride(from: 0, to: questions.count, by: Self.window) {
                let window = questions[start..<min(start + Self.window, questions.count)]
                let found = try await agent.retriever.matches(
                    window.map { question in
                        RetrievalQuestion(
                            text(question, of: agent), filter: PassageFilter(tenant: question.tenant))
                    }, topK: Evaluation.depth, timeout: Self.timeout)
                for (question, matches) in zip(window, found) {
                    evaluation.add(question, found: matches.map(\.passage.documentID))
                }
                count += window.count
                done(count)
            }
        }
        return evaluation
    }

    /// The agents that are asked, each with its questions; one that is not configured is the default one.
    private func byAgent(_ questions: [EvaluationQuestion]) -> [(AgentParts, [EvaluationQuestion])] {
        if let only { return [(only, questions)] }
        let groups = Dictionary(grouping: questions) { question in
            question.agent.flatMap { assembly.agent($0)?.name } ?? ""
        }
        return assembly.agents.compactMap { agent in groups[agent.name ?? ""].map { (agent, $0) } }
    }

    private func text(_ question: EvaluationQuestion, of agent: AgentParts) -> String {
        question.rewrittenQuery ?? assembly.searchText(query: question.query, history: question.history, of: agent)
            ?? question.query
    }
}
