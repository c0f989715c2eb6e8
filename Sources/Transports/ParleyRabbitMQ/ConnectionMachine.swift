/// The life of a connection: what may be asked for, and what follows from what the broker sends.
///
/// It knows no sockets. Facts go in, and at most one ``Action`` comes out, which ``Session`` performs. What a call and a
/// consumer are to the outside it does not know either.
struct ConnectionMachine<Call, Consumer> {
    /// Only ever from one to a later one.
    enum Phase {
        case open
        /// Nothing more is asked for. What is queued is written, and then goodbye is said.
        case closing(RabbitMQError)
        /// `connection.close` has left: the broker's answer is awaited.
        case saidGoodbye(RabbitMQError)
        case ended(RabbitMQError)
    }

    enum Action {
        case answer(Call, Reply)
        case deliver(Consumer, Delivery)
        case confirmed(channel: UInt16, tag: UInt64, multiple: Bool, accepted: Bool)
        case returned(channel: UInt16, Delivery, bodySize: Int, code: UInt16, reason: String)
        /// Send a method that nobody waits for.
        case agree(OutboundMethod, channel: UInt16)
        /// The broker has ended a consumer, and waits for the answer if there is one.
        case consumerEnded(Consumer, RabbitMQError, channel: UInt16, answer: OutboundMethod?)
        /// The broker has ended a channel; it waits for our answer unless it is answering itself.
        case channelEnded(UInt16, RabbitMQError, Remains, answer: OutboundMethod?)
        /// The broker takes no messages, for a reason; or takes them again.
        case blocked(String?)
        /// It can be borne, but somebody should know.
        case complain(String)
        /// The connection is over, by the broker's word or because it is not to be talked to.
        case end(RabbitMQError, answer: OutboundMethod?)
    }

    /// What waited on a channel that has ended.
    struct Remains {
        /// The request that its end is the answer to.
        var closing: Call?
        var calls: [Call]
        var consumers: [Consumer]
    }

    /// Named in messages.
    private let peer: String
    /// The most channels; agreed on at the login.
    private let channelMax: UInt16
    private(set) var phase = Phase.open
    private(set) var blockedReason: String?
    private typealias Machine = ChannelMachine<Call, Consumer>
    /// By their numbers; there is no channel 0.
    private var channels: [Machine?] = [nil]
    private var nextRequest: UInt64 = 0

    /// - Parameter channelMax: zero is no limit.
    init(peer: String, channelMax: UInt16) {
        self.peer = peer
        self.channelMax = channelMax == 0 ? .max : channelMax
    }

    /// Why nothing more can be asked for; nil while the connection is open.
    var reason: RabbitMQError? {
        switch phase {
        case .open: nil
        case .closing(let reason), .saidGoodbye(let reason), .ended(let reason): reason
        }
    }

    /// Why it is over; nil while anything is read or written.
    var ended: RabbitMQError? { if case .ended(let reason) = phase { reason } else { nil } }

    private func phase(of number: UInt16) -> Machine.Phase? {
        Int(number) < channels.count ? channels[Int(number)]?.phase : nil
    }

    // MARK: - What this side wants

    /// A free number, which is taken from now on.
    mutating func addChannel(epoch: UInt64) throws(RabbitMQError) -> UInt16 {
        if let reason { throw reason }
        let free = channels.indices.dropFirst().first { channels[$0] == nil } ?? channels.count
        guard free <= Int(channelMax) else {
            throw RabbitMQError(.closed, "all \(channelMax) channels of the connection are in use")
        }
        if free == channels.count { channels.append(nil) }
        channels[free] = Machine(epoch: epoch)
        return UInt16(free)
    }

    /// A request that the broker will answer.
    /// - Returns: what names it until then.
    mutating func request(
        _ method: OutboundMethod, on number: UInt16, _ context: Call
    ) throws(RabbitMQError) -> UInt64 {
        if let reason { throw reason }
        guard phase(of: number) == .open, let awaits = method.awaits else {
            throw RabbitMQError(.channelClosed, "the channel is closed")
        }
        nextRequest += 1
        channels[Int(number)]?.request(.init(id: nextRequest, awaits: awaits, context: context))
        if method == .channelClose { channels[Int(number)]?.phase = .closing }
        return nextRequest
    }

    /// A request cannot be expressed and was not sent.
    mutating func withdraw(_ request: UInt64, on number: UInt16) -> Call? {
        phase(of: number) == nil ? nil : channels[Int(number)]?.withdraw(request)
    }

    /// Whether a method that was queued for this channel may still be written. What ends a channel is the last to be.
    mutating func mayWrite(_ method: OutboundMethod, on number: UInt16) -> Bool {
        guard ended == nil else { return false }
        // These are about a channel that is no more, or no channel at all.
        if number == 0 || method == .channelCloseOK { return true }
        guard let phase = phase(of: number), phase == .open || phase == .closing else { return false }
        if method == .channelClose { channels[Int(number)]?.phase = .closeSent }
        return true
    }

    mutating func add(_ consumer: ConsumerSlot<Consumer>, on number: UInt16) {
        if phase(of: number) != nil { channels[Int(number)]?.add(consumer) }
    }

    mutating func removeConsumer(_ tag: String, on number: UInt16) {
        if phase(of: number) != nil { _ = channels[Int(number)]?.removeConsumer(tag) }
    }

    func hasConsumer(_ tag: String, on number: UInt16) -> Bool {
        phase(of: number) != nil && channels[Int(number)]?.consumers.contains { $0.tag == tag } == true
    }

    /// Nothing more is asked for from now on.
    /// - Returns: whether that is news.
    mutating func close(_ reason: RabbitMQError) -> Bool {
        guard case .open = phase else { return false }
        phase = .closing(reason)
        return true
    }

    /// All that was queued is written.
    /// - Returns: whether it is time to say goodbye; it counts as said.
    mutating func saysGoodbye() -> Bool {
        guard case .closing(let reason) = phase else { return false }
        phase = .saidGoodbye(reason)
        return true
    }

    /// The socket is gone, or is to be let go.
    /// - Returns: what waited on each channel, lowest number first; nil when it had ended before.
    mutating func end(_ error: RabbitMQError) -> [(UInt16, Remains)]? {
        guard ended == nil else { return nil }
        phase = .ended(error)
        let all = channels
        channels = []
        return all.enumerated().compactMap { number, channel in
            guard let channel, channel.phase != .crossed else { return nil }
            return (UInt16(number), Self.remains(of: channel))
        }
    }

    private static func remains(of channel: Machine, closing: Call? = nil) -> Remains {
        Remains(
            closing: closing, calls: channel.requests.map(\.context), consumers: channel.consumers.map(\.context))
    }

    // MARK: - What the broker sends

    mutating func received(_ frame: InboundFrame) -> Action? {
        guard ended == nil else { return nil }
        switch frame {
        case .method(let channel, let method):
            return channel == 0 ? connection(method) : self.channel(channel, method)
        case .header(let channel, let classID, let bodySize, let properties):
            guard classID == 60 else {
                return violation("a content header of class \(classID), not basic")
            }
            // Where there is none it is closed here, and the broker has not heard of it.
            guard isThere(channel) else { return nil }
            return content(channel, channels[Int(channel)]?.header(properties, bodySize: bodySize) ?? nil)
        case .body(let channel, let fragment):
            guard isThere(channel) else { return nil }
            return content(channel, channels[Int(channel)]?.body(fragment) ?? nil)
        case .other: return nil
        }
    }

    private func isThere(_ number: UInt16) -> Bool { phase(of: number).map { $0 != .crossed } ?? false }

    private func violation(_ what: String) -> Action {
        .end(RabbitMQError(.protocolViolation, "\(peer) sent \(what)"), answer: nil)
    }

    private mutating func connection(_ method: InboundMethod) -> Action? {
        switch method {
        case .connectionClose(let code, let text):
            return .end(.fromBroker(replyCode: code, text: text, isConnection: true), answer: .connectionCloseOK)
        case .connectionCloseOK: return .end(reason ?? RabbitMQError(.closed, "closed"), answer: nil)
        case .blocked(let reason):
            blockedReason = reason
            return .blocked(reason)
        case .unblocked:
            blockedReason = nil
            return .blocked(nil)
        default: return nil
        }
    }

    private mutating func channel(_ number: UInt16, _ method: InboundMethod) -> Action? {
        // A channel that is closed here may still be spoken to by a broker that has not heard of it.
        guard let phase = phase(of: number) else { return nil }
        let index = Int(number)
        if phase == .crossed {
            if case .channelCloseOK = method { channels[index] = nil }
            return nil
        }
        switch method {
        case .deliver(let consumer, let tag, let redelivered, let exchange, let routingKey):
            channels[index]?.deliver(consumer, tag, redelivered, exchange, routingKey)
        case .got(let tag, let redelivered, let exchange, let routingKey, let remaining):
            channels[index]?.begin(
                IncomingContent(
                    .got(remaining: remaining), tag: tag, redelivered: redelivered, exchange: exchange,
                    routingKey: routingKey))
        case .returned(let code, let text, let exchange, let routingKey):
            channels[index]?.begin(
                IncomingContent(.returned(code: code, reason: text), exchange: exchange, routingKey: routingKey))
        case .confirm(let tag, let multiple, let accepted):
            return .confirmed(channel: number, tag: tag, multiple: multiple, accepted: accepted)
        case .answer(let reply, let value): return answered(number, reply, value)
        case .cancel(let tag, let noWait): return cancelled(number, tag, answer: noWait ? nil : .cancelOK(tag: tag))
        case .flow(let active): return .agree(.flowOK(active: active), channel: number)
        case .channelClose(let code, let text):
            let error = RabbitMQError.fromBroker(replyCode: code, text: text, isConnection: false)
            return ended(number, error, crossed: phase == .closeSent, answer: .channelCloseOK)
        case .channelCloseOK: return closeAnswered(number, phase)
        case .connectionClose, .connectionCloseOK, .blocked, .unblocked, .unknown: break
        }
        return nil
    }

    private mutating func answered(_ number: UInt16, _ reply: AwaitedReply, _ value: Reply) -> Action? {
        guard let call = channels[Int(number)]?.answered(reply) else {
            return .complain("it has answered a request that nobody made")
        }
        return .answer(call, value)
    }

    private mutating func cancelled(_ number: UInt16, _ tag: String, answer: OutboundMethod?) -> Action? {
        let queue = channels[Int(number)]?.consumers.first { $0.tag == tag }?.queue ?? ""
        guard let consumer = channels[Int(number)]?.removeConsumer(tag) else {
            return answer.map { .agree($0, channel: number) }
        }
        let error = RabbitMQError(.notFound, "the broker ended the consumer of queue '\(queue)': it is gone")
        return .consumerEnded(consumer, error, channel: number, answer: answer)
    }

    private mutating func closeAnswered(_ number: UInt16, _ phase: Machine.Phase) -> Action? {
        guard phase == .closeSent else { return .complain("it has agreed to a channel's end that nobody asked for") }
        let call = channels[Int(number)]?.answered(.channelClose)
        return ended(
            number, RabbitMQError(.closed, "the channel was closed"), crossed: false, closing: call, answer: nil)
    }

    private mutating func ended(
        _ number: UInt16, _ error: RabbitMQError, crossed: Bool, closing: Call? = nil, answer: OutboundMethod?
    ) -> Action? {
        guard let channel = channels[Int(number)] else { return nil }
        channels[Int(number)] = nil
        if crossed {
            channels[Int(number)] = Machine(epoch: channel.epoch)
            channels[Int(number)]?.phase = .crossed
        }
        return .channelEnded(number, error, Self.remains(of: channel, closing: closing), answer: answer)
    }

    private mutating func content(_ number: UInt16, _ event: Machine.ContentEvent?) -> Action? {
        switch event {
        case nil: return nil
        case .deliver(let consumer, let delivery)?: return .deliver(consumer, delivery)
        case .got(let delivery, let remaining)?:
            return answered(number, .basicGet, .message(delivery, remaining: remaining))
        case .returned(let delivery, let bodySize, let code, let reason)?:
            return .returned(channel: number, delivery, bodySize: bodySize, code: code, reason: reason)
        case .nobodys?: return .complain("it has delivered to a consumer that there is not")
        case .violation?: return violation("a part of a message that it has not announced")
        }
    }
}
