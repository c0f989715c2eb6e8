import ArgumentParser
import JSON
import ParleyClient

struct PublishCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "publish",
        abstract: "Publishes jobs from JSON Lines, confirmed by the broker.",
        discussion: """
            A line is a job's body, with two members more if you like: priority (0 to 9) and reply_to (a queue). A line \
            without id gets one. Lines that are no JSON object are named on standard error and left out; the exit status is then 2.
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var output: JSONOption
    @Argument(help: "The file; - or nothing is standard input.") var file: String?
    @Option(help: "The reply queue for lines that name none; declared durable when it does not exist.") var replyTo:
        String?
    @Option(help: "The priority for lines that have none.") var priority: Int?
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
        var tally = Tally()
        var progress = ProgressLine()
        let started = ContinuousClock.now
        try await withThrowingTaskGroup(of: [Published].self) { group in
            var running = 0
            var number = 0
            var batch: [JobMessage] = []
            var knownQueues: Set<String> = []
            while let line = try lines.next() {
                number += 1
                guard line.contains(where: { $0 > 0x20 }) else { continue }
                do throws(JobLine.Problem) {
                    let message = try JobLine.message(line, replyTo: replyTo, priority: priority)
                    if let queue = message.replyTo, knownQueues.insert(queue).inserted {
                        try await ensure(queue, client)
                    }
                    batch.append(message)
                } catch {
                    tally.wrong += 1
                    printError("line \(number): \(error.message)")
                }
                guard batch.count == Self.batch else { continue }
                if running == Self.concurrentBatches {
                    tally.add(try await group.next() ?? [], printing: ids)
                    running -= 1
                }
                let full = batch
                group.addTask { await Self.publish(full, client) }
                running += 1
                batch = []
                progress.show(tally.published, of: nil, "jobs confirmed", rate: tally.rate(since: started))
            }
            let rest = batch
            if !rest.isEmpty { group.addTask { await Self.publish(rest, client) } }
            for try await done in group {
                tally.add(done, printing: ids)
                progress.show(tally.published, of: nil, "jobs confirmed", rate: tally.rate(since: started))
            }
        }
        progress.end()
        await client.close()
        try finish(tally, seconds: (ContinuousClock.now - started) / .seconds(1))
    }

    private func finish(_ tally: Tally, seconds: Double) throws {
        if output.json {
            var json = JSONWriter()
            json.object {
                $0.member("published", tally.published)
                $0.member("failed", tally.failed)
                $0.member("invalid", tally.wrong)
                $0.key("seconds")
                $0.rounded(seconds)
            }
            printLine(json.bytes)
        } else if !ids {
            printLine("\(tally.published) jobs published and confirmed in \(rounded(seconds)) s")
        }
        if let error = tally.firstError {
            throw CommandFailure(
                error.code == .unreachable ? .unreachable : .failed, "\(tally.failed) jobs were not published: \(error)"
            )
        }
        if tally.wrong > 0 { throw CommandFailure(.wrong, "\(tally.wrong) lines are no jobs and were left out") }
    }

    private func ensure(_ queue: String, _ client: ParleyClient) async throws(JobLine.Problem) {
        guard !queue.hasPrefix("amq.") else { return }
        do throws(ParleyClientError) {
            try await client.ensureReplyQueue(queue)
        } catch {
            throw JobLine.Problem(message: "reply_to \(queue): \(error)")
        }
    }

    private struct Published: Sendable {
        let id: JobID
        let error: ParleyClientError?
    }

    private static func publish(_ messages: [JobMessage], _ client: ParleyClient) async -> [Published] {
        zip(messages, await client.publish(messages)).map { message, result in
            switch result {
            case .success: Published(id: message.id, error: nil)
            case .failure(let error): Published(id: message.id, error: error)
            }
        }
    }

    private struct Tally {
        var published = 0
        var failed = 0
        var wrong = 0
        var firstError: ParleyClientError?

        mutating func add(_ batch: [Published], printing: Bool) {
            for one in batch {
                if let error = one.error {
                    failed += 1
                    firstError = firstError ?? error
                } else {
                    published += 1
                    if printing { printLine(one.id.text) }
                }
            }
        }

        func rate(since start: ContinuousClock.Instant) -> Double {
            Double(published) / max(0.001, (ContinuousClock.now - start) / .seconds(1))
        }
    }
}
