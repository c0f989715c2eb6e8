import ArgumentParser
import ParleyClient
import ParleySettings

struct AskCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ask", abstract: "Publishes one job, waits for the reply and prints it; streams it on a terminal.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var output: JSONOption
    @Argument(help: "The question.") var query: String
    @Option(help: "The job's id; made up when left out.") var id: String?
    @Option(help: "0 (bulk) to 9 (a person waits).") var priority = 9
    @Option(help: "How long to wait for the reply.") var timeout = "120s"
    @Option(help: "The agent that is to answer.") var agent: String?
    @Option(help: "The tenant asking.") var tenant: String?
    @Option(help: "The user asking.") var userID: String?
    @Option(help: "The model to ask.") var model: String?
    @Option(help: "0 to 2.") var temperature: Double?
    @Option(help: "The most tokens of the answer.") var maxTokens: Int?
    @Option(help: "The seed of the model's sampling.") var seed: Int?
    @Option(help: "How many passages to retrieve, 1 to 64.") var topK: Int?
    @Option(help: "auto, always or never.") var retrieve: String?
    @Option(help: "use, refresh or bypass.") var cache: String?
    @Flag(inversion: .prefixedNo, help: "Streams the answer; the default on a terminal.") var stream: Bool?

    func run() async throws {
        let (job, timeout) = try request()
        let servers = try await common.servers()
        try check(job, servers.settings.limits)
        let client = try await common.connect(to: servers)
        let reply: Reply
        var streamed = false
        if stream ?? (isTerminal && !output.json) {
            (reply, streamed) = try await streamedReply(client, job, timeout)
        } else {
            reply = try await client.ask(job, priority: priority, timeout: timeout)
        }
        await client.close()
        if output.json { printLine(reply.encoded()) } else { show(reply, answerShown: streamed) }
        guard reply.status == .succeeded else { throw CommandFailure(.failed, "") }
    }

    private func streamedReply(
        _ client: ParleyClient, _ job: Job, _ timeout: Duration
    ) async throws -> (Reply, Bool) {
        var shown = false
        var seq = 0
        var attempt = 1
        for try await event in try await client.stream(job, priority: priority, timeout: timeout) {
            switch event {
            case .delta(let text):
                if output.json {
                    printLine(Chunk(id: job.id.text, seq: seq, delta: text, attempt: attempt).encoded())
                    seq += 1
                } else {
                    printPiece(text)
                }
                shown = true
            case .restarted:
                seq = 0
                attempt += 1
                if !output.json { printLine("\n[started over]") }
            case .reply(let reply):
                if shown, !output.json { printLine("") }
                return (reply, shown && reply.status == .succeeded)
            }
        }
        throw CommandFailure(.failed, "the reply did not come")
    }

    /// What a worker with this configuration would refuse is refused here.
    private func check(_ job: Job, _ limits: Settings.Limits) throws {
        let decoder = JobDecoder(maxBody: limits.body, maxQuery: limits.query, ownQueues: OwnQueues(base: ""))
        do throws(JobDecoder.Refusal) {
            _ = try decoder.decode(job.encoded(), Envelope()) { body, _ throws(JobFailure) in body }
        } catch {
            throw CommandFailure(.wrong, error.failure.message)
        }
    }

    /// - Throws: ``CommandFailure`` with every flag that is wrong.
    private func request() throws -> (Job, timeout: Duration) {
        var problems: [String] = []
        let id = id.map { JobID($0) } ?? .random()
        if id == nil { problems.append("--id \(self.id ?? ""): allowed are \(JobID.rule)") }
        let timeout = Quantity.duration(timeout)
        if timeout == nil {
            problems.append("--timeout \(self.timeout): a duration such as 30s or 10m is needed")
        }
        func range<T>(_ flag: String, _ value: T?, _ range: ClosedRange<T>) {
            guard let value, !range.contains(value) else { return }
            problems.append("\(flag) \(value): \(range.lowerBound) to \(range.upperBound) is allowed")
        }
        func choice<T: RawRepresentable & CaseIterable>(_ flag: String, _ text: String?) -> T?
        where T.RawValue == String {
            guard let text else { return nil }
            if let value = T(rawValue: text) { return value }
            problems.append("\(flag) \(text): allowed are \(T.allCases.map(\.rawValue).joined(separator: ", "))")
            return nil
        }
        range("--priority", priority, 0...9)
        range("--temperature", temperature, 0...2)
        range("--max-tokens", maxTokens, 1...1_000_000)
        range("--top-k", topK, 1...64)
        let retrieve: JobOptions.Retrieve? = choice("--retrieve", retrieve)
        let cache: JobOptions.Cache? = choice("--cache", cache)
        guard problems.isEmpty, let id, let timeout else {
            throw CommandFailure(.wrong, problems.joined(separator: "\nparley: "))
        }
        var job = Job(id: id, query: query)
        job.agent = agent
        job.tenant = tenant
        job.userID = userID
        job.options.model = model
        job.options.temperature = temperature
        job.options.maxTokens = maxTokens
        job.options.seed = seed
        job.options.topK = topK
        job.options.retrieve = retrieve
        job.options.cache = cache ?? .use
        return (job, timeout)
    }
}
