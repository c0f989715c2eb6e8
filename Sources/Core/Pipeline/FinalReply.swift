import Answering
import ChatJobs
import ParleyPrimitives

/// How a delivery ends: the reply to keep and to publish, and why the message becomes a dead letter, if it does.
///
/// A class, and made by functions that do not wait and are not inlined: what an `async` function has about it, its inlined
/// callees' variables included, is part of the job's task until it returns, and a reply takes kilobytes.
final class FinalReply: Sendable {
    /// What the reply is kept under; nil when the message had no readable id.
    let key: JobKey?
    /// Of the job that it answers; nil when the message was none.
    let fingerprint: Fingerprint?
    /// The `id` that the reply itself has.
    let replyID: String?
    let status: Reply.Status
    let attempts: Int
    /// The reply as it is kept and published.
    let body: [UInt8]
    /// Nothing is to be stored: it is kept already, or what is kept is another job's.
    let isStored: Bool
    /// The message was no job.
    let isRefusal: Bool
    /// A reply may go to the message's `reply_to`.
    let isAnswerable: Bool
    let deadLetter: JobFailure?
    /// Of an answer.
    let account: Account?

    private init(
        _ reply: Reply, _ key: JobKey?, _ fingerprint: Fingerprint? = nil, stored: [UInt8]? = nil,
        isRefusal: Bool = false, isAnswerable: Bool = true, isConflict: Bool = false, deadLetter: JobFailure? = nil,
        account: Account? = nil
    ) {
        self.key = key
        self.fingerprint = fingerprint
        replyID = reply.id
        status = reply.status
        attempts = reply.attempts
        body = stored ?? reply.encoded()
        isStored = stored != nil || isConflict
        self.isRefusal = isRefusal
        self.isAnswerable = isAnswerable
        self.deadLetter = deadLetter
        self.account = account
    }

    /// - Parameter reference: where the answer's text is, when it is too long for a reply.
    @inline(never)
    static func answer(
        _ answer: Answer, _ reuse: Reuse?, at reference: AnswerReference? = nil, to delivery: JobDelivery,
        _ outcome: AnswerOutcome, now: Duration, wall: Timestamp
    ) -> FinalReply {
        var reply = Reply(id: delivery.job.id.text, status: .succeeded)
        reply.answer = reference == nil ? answer.text : nil
        reply.answerReference = reference
        reply.model = answer.model
        // What was not asked for anew is not paid for again.
        reply.usage = reuse == nil ? answer.usage : answer.usage.unpaid
        reply.cached = reuse?.from ?? .none
        reply.age = reuse?.age
        reply.isStale = reuse?.isStale ?? false
        reply.cited = Citations.places(in: answer.text, of: answer.sources.count)
        reply.finishReason = answer.finishReason
        reply.sources = answer.sources
        complete(&reply, delivery, outcome, now)
        return FinalReply(
            reply, delivery.key, delivery.identity.fingerprint,
            account: Account(delivery.job, outcome.route, answer, reuse, at: wall))
    }

    /// - Parameters:
    ///   - outcome: what was spent on it, when it was worked on.
    ///   - last: its attempts are used up.
    @inline(never)
    static func failure(
        _ failure: JobFailure, of delivery: JobDelivery, _ outcome: AnswerOutcome? = nil, now: Duration,
        last: LastWord? = nil
    ) -> FinalReply {
        var reply = Reply(id: delivery.job.id.text, failure: failure)
        reply.error?.message = failure.publicMessage
        if let last {
            reply.error?.message += last.words
            reply.error?.retryable = false
        }
        complete(&reply, delivery, outcome, now)
        // The start that found the losses was no attempt.
        if failure.code == .workerLost { reply.attempts -= 1 }
        return FinalReply(
            reply, delivery.key, delivery.identity.fingerprint, deadLetter: reply.status == .failed ? failure : nil)
    }

    /// The id belongs to another job: nothing is said of that one, and nothing of it is changed.
    @inline(never)
    static func conflict(of delivery: JobDelivery, now: Duration) -> FinalReply {
        var reply = Reply(id: delivery.job.id.text, failure: .idConflict)
        complete(&reply, delivery, nil, now)
        return FinalReply(reply, delivery.key, isConflict: true, deadLetter: .idConflict)
    }

    /// The same, found out when the answer was to be stored: another job's was there first.
    @inline(never)
    func asConflict() -> FinalReply {
        let own = try? Reply(decoding: body)
        var reply = Reply(id: replyID, failure: .idConflict)
        reply.agent = own?.agent
        reply.rewrittenQuery = own?.rewrittenQuery
        reply.warnings = own?.warnings ?? []
        reply.metadata = own?.metadata
        reply.attempts = attempts
        reply.timings = own?.timings ?? Timings()
        return FinalReply(reply, key, isConflict: true, deadLetter: .idConflict)
    }

    /// A message that is no job. No timings: a delivery that is refused twice, after a crash, is answered in the same words.
    @inline(never)
    static func refusal(_ refusal: JobDecoder.Refusal, of incoming: Incoming) -> FinalReply {
        var reply = Reply(id: refusal.id?.text ?? incoming.envelope.messageID, failure: refusal.failure)
        reply.attempts = incoming.envelope.earlierAttempts + 1
        reply.agent = refusal.agent
        reply.metadata = refusal.metadata
        reply.warnings = refusal.warnings
        return FinalReply(
            reply, refusal.key, isRefusal: true, isAnswerable: refusal.isAnswerable,
            deadLetter: refusal.failure)
    }

    /// What is stored. The worker that stored a failure may have died before the dead letter: it is written again.
    @inline(never)
    static func stored(_ reply: Reply, _ bytes: [UInt8], for delivery: JobDelivery) -> FinalReply {
        var failure: JobFailure?
        if reply.status == .failed, let error = reply.error, let code = ErrorCode(rawValue: error.code) {
            failure = JobFailure(code, error.message)
        }
        return FinalReply(reply, delivery.key, stored: bytes, deadLetter: failure)
    }

    /// The members that every reply to a decoded job has.
    private static func complete(
        _ reply: inout Reply, _ delivery: JobDelivery, _ outcome: AnswerOutcome?, _ now: Duration
    ) {
        reply.agent = delivery.job.agent ?? outcome?.route.agent.name
        reply.rewrittenQuery = delivery.job.rewrittenQuery ?? outcome?.route.rewrittenQuery
        reply.warnings = delivery.job.warnings
        reply.metadata = delivery.job.metadata
        reply.attempts = delivery.attempt
        reply.timings.queued = (delivery.begun - delivery.incoming.arrived).milliseconds
        reply.timings.retrieve = outcome?.retrieving.milliseconds ?? 0
        reply.timings.generate = outcome?.generating.milliseconds ?? 0
        reply.timings.total = (now - delivery.incoming.arrived).milliseconds
    }
}

/// What a producer is told when no attempts are left: the failure stands.
struct LastWord {
    /// How long it is kept under its id.
    let kept: Duration

    var words: String {
        let seconds = Int(kept / .seconds(1))
        let time = seconds >= 7200 ? "\(seconds / 3600) h" : seconds >= 120 ? "\(seconds / 60) min" : "\(seconds) s"
        return
            "; no attempts are left, and for about \(time) this id is answered so, unless an operator requeues the job"
    }
}
