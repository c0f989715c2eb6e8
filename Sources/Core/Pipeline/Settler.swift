import Answering
import ChatJobs
import Logging
import ParleyPrimitives

/// Makes the end of a delivery safe, step by step (``Settlement``), and lets the delivery go last. An outage on the way is
/// waited out; only in a cancelled task, when the worker is leaving, the delivery is handed back instead.
struct Settler: Sendable {
    let intake: any Intake
    let results: any ResultStore
    let outbox: any Outbox
    let health: HealthMonitor
    let clock: any PipelineClock
    let ownQueues: OwnQueues
    let metrics: PipelineMetrics
    let logger: Logger

    /// How often, and after what rests, a reply queue that refuses is asked again: a minute in all.
    private static let rests: [Duration] = [0.1, 0.2, 0.5, 1, 2, 4, 8, 15, 30].map { .seconds($0) }

    // MARK: - The end

    /// Result first, then the confirmed reply, then the dead letter, and the acknowledgement last.
    ///
    /// - Parameters:
    ///   - endingClaim: this worker has the claim on the job.
    ///   - isVoid: the broker has taken the delivery back and delivers it again: the dead letter is that one's.
    /// - Returns: false when it was handed back.
    func settle(_ incoming: Incoming, _ reply: FinalReply, endingClaim: Bool, isVoid: Bool = false) async -> Bool {
        let started = clock.now
        let replyTo = address(of: incoming)
        var settlement = Settlement(
            storing: reply.id != nil && !reply.isStored, publishing: replyTo != nil,
            deadLettering: reply.deadLetter != nil && !isVoid)
        var body = reply.body
        while let step = settlement.next {
            do throws(Outage) {
                switch step {
                case .store:
                    // A message that is no job leaves an answer stored under its id alone, but is not answered with it.
                    if let winner = try await store(reply, endingClaim), !reply.isRefusal {
                        body = winner
                        settlement = Settlement(publishing: replyTo != nil)
                        continue
                    }
                case .publish:
                    guard let replyTo else { break }
                    try await publish(
                        OutgoingReply(
                            .reply, to: replyTo, answering: incoming, id: reply.id, body: body,
                            messageID: reply.replyID))
                case .deadLetter: try await deadLetter(incoming, reply)
                case .acknowledge: await intake.acknowledge(incoming.receipt)
                case .release, .postpone: break
                }
                settlement.completed()
            } catch {
                if Task.isCancelled {
                    await handBack(incoming)
                    return false
                }
                await health.waitOut(error)
            }
        }
        metrics.settling.recordNanoseconds((clock.now - started).wholeNanoseconds)
        record(incoming, reply)
        return true
    }

    @inline(never)
    private func record(_ incoming: Incoming, _ reply: FinalReply) {
        metrics.duration.recordNanoseconds((clock.now - incoming.arrived).wholeNanoseconds)
        metrics.settled(reply.status)
        guard logger.logLevel <= .debug else { return }
        logger.debug("settled", metadata: ["id": "\(reply.replyID ?? "none")", "status": "\(reply.status.rawValue)"])
    }

    /// A reply to one of our own queues would come back as a job: it is not sent.
    private func address(of incoming: Incoming) -> String? {
        incoming.envelope.replyTo.flatMap { $0.isEmpty || ownQueues.contains($0) ? nil : $0 }
    }

    private func store(_ reply: FinalReply, _ endingClaim: Bool) async throws(Outage) -> [UInt8]? {
        guard let id = reply.id else { return nil }
        return try await results.store(id, reply.body, status: reply.status, endingClaim: endingClaim)
    }

    private func deadLetter(_ incoming: Incoming, _ reply: FinalReply) async throws(Outage) {
        guard let failure = reply.deadLetter else { return }
        try await outbox.deadLetter(incoming, failure, attempts: reply.attempts, id: reply.id)
        metrics.deadLettered(failure.code)
        guard !reply.isRefusal, logger.logLevel <= .info else { return }
        logger.info(
            "the job is a dead letter",
            metadata: [
                "id": "\(reply.id?.text ?? "none")", "code": "\(failure.code.rawValue)",
                "reason": "\(failure.message)", "attempts": "\(reply.attempts)",
            ])
    }

    /// A reply that nobody takes does not hold its job: the result is stored.
    private func publish(_ reply: OutgoingReply) async throws(Outage) {
        var fate = try await outbox.publish(reply)
        for rest in Self.rests where fate == .refused && !Task.isCancelled {
            await clock.sleep(for: rest)
            fate = try await outbox.publish(reply)
        }
        guard fate != .confirmed else { return }
        if fate == .refused, Task.isCancelled { throw Outage(.rabbitMQ, "the reply queue refuses the reply") }
        notTaken(reply, fate)
    }

    @inline(never)
    private func notTaken(_ reply: OutgoingReply, _ fate: ReplyFate) {
        metrics.unroutable.increment()
        logger.notice(
            fate == .unroutable
                ? "nobody takes the reply: its queue does not exist; the result is stored"
                : "the reply queue has refused the reply for a minute; the result is stored",
            metadata: ["reply_to": "\(reply.replyTo)", "id": "\(reply.messageID ?? "none")"])
    }

    // MARK: - Later

    /// Puts the job aside in the broker: a delivery that waits is never held in a worker.
    ///
    /// - Parameters:
    ///   - failure: why it is tried again; nil when nothing has failed.
    ///   - releasing: this worker has the claim on the job, and gives it up.
    /// - Returns: false when it was handed back.
    func postpone(
        _ delivery: JobDelivery, _ postponement: Postponement, because failure: JobFailure?, releasing: Bool
    ) async -> Bool {
        let incoming = delivery.incoming
        var settlement = Settlement.postponement(releasing: releasing)
        while let step = settlement.next {
            do throws(Outage) {
                switch step {
                case .release: try await results.release(delivery.job.id, keepingStarts: nil)
                case .postpone: try await outbox.postpone(incoming, postponement)
                case .acknowledge: await intake.acknowledge(incoming.receipt)
                case .store, .publish, .deadLetter: break
                }
                settlement.completed()
            } catch {
                if Task.isCancelled {
                    await handBack(incoming)
                    return false
                }
                await health.waitOut(error)
            }
        }
        record(delivery, postponement, failure)
        return true
    }

    @inline(never)
    private func record(_ delivery: JobDelivery, _ postponement: Postponement, _ failure: JobFailure?) {
        metrics.postponed(failure?.code)
        guard let failure, logger.logLevel <= .info else { return }
        logger.info(
            "the job is tried again later",
            metadata: [
                "id": "\(delivery.job.id.text)", "code": "\(failure.code.rawValue)", "reason": "\(failure.message)",
                "attempts": "\(postponement.attempts)", "delay": "\(postponement.delay)",
            ])
    }

    // MARK: - Back

    /// Back to the queue: only when this worker is leaving.
    func handBack(_ incoming: Incoming) async {
        await intake.handBack(incoming.receipt)
        metrics.handedBack.increment()
    }

    /// Gives up the claim on a job that is not in work here any more: others need not take its worker for dead.
    ///
    /// - Parameter countingAttempt: the attempt that was made counts, although the delivery cannot say so.
    func giveUp(_ delivery: JobDelivery, countingAttempt: Bool) async {
        guard delivery.isClaimed else { return }
        try? await results.release(delivery.job.id, keepingStarts: countingAttempt ? delivery.starts : nil)
    }
}
