/// What the broker sends, in Swift's values.
enum InboundFrame {
    case method(channel: UInt16, InboundMethod)
    /// Apart, so that the other frames are not as large as it.
    indirect case header(channel: UInt16, classID: UInt16, bodySize: UInt64, MessageProperties)
    /// The bytes are the library's, and live only as long as the call that hands them over.
    case body(channel: UInt16, UnsafeRawBufferPointer)
    /// A heartbeat, or what the specification does not know.
    case other
}

/// The broker's methods, as far as a client hears of them.
enum InboundMethod {
    case connectionClose(code: UInt16, text: String)
    case connectionCloseOK
    case blocked(reason: String)
    case unblocked
    case channelClose(code: UInt16, text: String)
    case channelCloseOK
    case flow(active: Bool)
    case deliver(consumerTag: String, tag: UInt64, redelivered: Bool, exchange: String, routingKey: String)
    case got(tag: UInt64, redelivered: Bool, exchange: String, routingKey: String, remaining: UInt32)
    case returned(code: UInt16, text: String, exchange: String, routingKey: String)
    case confirm(tag: UInt64, multiple: Bool, accepted: Bool)
    case cancel(consumerTag: String, noWait: Bool)
    /// The answer to a request.
    case answer(AwaitedReply, Reply)
    case unknown(id: UInt32)
}

/// The broker's answer to one request.
enum Reply: Sendable {
    case ok
    case queue(QueueStatus)
    case count(UInt32)
    case message(Delivery, remaining: UInt32)
    case empty
}

/// Which answer a request waits for: answers name no request.
enum AwaitedReply: Equatable {
    case channelOpen, channelClose
    case exchangeDeclare, exchangeDelete
    case queueDeclare, queueBind, queueUnbind, queuePurge, queueDelete
    case basicQos, basicConsume, basicCancel, basicGet
    case confirmSelect
}

/// What this side sends, but for messages.
enum OutboundMethod: Equatable {
    case connectionClose, connectionCloseOK
    case channelOpen, channelClose, channelCloseOK
    case flowOK(active: Bool)
    case exchangeDeclare(
        String, type: String, passive: Bool, durable: Bool, autoDelete: Bool, arguments: FieldTable)
    case exchangeDelete(String, ifUnused: Bool)
    case queueDeclare(QueueDeclaration, passive: Bool)
    case queueBind(queue: String, exchange: String, routingKey: String, arguments: FieldTable)
    case queueUnbind(queue: String, exchange: String, routingKey: String, arguments: FieldTable)
    case queuePurge(String)
    case queueDelete(String, ifUnused: Bool, ifEmpty: Bool)
    case qos(prefetch: UInt16)
    case consume(queue: String, tag: String, noAck: Bool, exclusive: Bool, arguments: FieldTable)
    case cancel(tag: String)
    case cancelOK(tag: String)
    case get(queue: String, noAck: Bool)
    case ack(UInt64, multiple: Bool)
    case reject(UInt64, requeue: Bool)
    case nack(UInt64, multiple: Bool, requeue: Bool)
    case confirmSelect

    /// The answer that the broker owes; nil when it owes none.
    var awaits: AwaitedReply? {
        switch self {
        case .channelOpen: .channelOpen
        case .channelClose: .channelClose
        case .exchangeDeclare: .exchangeDeclare
        case .exchangeDelete: .exchangeDelete
        case .queueDeclare: .queueDeclare
        case .queueBind: .queueBind
        case .queueUnbind: .queueUnbind
        case .queuePurge: .queuePurge
        case .queueDelete: .queueDelete
        case .qos: .basicQos
        case .consume: .basicConsume
        case .cancel: .basicCancel
        case .get: .basicGet
        case .confirmSelect: .confirmSelect
        case .connectionClose, .connectionCloseOK, .channelCloseOK, .flowOK, .cancelOK, .ack, .reject, .nack: nil
        }
    }

    /// The specification's name of a request.
    var name: String {
        switch awaits {
        case .channelOpen?: "channel.open"
        case .channelClose?: "channel.close"
        case .exchangeDeclare?: "exchange.declare"
        case .exchangeDelete?: "exchange.delete"
        case .queueDeclare?: "queue.declare"
        case .queueBind?: "queue.bind"
        case .queueUnbind?: "queue.unbind"
        case .queuePurge?: "queue.purge"
        case .queueDelete?: "queue.delete"
        case .basicQos?: "basic.qos"
        case .basicConsume?: "basic.consume"
        case .basicCancel?: "basic.cancel"
        case .basicGet?: "basic.get"
        case .confirmSelect?: "confirm.select"
        case nil: "a method"
        }
    }
}
