import ArgumentParser
import Operations
import ParleyClient
import ParleyJSON
import ParleySettings

struct WarmCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "warm", abstract: "Has frequent questions answered ahead of time, into the answer cache.",
        discussion: """
            A line is a question, or a job's body as JSON without an id: whoever asks the same of the same tenant is given the \
            answer. The questions go through the queue at priority 0, so that nobody waits for them. What is still fresh is \
            not asked again: run it again to go on after an interruption, or every few minutes (cache.ttl). --top takes \
            the questions that workers have counted in the last days (analytics.questions).
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var output: JSONOption
    @Argument(help: "The file; - or nothing is standard input.") var file: String?
    @Option(help: "Instead of a file: so many of the recorded questions, the most frequent first.") var top: Int?
    @Option(help: "So many questions a second at most.") var rate = 10.0
    @Option(help: "How long to wait for each answer.") var timeout = "10m"

    /// Questions waited for at a time.
    private static let concurrency = 64

    private struct Counts {
        var answered = 0
        var fresh = 0
        var failed = 0
        var wrong = 0
        var firstFailure: String?

        var done: Int { answered + fresh + failed }
    }

    func run() async throws {
        guard rate > 0, rate <= 10_000 else {
            throw CommandFailure(.wrong, "--rate \(rate): more than 0, up to 10000 is allowed")
        }
        guard let timeout = Quantity.duration(timeout), timeout > .zero else {
            throw CommandFailure(.wrong, "--timeout \(self.timeout): a duration such as 30s or 10m is needed")
        }
        var counts = Counts()
        let servers = try await common.servers()
        let jobs = try await top == nil ? read(&counts) : recorded(OperatorContext(servers: servers))
        let client = try await common.connect(to: servers)
        Interruption.watch()
        let started = ContinuousClock.now
        await warm(jobs, client, timeout, &counts)
        await client.close()
        try finish(counts, of: jobs.count, seconds: (ContinuousClock.now - started) / .seconds(1))
    }

    private func recorded(_ context: OperatorContext) async throws -> [Job] {
        guard let top, (1...100_000).contains(top) else {
            throw CommandFailure(.wrong, "--top \(top ?? 0): 1 to 100000 is allowed")
        }
        guard file == nil else { throw CommandFailure(.wrong, "--top \(top) and a file: one of them is allowed") }
        await context.audit.record("warm", "started", filters: "top=\(top)", isLook: true)
        let bodies = try await frequentQuestions(
            top, until: Moment.now, redis: context.redis, keys: context.keys, logger: context.logger)
        if bodies.isEmpty {
            printError("no questions are recorded; workers record them with analytics.questions: true")
        }
        return bodies.compactMap { try? Self.job($0) }
    }

    private func read(_ counts: inout Counts) throws -> [Job] {
        let lines = try LineReader(path: file ?? "-")
        var jobs: [Job] = []
        var number = 0
        while let line = try lines.next() {
            number += 1
            guard line.contains(where: { $0 > 0x20 }) else { continue }
            do throws(JobDecoder.Refusal) {
                jobs.append(try Self.job(line))
            } catch {
                counts.wrong += 1
                printError(oneLine("line \(number): \(error.failure.message)"))
            }
        }
        return jobs
    }

    private static func job(_ line: [UInt8]) throws(JobDecoder.Refusal) -> Job {
        let id = JobID.random()
        guard line.first(where: { $0 > 0x20 }) == UInt8(ascii: "{") else {
            return Job(id: id, query: String(decoding: line, as: UTF8.self))
        }
        var envelope = Envelope()
        envelope.messageID = id.text
        var job = try JobDecoder(ownQueues: OwnQueues(base: "")).decode(line, envelope) { body, _ throws(JobFailure) in
            body
        }
        job.stream = false
        return job
    }

    private func warm(_ jobs: [Job], _ client: ParleyClient, _ timeout: Duration, _ counts: inout Counts) async {
        var progress = ProgressLine()
        defer { progress.end() }
        let started = ContinuousClock.now
        var asked = 0
        // After an interruption nothing is waited for: what was asked is answered all the same.
        let watch = Task {
            while !Interruption.isRequested { try await Task.sleep(for: .milliseconds(100)) }
            await client.close()
        }
        defer { watch.cancel() }
        await withTaskGroup(of: Result<Reply, ParleyClientError>.self) { group in
            func take(_ result: Result<Reply, ParleyClientError>) {
                switch result {
                case .success(let reply) where reply.status == .succeeded:
                    if reply.cached == .none || reply.cached == .coalesced {
                        counts.answered += 1
                    } else {
                        counts.fresh += 1
                    }
                case .success(let reply):
                    counts.failed += 1
                    counts.firstFailure = counts.firstFailure ?? reply.error?.message
                case .failure where Interruption.isRequested: break
                case .failure(let error):
                    counts.failed += 1
                    counts.firstFailure = counts.firstFailure ?? error.message
                }
                progress.show(counts.done, of: jobs.count, "questions")
            }
            for job in jobs where !Interruption.isRequested {
                if asked - counts.done >= Self.concurrency, let result = await group.next() { take(result) }
                let due = started + .seconds(Double(asked) / rate)
                if due > .now { try? await Task.sleep(until: due) }
                asked += 1
                var job = job
                // Who waits for it does not wait longer: with model.feed: batch it is no question for a batch.
                job.deadline =
                    job.deadline
                    ?? Timestamp(
                        milliseconds: Moment.now.milliseconds + Int64(timeout / .milliseconds(1)))
                group.addTask { [job] in
                    do throws(ParleyClientError) {
                        return .success(try await client.ask(job, priority: 0, timeout: timeout))
                    } catch {
                        return .failure(error)
                    }
                }
            }
            while let result = await group.next() { take(result) }
        }
    }

    private func finish(_ counts: Counts, of count: Int, seconds: Double) throws {
        if output.json {
            var json = JSONWriter()
            json.object {
                $0.member("questions", count)
                $0.member("answered", counts.answered)
                $0.member("fresh", counts.fresh)
                $0.member("failed", counts.failed)
                $0.member("invalid", counts.wrong)
                $0.key("seconds")
                $0.rounded(seconds)
            }
            printLine(json.bytes)
        } else {
            printLine("\(counts.answered) of \(count) questions answered, \(counts.fresh) were fresh")
        }
        if Interruption.isRequested {
            throw CommandFailure(.interrupted, "interrupted after \(counts.done) questions; run it again to go on")
        }
        if counts.failed > 0 {
            throw CommandFailure(
                .failed,
                "\(counts.failed) questions were not answered; the first: \(oneLine(counts.firstFailure ?? ""))")
        }
        if counts.wrong > 0 {
            throw CommandFailure(.wrong, "\(counts.wrong) lines are no questions (named above), the others were asked")
        }
    }
}
