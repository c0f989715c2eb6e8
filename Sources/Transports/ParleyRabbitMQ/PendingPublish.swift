/// Where a message goes, as far as it matters to who is to blame when it does not get there.
struct PublishAddress: Hashable {
    let exchange: String
    /// Empty for any exchange but the default one: what a routing key means there is the exchange's business.
    let queue: String

    init(exchange: String, routingKey: String) {
        self.exchange = exchange
        queue = exchange.isEmpty ? routingKey : ""
    }

    /// A requester's own address (RabbitMQ documentation, "Direct Reply-to"): a term that the broker takes apart, and ends
    /// the connection when it cannot (seen with RabbitMQ 3.10).
    var isDirectReply: Bool { exchange.isEmpty && queue.hasPrefix(Self.directReply) }

    /// Whether the broker can have made it: then what follows is an Erlang term's first bytes, 131 and 88 or 103, in
    /// base 64.
    var isPlausibleDirectReply: Bool {
        let rest = queue.utf8.dropFirst(Self.directReply.utf8.count)
        return rest.starts(with: "g1".utf8) || rest.starts(with: "g2".utf8)
    }

    private static let directReply = "amq.rabbitmq.reply-to."
}

/// A message between `publish` and its outcome.
///
/// Its parts are constants of their own: to read one copies nothing else.
final class PendingPublish {
    let exchange: String
    let routingKey: String
    let properties: MessageProperties
    let mandatory: Bool
    private(set) var body: [UInt8]
    let bodySize: Int
    let deadline: ContinuousClock.Instant
    var returned: PublishOutcome?
    /// How often it has been written to a channel.
    var attempts = 0
    /// Taken when called, so that the outcome is told once.
    private var completion: ((Result<PublishOutcome, RabbitMQError>) -> Void)?

    init(
        _ message: consuming OutgoingMessage, deadline: ContinuousClock.Instant,
        completion: @escaping (Result<PublishOutcome, RabbitMQError>) -> Void
    ) {
        exchange = message.exchange
        routingKey = message.routingKey
        properties = message.properties
        mandatory = message.mandatory
        body = message.body
        bodySize = message.body.count
        self.deadline = deadline
        self.completion = completion
    }

    var address: PublishAddress { PublishAddress(exchange: exchange, routingKey: routingKey) }
    var isOpen: Bool { completion != nil }

    /// The body has been written, and will not be again.
    func dropBody() { body = [] }

    func finish(_ result: Result<PublishOutcome, RabbitMQError>) {
        let completion = self.completion
        self.completion = nil
        completion?(result)
    }
}
