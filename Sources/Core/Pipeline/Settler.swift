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

    /// How long a job is put aside, time after time, whose reply queue refuses the reply: a minute in all.
    static let waitsForReplyQueue: [Duration] = [0.5, 1, 2, 4, 8, 15, 30].map { .seconds($0) }
    /// What cannot be put aside, a message that is no job, holds its place instead: not for long.
    private static let restsOfRefusal: [Duration] = [0.1, 0.2, 0.5].map { .seconds($0) }

    // MARK: - The end

    /// Result first, then the confirmed reply, then the dead letter, and the acknowledgement last.
    ///
    /// - Parameter isVoid: the broker has taken the delivery back and delivers it again: the dead letter is that one's.
    func settle(
        _ incoming: Incoming, _ outcome: FinalReply, isVoid: Bool = false
    ) async -> Concluder.Conclusion {
        let started = clock.now
        var reply = outcome
        let replyTo = outcome.isAnswerable ? address(of: incoming) : nil
        var settlement = Settlement(
            storing: reply.key != nil && !reply.isStored, publishing: replyTo != nil,
            deadLettering: reply.deadLetter != nil && !isVoid)
        var body = reply.body
        while let step = settlement.next {
            do throws(Outage) {
                switch step {
                case .store:
                    switch try await store(reply) {
                    case .kept: break
                    // A message that is no job is not answered with what is stored under its id.
                    case .winner where reply.isRefusal, .conflict where reply.isRefusal: break
                    case .winner(let winner):
                        body = winner
                        settlement = Settlement(publishing: replyTo != nil)
                        continue
                    case .conflict:
                        reply = reply.asConflict()
                        body = reply.body
                        settlement = Settlement(publishing: replyTo != nil, deadLettering: !isVoid)
                        continue
                    }
                case .publish:
                    guard let replyTo else { break }
                    let outgoing = OutgoingReply(
                        .reply, to: replyTo, answering: incoming, id: reply.key?.id, body: body,
                        messageID: reply.replyID)
                    let wait = try await publish(outgoing, isRefusal: reply.isRefusal, incoming)
                    if let wait { return await putAside(incoming, for: wait) }
                case .deadLetter: try await deadLetter(incoming, reply)
                case .acknowledge: await intake.acknowledge(incoming.receipt)
                case .release, .postpone: break
                }
                settlement.completed()
            } catch {
                if Task.isCancelled {
                    await handBack(incoming)
                    return .over(settled: false)
                }
                await health.waitOut(error)
            }
        }
        metrics.settling.recordNanoseconds((clock.now - started).wholeNanoseconds)
        record(incoming, reply)
        return .over(settled: true)
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

    private func store(_ reply: FinalReply) async throws(Outage) -> StoreOutcome {
        guard let key = reply.key else { return .kept }
        return try await results.store(
            key, reply.fingerprint, reply.body, status: reply.status, account: reply.account)
    }

    private func deadLetter(_ incoming: Incoming, _ reply: FinalReply) async throws(Outage) {
        guard let failure = reply.deadLetter else { return }
        try await outbox.deadLetter(incoming, failure, attempts: reply.attempts, id: reply.key?.id)
        metrics.deadLettered(failure.code)
        guard !reply.isRefusal, logger.logLevel <= .info else { return }
        logger.info(
            "the job is a dead letter",
            metadata: [
                "id": "\(reply.key?.id.text ?? "none")", "code": "\(failure.code.rawValue)",
                "reason": "\(failure.message)", "attempts": "\(reply.attempts)",
            ])
    }

    /// A reply that nobody takes does not hold its job: the result is stored.
    ///
    /// - Returns: how long to put the job aside, for its reply queue to take the reply then; nil when this is over.
    private func publish(
        _ reply: OutgoingReply, isRefusal: Bool, _ incoming: Incoming
    ) async throws(Outage) -> Duration? {
        var fate = try await outbox.publish(reply)
        if isRefusal {
            for rest in Self.restsOfRefusal where fate == .refused && !Task.isCancelled {
                await clock.sleep(for: rest)
                fate = try await outbox.publish(reply)
            }
            if fate == .refused, Task.isCancelled { throw Outage(.rabbitMQ, "the reply queue refuses the reply") }
        } else if fate == .refused, incoming.envelope.refusals < Self.waitsForReplyQueue.count {
            return Self.waitsForReplyQueue[incoming.envelope.refusals]
        }
        if fate != .confirmed { notTaken(reply, fate) }
        return nil
    }

    /// A job whose reply queue refuses the reply waits in the broker, and not in a place that others need. When it is back,
    /// what is stored is published again. One that the broker has taken back comes by itself.
    private func putAside(_ incoming: Incoming, for wait: Duration) async -> Concluder.Conclusion {
        if await intake.isVoid(incoming.receipt) { return .over(settled: false) }
        var postponement = Postponement(unchanged: incoming.envelope, delay: wait)
        postponement.refusals += 1
        guard await perform(.postponement(releasing: false), incoming, postponement) else {
            return .over(settled: false)
        }
        metrics.postponed(nil)
        return .postponed(wait)
    }

    @inline(never)
    private func notTaken(_ reply: OutgoingReply, _ fate: ReplyFate) {
        metrics.unroutable.increment()
        logger.notice(
            fate == .unroutable
                ? "nobody takes the reply: its queue does not exist; the result is stored"
                : "the reply queue keeps refusing the reply; the result is stored",
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
        let claim = releasing ? delivery.key : nil
        guard await perform(.postponement(releasing: releasing), delivery.incoming, postponement, releasing: claim)
        else {
            return false
        }
        record(delivery, postponement, failure)
        return true
    }

    /// - Returns: false when it was handed back.
    private func perform(
        _ steps: Settlement, _ incoming: Incoming, _ postponement: Postponement, releasing claim: JobKey? = nil
    ) async -> Bool {
        var settlement = steps
        while let step = settlement.next {
            do throws(Outage) {
                switch step {
                case .release: if let claim { try await results.release(claim, keepingStarts: nil) }
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
        try? await results.release(delivery.key, keepingStarts: countingAttempt ? delivery.starts : nil)
    }
}
