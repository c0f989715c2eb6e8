import ArgumentParser
import ParleyClient
import ParleyJSON
import Synchronization

struct PublishCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "publish",
        abstract: "Publishes jobs from JSON Lines, confirmed by the broker.",
        discussion: """
            A line is a job's body, with two members more if you like: priority (0 to 9) and reply_to (a queue). A line \
            without id gets one. Lines are published as they come. Those that are no JSON object, or have an id, a priority \
            or a reply_to that cannot be, are named on standard error and left out; the exit status is then 2. The job \
            queue is declared when it does not exist.
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var output: JSONOption
    @Argument(help: "The file; - or nothing is standard input.") var file: String?
    @Option(help: "The reply queue for lines that name none; declared durable when it does not exist.") var replyTo:
        String?
    @Option(help: "The priority for lines that have none; 4 unless given.") var priority: Int?
    @Flag(help: "Prints each id once its job is confirmed.") var ids = false

    /// Jobs in one call, and calls in flight: 8,192 unconfirmed jobs at most.
    private static let batch = 512
    private static let concurrentBatches = 16

    func run() async throws {
        if let priority, !(0...9).contains(priority) {
            throw CommandFailure(.wrong, "--priority \(priority): 0 to 9 is allowed")
        }
        let lines = try LineReader(path: file ?? "-")
        let client = try await common.connect()
        if let replyTo { try await ensure(replyTo, client) }
        // From here on there is something to tell: what was published.
        Interruption.watch()
        let tally = Tally(!ids ? .none : output.json ? .json : .text)
        let started = ContinuousClock.now
        try await publish(lines, client, tally)
        await client.close()
        try finish(tally.counts, seconds: (ContinuousClock.now - started) / .seconds(1))
    }

    private func publish(_ lines: LineReader, _ client: ParleyClient, _ tally: Tally) async throws {
        let started = ContinuousClock.now
        var progress = ProgressLine()
        defer { progress.end() }
        // Confirms that do not come are not waited for after an interruption.
        let watch = Task {
            while !Interruption.isRequested { try await Task.sleep(for: .milliseconds(100)) }
            await client.close()
        }
        defer { watch.cancel() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            var running = 0
            var number = 0
            var batch: [(line: Int, message: JobMessage)] = []
            var knownQueues: Set<String> = []
            while !tally.isOver, let line = try lines.next() {
                number += 1
                if line.contains(where: { $0 > 0x20 }) {
                    do throws(JobLine.Problem) {
                        let message = try JobLine.message(line, replyTo: replyTo, priority: priority)
                        if let queue = message.replyTo, knownQueues.insert(queue).inserted {
                            try await ensure(queue, client)
                        }
                        batch.append((number, message))
                    } catch {
                        tally.addWrong()
                        printError(oneLine("line \(number): \(error.message)"))
                    }
                }
                // Whoever writes line by line sees each published before the next.
                guard batch.count == Self.batch || (!batch.isEmpty && !lines.hasLine) else { continue }
                if running == Self.concurrentBatches {
                    try await group.next()
                    running -= 1
                }
                let full = batch
                group.addTask { await Self.publish(full, client, tally) }
                running += 1
                batch = []
                progress.show(tally.counts.published, of: nil, "jobs confirmed", rate: tally.rate(since: started))
            }
            let rest = batch
            if !rest.isEmpty { group.addTask { await Self.publish(rest, client, tally) } }
            while try await group.next() != nil {
                progress.show(tally.counts.published, of: nil, "jobs confirmed", rate: tally.rate(since: started))
            }
        }
    }

    private func finish(_ counts: Tally.Counts, seconds: Double) throws {
        if output.json {
            var json = JSONWriter()
            json.object {
                $0.member("published", counts.published)
                $0.member("failed", counts.failed)
                $0.member("invalid", counts.wrong)
                $0.key("seconds")
                $0.rounded(seconds)
            }
            printLine(json.bytes)
        } else if !ids {
            printLine("\(counts.published) jobs published and confirmed in \(rounded(seconds)) s")
        }
        // Sent and not confirmed is not the same as not sent.
        let open = counts.firstFailure.map { line, error in
            "\(counts.failed) jobs were not confirmed, the first in line \(line): they may be queued or not; "
                + "publish them again with the same ids. \(oneLine("\(error)"))"
        }
        if Interruption.isRequested {
            let rest = open.map { "; \($0)" } ?? ""
            throw CommandFailure(.interrupted, "interrupted; the lines after these were not read\(rest)")
        }
        if let open {
            let isOver = counts.firstFailure?.error.code == .unreachable
            throw CommandFailure(
                isOver ? .unreachable : .failed, isOver ? "the lines after these were not read; \(open)" : open)
        }
        if counts.wrong > 0 { throw CommandFailure(.wrong, "\(counts.wrong) lines are no jobs and were left out") }
    }

    private func ensure(_ queue: String, _ client: ParleyClient) async throws(JobLine.Problem) {
        guard !queue.hasPrefix("amq.") else { return }
        do throws(ParleyClientError) {
            try await client.ensureReplyQueue(queue)
        } catch {
            throw JobLine.Problem(message: "reply_to \(queue): \(error)")
        }
    }

    private static func publish(
        _ batch: [(line: Int, message: JobMessage)], _ client: ParleyClient, _ tally: Tally
    ) async {
        for (job, result) in zip(batch, await client.publish(batch.map(\.message))) {
            tally.add(job.message.id, line: job.line, result)
        }
    }

    /// What became of the jobs, told as the confirms come.
    private final class Tally: Sendable {
        struct Counts {
            var published = 0
            var failed = 0
            var wrong = 0
            /// By line.
            var firstFailure: (line: Int, error: ParleyClientError)?
        }

        private let state = Mutex(Counts())
        private let ids: IDLines

        init(_ ids: IDLines) { self.ids = ids }

        var counts: Counts { state.withLock { $0 } }

        /// Nobody takes jobs: there is no sense in going on.
        var isOver: Bool { state.withLock { $0.firstFailure?.error.code == .unreachable } }

        func addWrong() { state.withLock { $0.wrong += 1 } }

        func add(_ id: JobID, line: Int, _ result: Result<Void, ParleyClientError>) {
            state.withLock { counts in
                switch result {
                case .success:
                    counts.published += 1
                    ids.write(id)
                case .failure(let error):
                    counts.failed += 1
                    if line < counts.firstFailure?.line ?? .max { counts.firstFailure = (line, error) }
                }
            }
        }

        func rate(since start: ContinuousClock.Instant) -> Double {
            Double(counts.published) / max(0.001, (ContinuousClock.now - start) / .seconds(1))
        }
    }

    /// How `--ids` shows a confirmed job.
    private enum IDLines {
        case none, text, json

        func write(_ id: JobID) {
            switch self {
            case .none: break
            case .text: printLine(id.text)
            case .json:
                var json = JSONWriter()
                json.object { $0.member("id", id.text) }
                printLine(json.bytes)
            }
        }
    }
}
