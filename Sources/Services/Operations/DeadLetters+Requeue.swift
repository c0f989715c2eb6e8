import ChatJobs
import IOLoop
import Logging
import ParleyRabbitMQ
import Topology

/// What `parley requeue` is asked for.
package struct RequeueRequest: Sendable, Equatable {
    package var filter = LetterFilter()
    /// The most letters to send back.
    package var limit: Int?
    /// The most letters a second.
    package var rate: Double?
    /// Only counts.
    package var isDryRun = false

    package init() {}
}

extension DeadLetters {
    /// Letters published in one call, and calls in flight: 1,024 unconfirmed at most.
    private static let batch = 256
    private static let concurrentBatches = 4
    /// How long an interruption waits for open confirms.
    private static let interruptionLimit = Duration.seconds(5)

    /// Sends letters back to the job queues that they came from, with a fresh attempt count.
    ///
    /// A letter leaves the dead-letter queue only after the broker has confirmed the job. Should the process die in
    /// between, the job is in both: at most 1,024 of them. It always returns what was done, also when it failed.
    package func requeue(_ request: RequeueRequest, progress: Progress = { _, _ in }) async -> LetterSummary {
        let started = ContinuousClock.now
        var summary = LetterSummary(.requeue, dryRun: request.isDryRun)
        do throws(OperationError) {
            let tally = Tally(summary)
            let publisherProblem: OperationError? = try await connected { connection, loop throws(RabbitMQError) in
                guard try await depth(on: connection) != nil else { return nil }
                if !request.isDryRun { try await queues.ensure(on: connection, deadLetters: false) }
                let scan = try await LetterScan(
                    connection, queue: queue, loop: loop,
                    largestWindow: request.rate.map { max(64, Int(min($0, 2048))) } ?? 2048, relay: relay,
                    isInterrupted: isInterrupted)
                let publisher = RabbitMQPublisher(configuration: configuration, loop: loop, logger: logger)
                if !request.isDryRun { await publisher.start() }
                let result: Result<Void, RabbitMQError>
                do throws(RabbitMQError) {
                    result = .success(try await requeue(request, scan, publisher, tally, progress))
                } catch {
                    result = .failure(error)
                }
                await publisher.close()
                tally.update { $0.isInterrupted = isInterrupted() }
                await scan.finish()
                let (scanned, hadCompany) = await (scan.scanned, scan.hadCompany)
                tally.update { ($0.scanned, $0.hadCompany) = (scanned, hadCompany) }
                return result.failure.map { OperationError($0, at: configuration.redacted) }
            }
            summary = tally.summary
            summary.problem = publisherProblem ?? summary.problem
        } catch {
            summary.problem = error
        }
        summary.seconds = (ContinuousClock.now - started) / .seconds(1)
        return summary
    }

    private func requeue(
        _ request: RequeueRequest, _ scan: LetterScan, _ publisher: RabbitMQPublisher, _ tally: Tally,
        _ progress: Progress
    ) async throws(RabbitMQError) {
        // Whoever waits for confirms that do not come sees no interruption.
        let watch = Task {
            while !isInterrupted() { try await Task.sleep(for: .milliseconds(100)) }
            await publisher.close(within: Self.interruptionLimit)
        }
        defer { watch.cancel() }
        let chunk = request.rate.map { max(1, min(Self.batch, Int($0 / 10))) } ?? Self.batch
        var pace = Pace(rate: request.rate)
        let failure: RabbitMQError? = await withTaskGroup(of: Void.self) { group in
            var running = 0
            var matched = 0
            do throws(RabbitMQError) {
                while matched < request.limit ?? .max, tally.outage == nil,
                    let deliveries = try await scan.next(atMost: chunk)
                {
                    var batch: [Delivery] = []
                    var rest: [Delivery] = []
                    for delivery in deliveries {
                        let isMeant =
                            matched + batch.count < request.limit ?? .max
                            && request.filter.matches(DeadLetter(delivery, relay: relay))
                        if isMeant { batch.append(delivery) } else { rest.append(delivery) }
                    }
                    matched += batch.count
                    let count = batch.count
                    tally.update { $0.matched += count }
                    // What the run would refuse a dry run refuses, too.
                    if request.isDryRun { _ = sendable(batch, tally) }
                    await scan.keep(request.isDryRun ? deliveries : rest)
                    if !request.isDryRun, !batch.isEmpty {
                        if running == Self.concurrentBatches {
                            await group.next()
                            running -= 1
                        }
                        let letters = batch
                        group.addTask(executorPreference: scan.loop) {
                            await send(letters, scan, publisher, tally)
                        }
                        running += 1
                        await pace.wait(after: count, isInterrupted: isInterrupted)
                    }
                    progress(await scan.scanned, scan.depth)
                }
            } catch {
                return error
            }
            await group.waitForAll()
            return nil
        }
        if let failure { throw failure }
    }

    /// Publishes, waits for the confirms, and only then lets go of the letters.
    private func send(
        _ all: [Delivery], _ scan: LetterScan, _ publisher: RabbitMQPublisher, _ tally: Tally
    ) async {
        let (letters, refused) = sendable(all, tally)
        await scan.keep(refused)
        guard !letters.isEmpty else { return }
        var outcomes = await publisher.publish(letters.map { job($0, to: target(of: $0)) })
        // The lane is gone: to the main queue instead.
        let returned = outcomes.indices.filter { index in
            if case .success(.returned) = outcomes[index] {
                target(of: letters[index]) != queues.names.base
            } else {
                false
            }
        }
        if !returned.isEmpty {
            let again = await publisher.publish(returned.map { job(letters[$0], to: queues.names.base) })
            for (index, outcome) in zip(returned, again) { outcomes[index] = outcome }
        }
        for (index, letter) in letters.enumerated() {
            guard case .success(.confirmed) = outcomes[index], let named = letter.sourceQueue, !named.isEmpty else {
                continue
            }
            guard named != target(of: letter) || returned.contains(index) else { continue }
            tally.update { $0.missingQueues[String(named.prefix(255)), default: 0] += 1 }
        }
        var done: [Delivery] = []
        var failed: [Delivery] = []
        for (letter, outcome) in zip(letters, outcomes) {
            switch outcome {
            case .success(.confirmed): done.append(letter)
            case .success(.returned(_, let reason)):
                failed.append(letter)
                tally.failed(
                    OperationError(.refused, "the queue \(queues.names.base) does not take the job (\(reason))"),
                    isOutage: true)
            case .failure(let error):
                failed.append(letter)
                tally.failed(
                    OperationError(error, at: configuration.redacted),
                    isOutage: ![.nacked, .invalidMessage, .unacceptable].contains(error.code))
            }
        }
        await scan.acknowledge(done)
        await scan.keep(failed)
        let count = done.count
        tally.update { $0.done += count }
    }

    private func job(_ letter: Delivery, to queue: String) -> OutgoingMessage {
        var properties = MessageHeaders.requeued(letter.properties)
        properties.headers[MessageHeaders.user] = nil
        relay?.sign(&properties, for: relay?.producer(of: letter.properties))
        return OutgoingMessage(routingKey: queue, properties: properties, body: letter.body)
    }

    /// The letters that may become jobs, and the others, which are failures.
    private func sendable(_ letters: [Delivery], _ tally: Tally) -> (letters: [Delivery], refused: [Delivery]) {
        var refused: [Delivery] = []
        let good = letters.filter { letter in
            let reason: String
            if letter.isStub {
                reason = "was above limits.body and was not kept: its producer has to send it again"
            } else if let signature, !signature.isRight(letter.properties, body: letter.body) {
                reason =
                    "is not signed with secrets.letter_key: no worker with that key wrote this letter, so it is not sent back; "
                    + "parley dead show shows it, --unsigned sends it all the same"
            } else {
                return true
            }
            tally.failed(
                OperationError(.refused, "the body of \(letter.properties.messageID ?? "a letter") \(reason)"),
                isOutage: false)
            refused.append(letter)
            return false
        }
        return (good, refused)
    }

    /// The queue that the letter came from, when that is one of the configuration's job queues; else the main one. A header is
    /// anybody's to write: jobs go nowhere else.
    private func target(of letter: Delivery) -> String {
        guard let queue = letter.sourceQueue, queues.jobNames.contains(queue) else { return queues.names.base }
        return queue
    }
}

extension Delivery {
    /// The job's body was too large to be kept.
    fileprivate var isStub: Bool { properties.headers[MessageHeaders.bodyBytes] != nil }
    fileprivate var sourceQueue: String? { properties.headers[MessageHeaders.sourceQueue]?.string }
}

extension Result {
    fileprivate var failure: Failure? { if case .failure(let error) = self { error } else { nil } }
}
