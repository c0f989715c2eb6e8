/// The properties of a message's content header (AMQP 0-9-1, class `basic`). Absent ones are `nil`.
///
/// Text from a peer that is not valid UTF-8 is repaired with U+FFFD, and kept in ``rawTexts`` as it came. Text fields hold at
/// most 255 bytes on the wire.
package struct MessageProperties: Sendable, Equatable {
    /// MIME type of the body.
    package var contentType: String?
    /// MIME encoding of the body, such as `gzip`.
    package var contentEncoding: String?
    /// Free headers.
    package var headers: FieldTable
    /// 1 is transient, 2 survives the broker's restart in a durable queue.
    package var deliveryMode: UInt8?
    /// 0 to 9 by custom; up to the queue's `x-max-priority`.
    package var priority: UInt8?
    /// What a reply repeats.
    package var correlationID: String?
    /// The queue that a reply goes to.
    package var replyTo: String?
    /// Time to live in milliseconds, as decimal text.
    package var expiration: String?
    package var messageID: String?
    /// Seconds since 1970.
    package var timestamp: UInt64?
    package var type: String?
    /// The broker refuses a message whose user is not the connection's.
    package var userID: String?
    package var appID: String?
    /// What a text property is on the wire when it is not UTF-8; counts while the property is set at all. Whoever changes
    /// such a property removes what is here of it.
    package var rawTexts: [TextProperty: [UInt8]] = [:]

    /// No properties but those given.
    package init(
        contentType: String? = nil, contentEncoding: String? = nil, headers: FieldTable = FieldTable(),
        deliveryMode: UInt8? = nil, priority: UInt8? = nil, correlationID: String? = nil, replyTo: String? = nil,
        expiration: String? = nil, messageID: String? = nil, timestamp: UInt64? = nil, type: String? = nil,
        userID: String? = nil, appID: String? = nil
    ) {
        self.contentType = contentType
        self.contentEncoding = contentEncoding
        self.headers = headers
        self.deliveryMode = deliveryMode
        self.priority = priority
        self.correlationID = correlationID
        self.replyTo = replyTo
        self.expiration = expiration
        self.messageID = messageID
        self.timestamp = timestamp
        self.type = type
        self.userID = userID
        self.appID = appID
    }
}

/// Names one delivery. Valid only in the channel's life (its epoch) that delivered it.
package struct DeliveryTag: Sendable, Hashable {
    /// The life of the channel; unique in the process.
    package var epoch: UInt64
    /// The broker's number, counting from 1 in each epoch.
    package var number: UInt64

    /// The tag `number` of `epoch`.
    package init(epoch: UInt64, number: UInt64) {
        self.epoch = epoch
        self.number = number
    }
}

/// A message that the broker has handed over.
///
/// A class, because it is handed on several times: a struct of its many strings would be counted up and down each time.
package final class Delivery: Sendable {
    /// For settling it.
    package let tag: DeliveryTag
    /// Whether the broker has handed it out before (to anyone).
    package let redelivered: Bool
    package let exchange: String
    package let routingKey: String
    /// The consumer that it was delivered to; empty for `basic.get`.
    package let consumerTag: String
    /// The queue it was in: the one that the consumer consumes, or that `basic.get` named. The routing key need not say.
    package let queue: String
    package let properties: MessageProperties
    /// Empty when it was ``discarded``.
    package let body: [UInt8]
    /// What is known of a body above the consumer's limit, which was discarded while it was read.
    package let discarded: DiscardedBody?

    /// A delivery made by hand, for tests of what consumes it.
    package init(
        tag: DeliveryTag, redelivered: Bool = false, exchange: String = "", routingKey: String,
        consumerTag: String = "", queue: String = "", properties: MessageProperties = MessageProperties(),
        body: [UInt8], discarded: DiscardedBody? = nil
    ) {
        self.tag = tag
        self.redelivered = redelivered
        self.exchange = exchange
        self.routingKey = routingKey
        self.consumerTag = consumerTag
        self.queue = queue
        self.properties = properties
        self.body = body
        self.discarded = discarded
    }

    /// The same, from `queue`.
    func named(_ queue: String) -> Delivery {
        Delivery(
            tag: tag, redelivered: redelivered, exchange: exchange, routingKey: routingKey, consumerTag: consumerTag,
            queue: queue, properties: properties, body: body, discarded: discarded)
    }
}

/// A body that was not kept.
package struct DiscardedBody: Sendable, Equatable {
    /// How many bytes it had.
    package var bytes: Int
    /// Its SHA-256, as 64 hexadecimal digits; nil when OpenSSL could not make one.
    package var sha256: String?

    package init(bytes: Int, sha256: String?) {
        self.bytes = bytes
        self.sha256 = sha256
    }
}

/// A message to publish.
package struct OutgoingMessage: Sendable {
    /// Empty is the default exchange, where the routing key is a queue's name.
    package var exchange: String
    package var routingKey: String
    package var properties: MessageProperties
    package var body: [UInt8]
    /// Whether the broker is to return it when no queue takes it (else it is dropped and confirmed). Ignored for direct
    /// replies (`amq.rabbitmq.reply-to.…`), which the broker would return although it delivers them.
    package var mandatory: Bool

    /// A mandatory message to the default exchange, unless said otherwise.
    package init(
        exchange: String = "", routingKey: String, properties: MessageProperties = MessageProperties(), body: [UInt8],
        mandatory: Bool = true
    ) {
        self.exchange = exchange
        self.routingKey = routingKey
        self.properties = properties
        self.body = body
        self.mandatory = mandatory
    }
}

/// What became of a published message.
package enum PublishOutcome: Sendable, Equatable {
    /// The broker has it: in a queue, on disk if both are durable.
    case confirmed
    /// No queue took it; the message is gone. Code and reason are the broker's (312 NO_ROUTE).
    case returned(code: UInt16, reason: String)
}

/// What a queue shall be.
package struct QueueDeclaration: Sendable, Equatable {
    /// Empty asks the broker for a name.
    package var name: String
    /// Survives the broker's restart.
    package var durable: Bool
    /// Belongs to this connection and goes with it.
    package var exclusive: Bool
    /// Goes with its last consumer.
    package var autoDelete: Bool
    /// `x-…` arguments.
    package var arguments: FieldTable

    /// A durable queue, unless said otherwise.
    package init(
        name: String, durable: Bool = true, exclusive: Bool = false, autoDelete: Bool = false,
        arguments: FieldTable = FieldTable()
    ) {
        self.name = name
        self.durable = durable
        self.exclusive = exclusive
        self.autoDelete = autoDelete
        self.arguments = arguments
    }
}

/// What the broker says of a queue when it is declared.
package struct QueueStatus: Sendable, Equatable {
    package var name: String
    /// Messages ready for delivery.
    package var messages: UInt32
    package var consumers: UInt32
}

/// What a consumer or publisher that stays connected reports.
package enum ConnectionEvent: Sendable, Equatable {
    /// Connected, set up and ready.
    case connected(endpoint: RabbitMQConfiguration.Endpoint)
    /// The connection or its channel ended, or could not be made or set up; the next attempt starts after the delay.
    case disconnected(RabbitMQError, retryAfter: Duration)
    /// The broker takes no messages (memory or disk alarm).
    case blocked(reason: String)
    case unblocked
    /// The queue is not there, or the broker ended its consumer because it is gone: it is set up and consumed again.
    case consumerCancelled(queue: String)
}
