import ChatJobs
import Logging

extension Pipeline {
    /// A message that is no job: answered when it says where, dead-lettered with the reason.
    func refuse(_ incoming: Incoming, _ refusal: JobDecoder.Refusal) async {
        var reply = Reply(id: refusal.id?.text ?? incoming.envelope.messageID, failure: refusal.failure)
        reply.attempts = incoming.envelope.earlierAttempts + 1
        reply.timings.total = (clock.now - incoming.arrived).milliseconds
        logger.info(
            "refused a message",
            metadata: ["id": "\(reply.id ?? "none")", "code": "\(refusal.failure.code.rawValue)"])
        await settle(
            incoming, id: refusal.id, reply, encoded: reply.encoded(), stored: false, isRefusal: true,
            deadLetter: refusal.failure)
    }

    /// A job that ends without being worked on.
    func fail(_ assignment: Assignment, _ failure: JobFailure, started: Duration) async {
        var reply = Reply(id: assignment.job.id.text, failure: failure)
        finish(&reply, assignment, started: started)
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
            assignment.incoming, id: assignment.job.id, reply, encoded: encoded, stored: stored, deadLetter: deadLetter)
    }

    /// Result first, then the confirmed reply, then the dead letter, and the acknowledgement last. An outage on the way
    /// is waited out; only an abandoned worker hands the job back.
    private func settle(
        _ incoming: Incoming, id: JobID?, _ reply: Reply, encoded: [UInt8], stored: Bool, isRefusal: Bool = false,
        deadLetter: JobFailure?
    ) async {
        let started = clock.now
        // A reply to one of our own queues would come back as a job: it is not sent.
        let replyTo = incoming.envelope.replyTo.flatMap { $0.isEmpty || decoder.ownQueues.contains($0) ? nil : $0 }
        var settlement = Settlement(id: id, replyTo: replyTo, stored: stored, deadLetter: deadLetter)
        var body = encoded
        while let step = settlement.next {
            do throws(Outage) {
                switch step {
                case .store(let id):
                    // A message that is no job leaves an answer stored under its id alone, but is not answered with it.
                    if let winner = try await results.store(id, body, status: reply.status), !isRefusal {
                        body = winner
                        settlement = Settlement(id: id, replyTo: replyTo, stored: true, deadLetter: nil)
                        continue
                    }
                case .publish(let replyTo):
                    let message = outgoing(
                        .reply, to: replyTo, incoming, id: id, body: body, messageID: reply.id)
                    if try await !outbox.publish(message) { unroutable(replyTo, id) }
                case .deadLetter(let failure):
                    try await outbox.deadLetter(incoming, failure, attempts: reply.attempts, id: id)
                    metrics.deadLettered(failure.code)
                case .acknowledge:
                    await intake.acknowledge(incoming.receipt)
                }
                settlement.completed()
            } catch {
                if Task.isCancelled { return await handBack(incoming) }
                logger.debug("settlement waits", metadata: ["outage": "\(error)"])
                if case .store = step { await results.untilAvailable() } else { await outbox.untilAvailable() }
            }
        }
        metrics.settling.recordNanoseconds((clock.now - started).nanoseconds)
        metrics.duration.recordNanoseconds((clock.now - incoming.arrived).nanoseconds)
        metrics.settled(reply.status)
        if logger.logLevel <= .debug {
            logger.debug("settled", metadata: ["id": "\(reply.id ?? "none")", "status": "\(reply.status.rawValue)"])
        }
        departed(incoming)
    }

    private func unroutable(_ replyTo: String, _ id: JobID?) {
        metrics.unroutable.increment()
        logger.notice(
            "nobody takes the reply: its queue does not exist; the result is stored",
            metadata: ["reply_to": "\(replyTo)", "id": "\(id?.text ?? "none")"])
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
