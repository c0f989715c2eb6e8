import ChatJobs
import Logging

extension Pipeline {
    /// A message that is no job: answered when it says where, dead-lettered with the reason.
    func refuse(_ incoming: Incoming, _ refusal: JobDecoder.Refusal) async {
        // No timings: a delivery that is refused twice, after a crash, is answered in the same words.
        var reply = Reply(id: refusal.id?.text ?? incoming.envelope.messageID, failure: refusal.failure)
        reply.attempts = incoming.envelope.earlierAttempts + 1
        reply.agent = refusal.agent
        reply.metadata = refusal.metadata
        logger.info(
            "refused a message",
            metadata: [
                "id": "\(reply.id ?? "none")", "code": "\(refusal.failure.code.rawValue)",
                "reason": "\(refusal.failure.message)",
            ])
        await settle(
            incoming, id: refusal.id, reply, encoded: reply.encoded(), stored: false, claimed: false, isRefusal: true,
            deadLetter: refusal.failure)
    }

    /// A job that ends without an answer.
    func fail(
        _ assignment: Assignment, _ failure: JobFailure, started: Duration, _ complete: (inout Reply) -> Void = { _ in }
    ) async {
        var reply = Reply(id: assignment.job.id.text, failure: failure)
        finish(&reply, assignment, started: started)
        complete(&reply)
        await settle(
            assignment, reply, encoded: reply.encoded(), deadLetter: reply.status == .failed ? failure : nil)
    }

    /// The members that every reply to a decoded job has.
    func finish(_ reply: inout Reply, _ assignment: Assignment, started: Duration) {
        reply.agent = assignment.job.agent
        reply.metadata = assignment.job.metadata
        reply.attempts = assignment.attempt
        reply.timings.queued = (started - assignment.incoming.arrived).milliseconds
        reply.timings.total = (clock.now - assignment.incoming.arrived).milliseconds
    }

    func settle(
        _ assignment: Assignment, _ reply: Reply, encoded: [UInt8], stored: Bool = false, deadLetter: JobFailure? = nil
    ) async {
        await settle(
            assignment.incoming, id: assignment.job.id, reply, encoded: encoded, stored: stored,
            claimed: assignment.isClaimed, deadLetter: deadLetter)
    }

    /// Result first, then the confirmed reply, then the dead letter, and the acknowledgement last. An outage on the way
    /// is waited out; only an abandoned worker hands the job back.
    private func settle(
        _ incoming: Incoming, id: JobID?, _ reply: Reply, encoded: [UInt8], stored: Bool, claimed: Bool,
        isRefusal: Bool = false, deadLetter: JobFailure?
    ) async {
        let started = clock.now
        // A reply to one of our own queues would come back as a job: it is not sent.
        let replyTo = incoming.envelope.replyTo.flatMap { $0.isEmpty || decoder.ownQueues.contains($0) ? nil : $0 }
        var settlement = Settlement(id: id, replyTo: replyTo, stored: stored, deadLetter: deadLetter)
        var body = encoded
        while let step = settlement.next {
            let isDone = await insist { () throws(Outage) in
                switch step {
                case .store(let id):
                    // A message that is no job leaves an answer stored under its id alone, but is not answered with it.
                    let winner = try await self.results.store(
                        id, body, status: reply.status, endingClaim: claimed)
                    if let winner, !isRefusal {
                        body = winner
                        settlement = Settlement(id: id, replyTo: replyTo, stored: true, deadLetter: nil)
                        return
                    }
                case .publish(let replyTo):
                    let message = self.outgoing(.reply, to: replyTo, incoming, id: id, body: body, messageID: reply.id)
                    try await self.publish(message)
                case .deadLetter(let failure):
                    try await self.outbox.deadLetter(incoming, failure, attempts: reply.attempts, id: id)
                    self.metrics.deadLettered(failure.code)
                    if !isRefusal { self.tellOfDeath(id, failure, attempts: reply.attempts) }
                case .acknowledge: await self.intake.acknowledge(incoming.receipt)
                case .release, .postpone: break
                }
                settlement.completed()
            }
            guard isDone else { return await handBack(incoming) }
        }
        metrics.settling.recordNanoseconds((clock.now - started).nanoseconds)
        metrics.duration.recordNanoseconds((clock.now - incoming.arrived).nanoseconds)
        metrics.settled(reply.status)
        settled += 1
        if logger.logLevel <= .debug {
            logger.debug("settled", metadata: ["id": "\(reply.id ?? "none")", "status": "\(reply.status.rawValue)"])
        }
        departed(incoming)
    }

    private func tellOfDeath(_ id: JobID?, _ failure: JobFailure, attempts: Int) {
        guard logger.logLevel <= .info else { return }
        logger.info(
            "the job is a dead letter",
            metadata: [
                "id": "\(id?.text ?? "none")", "code": "\(failure.code.rawValue)", "reason": "\(failure.message)",
                "attempts": "\(attempts)",
            ])
    }

    // MARK: - Later

    /// Puts a delivery aside that no attempt has been made for.
    func postpone(_ assignment: Assignment, _ delay: Duration) async {
        let envelope = assignment.incoming.envelope
        await postpone(
            assignment,
            Postponement(delay: delay, attempts: envelope.earlierAttempts, deferrals: envelope.deferrals),
            because: nil)
    }

    /// Puts the job aside in the broker: a delivery that waits is never held in a worker.
    ///
    /// - Parameter failure: why it is tried again; nil when nothing has failed.
    func postpone(_ assignment: Assignment, _ postponement: Postponement, because failure: JobFailure?) async {
        let incoming = assignment.incoming
        var settlement = Settlement(
            postponed: postponement, claimed: failure != nil && assignment.isClaimed ? assignment.job.id : nil)
        while let step = settlement.next {
            let isDone = await insist { () throws(Outage) in
                switch step {
                case .release(let id, let starts): try await self.results.release(id, keepingStarts: starts)
                case .postpone(let postponement):
                    try await self.outbox.postpone(
                        incoming, for: postponement.delay, attempts: postponement.attempts,
                        deferrals: postponement.deferrals)
                case .acknowledge: await self.intake.acknowledge(incoming.receipt)
                case .store, .publish, .deadLetter: break
                }
                settlement.completed()
            }
            guard isDone else { return await handBack(incoming) }
        }
        metrics.postponed(failure?.code)
        if let failure, logger.logLevel <= .info {
            logger.info(
                "the job is tried again later",
                metadata: [
                    "id": "\(assignment.job.id.text)", "code": "\(failure.code.rawValue)",
                    "reason": "\(failure.message)", "attempts": "\(postponement.attempts)",
                    "delay": "\(postponement.delay)",
                ])
        }
        departed(incoming)
    }

    /// How often, and after what rests, a reply queue that refuses is asked again: a minute in all.
    private static let rests: [Duration] = [0.1, 0.2, 0.5, 1, 2, 4, 8, 15, 30].map { .seconds($0) }

    /// A reply that nobody takes does not hold its job: the result is stored.
    private func publish(_ reply: OutgoingReply) async throws(Outage) {
        var fate = try await outbox.publish(reply)
        for rest in Self.rests where fate == .refused && !Task.isCancelled {
            await clock.sleep(for: rest)
            fate = try await outbox.publish(reply)
        }
        guard fate != .confirmed else { return }
        if fate == .refused, Task.isCancelled { throw Outage(.rabbitMQ, "the reply queue refuses the reply") }
        metrics.unroutable.increment()
        logger.notice(
            fate == .unroutable
                ? "nobody takes the reply: its queue does not exist; the result is stored"
                : "the reply queue has refused the reply for a minute; the result is stored",
            metadata: ["reply_to": "\(reply.replyTo)", "id": "\(reply.messageID ?? "none")"])
    }

    func outgoing(
        _ kind: OutgoingReply.Kind, to replyTo: String, _ incoming: Incoming, id: JobID?, body: [UInt8],
        messageID: String?
    ) -> OutgoingReply {
        OutgoingReply(
            kind: kind, replyTo: replyTo,
            correlationID: incoming.envelope.correlationID ?? id?.text ?? incoming.envelope.messageID,
            messageID: messageID, priority: incoming.envelope.priority,
            traceparent: TraceContext.continued(incoming.envelope.traceparent), body: body)
    }
}
