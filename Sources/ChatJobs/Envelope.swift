/// The AMQP properties of a job that the contract gives a meaning (section 1), free of any transport's types.
public struct Envelope: Sendable, Equatable {
    public var contentType: String?
    public var contentEncoding: String?
    public var messageID: String?
    public var correlationID: String?
    public var replyTo: String?
    /// 0 (bulk) … 9 (a person waits); larger values count as 9. Absent: 4.
    public var priority: UInt8?
    /// When the producer says it published the message.
    public var timestamp: Timestamp?
    /// W3C trace context, continued on replies.
    public var traceparent: String?
    /// Attempts made before this delivery, from Parley's own header.
    public var earlierAttempts = 0
    /// How often the job was put aside without an attempt being counted (a service asked to slow down, or was away).
    public var deferrals = 0
    /// How often an operator has sent the job back from the dead letters.
    public var requeues = 0

    /// Of a job whose producer gave none.
    public static let defaultPriority = 4

    public init() {}

    /// The priority that counts: 0 … 9.
    public var effectivePriority: Int { min(priority.map { Int($0) } ?? Self.defaultPriority, 9) }
}
