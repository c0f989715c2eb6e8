import ChatJobs
import ParleyRabbitMQ
import Topology

extension Envelope {
    /// What a message's properties and headers say of the job in it.
    package init(_ properties: MessageProperties) {
        self.init()
        read(properties)
    }

    /// A method, because what an initializer sets is not observed: properties would not be put right.
    private mutating func read(_ properties: MessageProperties) {
        contentType = properties.contentType
        contentEncoding = properties.contentEncoding
        messageID = properties.messageID
        correlationID = properties.correlationID
        if !properties.rawTexts.isEmpty { correlationBytes = properties.rawTexts[.correlationID] }
        replyTo = properties.replyTo
        priority = properties.priority
        userID = properties.userID
        if let type = properties.type { foreign = ForeignMessage(type: type) }
        if !properties.headers.isEmpty { read(properties.headers) }
    }

    private mutating func read(_ headers: FieldTable) {
        var isLetter = false
        // From the last to the first: of one given twice the first counts.
        for (key, value) in headers.pairs.reversed() {
            switch key {
            case MessageHeaders.traceparent: traceparent = value.string
            case MessageHeaders.earlierAttempts: earlierAttempts = value.count
            case MessageHeaders.deferrals: deferrals = value.count
            case MessageHeaders.outages: outages = value.count
            case MessageHeaders.refusals: refusals = value.count
            case MessageHeaders.requeues: requeues = value.count
            case MessageHeaders.errorCode: isLetter = true
            case "task": if value.string != nil { foreign = .celery(id: headers["id"]?.string) }
            case "__TypeId__": foreign = .spring
            case "compression": if let label = value.string { read(compression: label) }
            default: break
            }
        }
        guard isLetter else { return }
        // A dead letter that somebody has moved back to a job queue, with a shovel or on the management page: a requeue.
        (earlierAttempts, deferrals, outages, refusals) = (0, 0, 0, 0)
        requeues += 1
    }

    /// kombu says in a header of its own that it has compressed a body, and calls zlib gzip.
    private mutating func read(compression label: String) {
        switch contentEncoding?.lowercased() {
        case nil, "", "utf-8", "utf8", "identity", "binary": break
        default: return
        }
        switch label {
        case "application/x-gzip", "application/zlib", "gzip", "zlib": contentEncoding = "gzip"
        case _ where label.hasPrefix("application/"): contentEncoding = label
        default: break
        }
    }
}

extension ForeignMessage {
    /// What the property `type` shows.
    fileprivate init?(type: String) {
        switch type {
        case "amqp-1.0": self = .amqp10
        case "chat.reply", "chat.chunk": self = .reply
        default: return nil
        }
    }
}

extension FieldValue {
    /// A header that counts; 0 when it is nonsense.
    fileprivate var count: Int {
        guard let value = int, (0...1_000_000).contains(value) else { return 0 }
        return Int(value)
    }
}
