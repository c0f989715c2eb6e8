import ChatJobs
import Pipeline

/// A message of a scenario, and what must become of it.
package struct SimulatedMessage: Sendable {
    /// What a reply to it can meet.
    package enum ReplyQueue: Sendable { case none, routable, gone, own }

    /// Unique within a run; order of publication.
    package var number: Int
    package var envelope: Envelope
    package var body: [UInt8]
    /// The id that its result is stored under, nil when it has none that can be read.
    package var id: JobID?
    package var replyQueue: ReplyQueue
    /// The code that the decoder must refuse it with; nil when it is a job.
    package var refusal: ErrorCode?
    /// Whoever works on it dies.
    package var isPoison = false
    /// Every call of the model for it fails, and it alone is to blame.
    package var isHopeless = false
    /// Another message has its id.
    package var hasTwin = false
    /// What its id is bound to by it; nil when it is no job.
    package var fingerprint: Fingerprint?
    package var query: String?
    package var tenant: String?
    /// Who must answer it; nil: the default one.
    package var agent: String?
    package var deadline: Timestamp?
    package var hasDeadline: Bool { deadline != nil }
    package var streams = false

    package init(
        number: Int, envelope: Envelope, body: [UInt8], id: JobID?, replyQueue: ReplyQueue, refusal: ErrorCode? = nil
    ) {
        self.number = number
        self.envelope = envelope
        self.body = body
        self.id = id
        self.replyQueue = replyQueue
        self.refusal = refusal
    }

    /// A message for `job`, its id in the property `message_id`, its replies to a queue of its own.
    package init(
        number: Int, _ job: Job, replyQueue: ReplyQueue = .routable, priority: UInt8? = nil,
        traceparent: String? = nil
    ) {
        var envelope = Envelope()
        envelope.messageID = job.id.text
        envelope.correlationID = "c\(number)"
        envelope.priority = priority
        envelope.traceparent = traceparent
        switch replyQueue {
        case .none: break
        case .routable: envelope.replyTo = "replies"
        case .gone: envelope.replyTo = "gone"
        case .own: envelope.replyTo = "chat.jobs"
        }
        self.init(
            number: number, envelope: envelope, body: job.encoded(), id: job.id, replyQueue: replyQueue,
            refusal: replyQueue == .own ? .invalidJob : nil)
        if refusal == nil { fingerprint = Fingerprint(of: job) }
        query = job.query
        tenant = job.tenant
        deadline = job.deadline
        streams = job.stream
    }
}
