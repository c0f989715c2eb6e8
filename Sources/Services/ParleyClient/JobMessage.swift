import ChatJobs
import ParleyRabbitMQ

/// A job ready to be published: its body, and the properties that travel beside it.
public struct JobMessage: Sendable, Equatable {
    public var id: JobID
    /// The JSON of the job (contract, section 1).
    public var body: [UInt8]
    /// 0 (bulk) … 9 (a person waits); nil is 4. It is always sent: to the broker, a job without one comes last.
    public var priority: Int?
    /// Where replies go; nil: the result is only stored.
    public var replyTo: String?
    /// W3C trace context, continued by the worker.
    public var traceparent: String?

    public init(id: JobID, body: [UInt8], priority: Int? = nil, replyTo: String? = nil, traceparent: String? = nil) {
        self.id = id
        self.body = body
        self.priority = priority
        self.replyTo = replyTo
        self.traceparent = traceparent
    }

    public init(_ job: Job, priority: Int? = nil, replyTo: String? = nil) {
        self.init(id: job.id, body: job.encoded(), priority: priority, replyTo: replyTo)
    }

    /// - Parameter user: the connection's, to be vouched for by the broker.
    func outgoing(to queue: String, by exchange: String = "", from user: String? = nil) -> OutgoingMessage {
        var properties = MessageProperties()
        properties.contentType = "application/json"
        properties.deliveryMode = 2
        properties.messageID = id.text
        properties.userID = user
        properties.correlationID = id.text
        properties.replyTo = replyTo
        properties.priority = UInt8(clamping: priority ?? Envelope.defaultPriority)
        if let traceparent { properties.headers["traceparent"] = .string(traceparent) }
        return OutgoingMessage(exchange: exchange, routingKey: queue, properties: properties, body: body)
    }
}

extension JobID {
    /// An id that nobody has had before: 32 hexadecimal digits of randomness.
    public static func random() -> JobID {
        var generator = SystemRandomNumberGenerator()
        let digits = (0..<2).map { _ in
            let half = String(generator.next(), radix: 16)
            return String(repeating: "0", count: 16 - half.count) + half
        }.joined()
        guard let id = JobID(digits) else { preconditionFailure("hexadecimal digits make an id") }
        return id
    }
}
