import Answering
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
            incoming, Outcome(reply, id: refusal.id, isRefusal: true, deadLetter: refusal.failure), endingClaim: false)
    }

    /// A job that ends without an answer.
    func fail(
        _ assignment: Assignment, _ failure: JobFailure, started: Duration, _ complete: (inout Reply) -> Void = { _ in }
    ) async { await settle(assignment, outcome(of: assignment, failure, started: started, complete)) }

    @inline(never)
    private func outcome(
        of assignment: Assignment, _ failure: JobFailure, started: Duration, _ complete: (inout Reply) -> Void
    ) -> Outcome {
        var reply = Reply(id: assignment.job.id.text, failure: failure)
        finish(&reply, assignment, started: started)
        complete(&reply)
        return Outcome(reply, id: assignment.job.id, deadLetter: reply.status == .failed ? failure : nil)
    }

    /// The members that every reply to a decoded job has.
    func finish(_ reply: inout Reply, _ assignment: Assignment, started: Duration) {
        reply.agent = assignment.job.agent
        reply.metadata = assignment.job.metadata
        reply.attempts = assignment.attempt
        reply.timings.queued = (started - assignment.incoming.arrived).milliseconds
        reply.timings.total = (clock.now - assignment.incoming.arrived).milliseconds
    }

    func settle(_ assignment: Assignment, _ outcome: Outcome) async {
        await settle(assignment.incoming, outcome, endingClaim: assignment.isClaimed)
    }

    /// Result first, then the confirmed reply, then the dead letter, and the acknowledgement last. An outage on the way
    /// is waited out; only an abandoned worker hands the job back.
    private func settle(_ incoming: Incoming, _ outcome: Outcome, endingClaim: Bool) async {
        let started = clock.now
        let replyTo = address(of: incoming)
        var settlement = Settlement(
            storing: outcome.id != nil && !outcome.isStored, publishing: replyTo != nil,
            deadLettering: outcome.deadLetter != nil)
        var body = outcome.body
        while let step = settlement.next {
            do throws(Outage) {
                switch step {
                case .store:
                    // A message that is no job leaves an answer stored under its id alone, but is not answered with it.
                    if let winner = try await store(outcome, endingClaim), !outcome.isRefusal {
                        body = winner
                        settlement = Settlement(publishing: replyTo != nil)
                        continue
                    }
                case .publish:
                    guard let replyTo else { break }
                    try await publish(
                        outgoing(.reply, to: replyTo, incoming, id: outcome.id, body: body, messageID: outcome.replyID))
                case .deadLetter: try await deadLetter(incoming, outcome)
                case .acknowledge: await intake.acknowledge(incoming.receipt)
                case .release, .postpone: break
                }
                settlement.completed()
            } catch {
                if Task.isCancelled { return await handBack(incoming) }
                await waitOut(error)
            }
        }
        settled(incoming, outcome, since: started)
    }

    @inline(never)
    private func settled(_ incoming: Incoming, _ outcome: Outcome, since started: Duration) {
        metrics.settling.recordNanoseconds((clock.now - started).nanoseconds)
        metrics.duration.recordNanoseconds((clock.now - incoming.arrived).nanoseconds)
        metrics.settled(outcome.status)
        settled += 1
        if logger.logLevel <= .debug {
            logger.debug(
                "settled", metadata: ["id": "\(outcome.replyID ?? "none")", "status": "\(outcome.status.rawValue)"])
        }
        departed(incoming)
    }

    /// A reply to one of our own queues would come back as a job: it is not sent.
    private func address(of incoming: Incoming) -> String? {
        incoming.envelope.replyTo.flatMap { $0.isEmpty || decoder.ownQueues.contains($0) ? nil : $0 }
    }

    private func store(_ outcome: Outcome, _ endingClaim: Bool) async throws(Outage) -> [UInt8]? {
        guard let id = outcome.id else { return nil }
        return try await results.store(id, outcome.body, status: outcome.status, endingClaim: endingClaim)
    }

    private func deadLetter(_ incoming: Incoming, _ outcome: Outcome) async throws(Outage) {
        guard let failure = outcome.deadLetter else { return }
        try await outbox.deadLetter(incoming, failure, attempts: outcome.attempts, id: outcome.id)
        metrics.deadLettered(failure.code)
        if !outcome.isRefusal { tellOfDeath(outcome.id, failure, attempts: outcome.attempts) }
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
        var settlement = Settlement.postponement(releasing: failure != nil && assignment.isClaimed)
        while let step = settlement.next {
            do throws(Outage) {
                switch step {
                case .release: try await results.release(assignment.job.id, keepingStarts: nil)
                case .postpone:
                    try await outbox.postpone(
                        incoming, for: postponement.delay, attempts: postponement.attempts,
                        deferrals: postponement.deferrals)
                case .acknowledge: await intake.acknowledge(incoming.receipt)
                case .store, .publish, .deadLetter: break
                }
                settlement.completed()
            } catch {
                if Task.isCancelled { return await handBack(incoming) }
                await waitOut(error)
            }
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
        untaken(reply, fate)
    }

    @inline(never)
    private func untaken(_ reply: OutgoingReply, _ fate: ReplyFate) {
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
