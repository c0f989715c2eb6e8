import ArgumentParser
import ParleyClient
import Settings

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
        let job = try job()
        guard let timeout = Quantity.duration(timeout) else {
            throw CommandFailure(.wrong, "--timeout \(timeout): a duration such as 30s or 10m is needed")
        }
        guard (0...9).contains(priority) else {
            throw CommandFailure(.wrong, "--priority \(priority): 0 to 9 is allowed")
        }
        try check(job)
        let client = try await common.connect()
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
                    print(text, terminator: "")
                    flushOutput()
                }
                shown = true
            case .restarted:
                seq = 0
                attempt += 1
                if !output.json { print("\n[started over]") }
            case .reply(let reply):
                if shown, !output.json { print() }
                return (reply, shown && reply.status == .succeeded)
            }
        }
        throw CommandFailure(.failed, "the reply did not come")
    }

    /// What the worker would refuse is refused here; sizes are its to judge, by its own limits.
    private func check(_ job: Job) throws {
        let decoder = JobDecoder(maxBody: .max, maxQuery: .max, ownQueues: OwnQueues(base: ""))
        do throws(JobDecoder.Refusal) {
            _ = try decoder.decode(job.encoded(), Envelope()) { body, _ throws(JobFailure) in body }
        } catch {
            throw CommandFailure(.wrong, error.failure.message)
        }
    }

    private func job() throws -> Job {
        let id: JobID
        if let text = self.id {
            guard let given = JobID(text) else {
                throw CommandFailure(.wrong, "--id \(text): allowed are \(JobID.rule)")
            }
            id = given
        } else {
            id = .random()
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
        if let retrieve {
            job.options.retrieve = try choice("--retrieve", retrieve)
        }
        if let cache { job.options.cache = try choice("--cache", cache) }
        return job
    }

    private func choice<T: RawRepresentable & CaseIterable>(_ flag: String, _ text: String) throws -> T
    where T.RawValue == String {
        guard let value = T(rawValue: text) else {
            let allowed = T.allCases.map(\.rawValue).joined(separator: ", ")
            throw CommandFailure(.wrong, "\(flag) \(text): allowed are \(allowed)")
        }
        return value
    }
}
