/// The AMQP properties of a job that the contract gives a meaning (section 1), free of any transport's types.
///
/// Clients that know no absent properties send empty ones: those count as absent.
package struct Envelope: Sendable, Equatable {
    package var contentType: String?
    package var contentEncoding: String?
    package var messageID: String? { didSet { if messageID?.isEmpty == true { messageID = nil } } }
    package var correlationID: String? { didSet { if correlationID?.isEmpty == true { correlationID = nil } } }
    /// What ``correlationID`` was before it was made text: when it is not UTF-8, and only then.
    package var correlationBytes: [UInt8]?
    /// The queue for replies. An address of another protocol is read as the queue that it means (``ReplyAddress``); one
    /// that may mean more than one stays as it is.
    package var replyTo: String? {
        didSet {
            isReplyToUncertain = false
            guard let address = replyTo else { return }
            if address.isEmpty {
                replyTo = nil
            } else if let queue = ReplyAddress.queue(address) {
                replyTo = queue
            } else {
                isReplyToUncertain = true
            }
        }
    }
    package private(set) var isReplyToUncertain = false
    /// Whom the broker has vouched for as the job's producer.
    package var userID: String?
    /// 0 (bulk) … 9 (a person waits); larger values count as 9. Absent: 4.
    package var priority: UInt8?
    /// When the producer says it published the message.
    package var timestamp: Timestamp?
    /// W3C trace context, continued on replies.
    package var traceparent: String?
    /// Attempts made before this delivery, from Parley's own header.
    package var earlierAttempts = 0
    /// How often the job was put aside without an attempt being counted: a service asked to slow down.
    package var deferrals = 0
    /// How often the job was put aside because a service was not there.
    package var outages = 0
    /// How often the job was put aside because its reply queue refused the reply: its result is stored.
    package var refusals = 0
    /// How often an operator has sent the job back from the dead letters.
    package var requeues = 0
    /// Another system's message, as its properties show.
    package var foreign: ForeignMessage?

    /// How many bytes the body had, when it was above the limit and was discarded while it was read.
    package var discardedBytes: Int?

    /// Of a job whose producer gave none.
    package static let defaultPriority = 4

    package init() {}

    /// The priority that counts: 0 … 9.
    package var effectivePriority: Int { min(priority.map { Int($0) } ?? Self.defaultPriority, 9) }
}
