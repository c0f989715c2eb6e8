/// The AMQP properties of a job that the contract gives a meaning (section 1), free of any transport's types.
package struct Envelope: Sendable, Equatable {
    package var contentType: String?
    package var contentEncoding: String?
    package var messageID: String?
    package var correlationID: String?
    package var replyTo: String?
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

    /// How many bytes the body had, when it was above the limit and was discarded while it was read.
    package var discardedBytes: Int?

    /// Of a job whose producer gave none.
    package static let defaultPriority = 4

    package init() {}

    /// The priority that counts: 0 … 9.
    package var effectivePriority: Int { min(priority.map { Int($0) } ?? Self.defaultPriority, 9) }
}
