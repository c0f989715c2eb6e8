import DequeModule

/// What one channel is in the middle of. Knows no sockets: ``ConnectionMachine`` hands it what arrives.
struct ChannelMachine<Call, Consumer> {
    /// From `open` on to the end; only a `crossed` one outlives its own end.
    enum Phase: Equatable {
        case open
        /// Its end is asked for, and nothing else may follow.
        case closing
        /// `channel.close` has left: the broker's answer is awaited.
        case closeSent
        /// It is gone. The broker closed it when our own close was under way, and will answer that one too: until then the
        /// number must not be another channel's.
        case crossed
    }

    struct Request {
        let id: UInt64
        let awaits: AwaitedReply
        let context: Call
    }

    let epoch: UInt64
    var phase = Phase.open
    private(set) var requests = Deque<Request>()
    private(set) var consumers: [ConsumerSlot<Consumer>] = []
    private var content: IncomingContent<Consumer>?

    init(epoch: UInt64) { self.epoch = epoch }

    // MARK: - Requests

    mutating func request(_ request: Request) { requests.append(request) }

    /// Takes out the request that is answered: the oldest one that waits for this.
    mutating func answered(_ reply: AwaitedReply) -> Call? {
        guard let index = requests.firstIndex(where: { $0.awaits == reply }) else { return nil }
        return requests.remove(at: index).context
    }

    /// Takes out a request that was not sent after all.
    mutating func withdraw(_ id: UInt64) -> Call? {
        guard let index = requests.firstIndex(where: { $0.id == id }) else { return nil }
        return requests.remove(at: index).context
    }

    mutating func add(_ consumer: ConsumerSlot<Consumer>) { consumers.append(consumer) }

    mutating func removeConsumer(_ tag: String) -> Consumer? {
        guard let index = consumers.firstIndex(where: { $0.tag == tag }) else { return nil }
        return consumers.remove(at: index).context
    }

    // MARK: - Content

    enum ContentEvent {
        case deliver(Consumer, Delivery)
        case got(Delivery, remaining: UInt32)
        case returned(Delivery, bodySize: Int, code: UInt16, reason: String)
        case nobodys
        case violation
    }

    mutating func begin(_ content: IncomingContent<Consumer>) { self.content = content }

    mutating func deliver(
        _ consumerTag: String, _ tag: UInt64, _ redelivered: Bool, _ exchange: String, _ routingKey: String
    ) {
        content = IncomingContent(
            .delivery(consumers.first { $0.tag == consumerTag }), tag: tag, redelivered: redelivered,
            exchange: exchange, routingKey: routingKey, consumerTag: consumerTag)
    }

    mutating func header(_ properties: consuming MessageProperties, bodySize: UInt64) -> ContentEvent? {
        progressed(content?.header(properties, bodySize: bodySize))
    }

    mutating func body(_ fragment: UnsafeRawBufferPointer) -> ContentEvent? { progressed(content?.append(fragment)) }

    private mutating func progressed(_ progress: IncomingContent<Consumer>.Progress?) -> ContentEvent? {
        switch progress {
        case .partial?: return nil
        case .violation?, nil: return .violation
        case .complete?: break
        }
        guard let whole = content.take() else { return nil }
        switch whole.kind {
        case .delivery(let consumer?):
            return .deliver(consumer.context, whole.delivery(epoch: epoch, from: consumer.queue))
        case .delivery(nil): return .nobodys
        case .got(let remaining): return .got(whole.delivery(epoch: epoch), remaining: remaining)
        case .returned(let code, let reason):
            let size = whole.bodySize
            return .returned(whole.delivery(epoch: epoch), bodySize: size, code: code, reason: reason)
        }
    }
}
