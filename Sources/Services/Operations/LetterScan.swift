import IOLoop
import Logging
import ParleyRabbitMQ
import Topology

/// Goes once through a queue, oldest message first, without holding it in memory.
///
/// The queue is consumed with a prefetch of one window. What the caller keeps (``keep(_:)``) stays unacknowledged: the
/// broker holds it, this process only counts it. When a consumer's window is full of such messages, the next consumer
/// takes over, with a prefetch of its own (RabbitMQ counts per consumer unless `global` is set). It has a channel of its
/// own as soon as the old one holds many: a broker that gets an acknowledgement walks through what its channel holds.
///
/// ``finish()``, or the end of the process in any way, puts what was not acknowledged back in its old place. A quorum
/// queue gets it back as well, but lines it up in an order of its own.
///
/// Quorum queues count what they get back, and drop what has come back too often (RabbitMQ 4: 20 times). A message that is
/// near is put into its queue anew, confirmed, before the old one is acknowledged: looking never uses a letter up. Where
/// that is not possible the scan ends with an error, before the limit.
///
/// The scan ends after as many messages as the queue had when it began, so that letters which die again meanwhile are
/// not met.
actor LetterScan {
    nonisolated let loop: IOLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
    private let connection: RabbitMQConnection
    private let queue: String
    private let isInterrupted: @Sendable () -> Bool
    private let round: Duration
    private let largestWindow: Int
    private static let mostKept = 2048
    /// RabbitMQ allows 2,047 on a connection unless configured (`channel_max`).
    private static let mostChannels = 1500

    /// Messages that were ready when the scan began.
    nonisolated let depth: Int
    /// Others have been consuming the queue, when the scan began or when it ended: what they held was not met.
    private(set) var hadCompany: Bool
    private var left: Int
    /// The last one is in use, the others hold what is kept.
    private var channels: [(number: UInt16, epoch: UInt64?)] = []
    /// Kept on the last channel.
    private var keptOnChannel = 0
    private let feed = LetterFeed()
    private var consumer: String?
    /// Kept messages, by consumer.
    private var kept: [String: Int] = [:]
    /// Given to the caller, and neither kept nor acknowledged yet.
    private var open = 0
    private var acknowledged = 0
    private let renews: Bool
    private let relay: Relay?
    /// Returned so often a message is put in anew; asked of the broker when the first one has been returned.
    private var mostReturns: Int?
    private var renewalChannel: UInt16?
    private var problem: RabbitMQError?
    private var window = 64
    private var largestBody = 0
    private var started = ContinuousClock.now

    /// - Parameters:
    ///   - round: after so long the messages kept are given back and met again, because brokers close channels that hold
    ///     a message for long (`consumer_timeout`, 30 minutes unless configured).
    ///   - relay: where the broker's users decide on tenants: a message that is put in anew stays its producer's.
    ///   - renews: false where a message cannot be put in anew: then one that is near its limit ends the scan.
    ///   - isInterrupted: asked at least every 100 ms; true ends the scan.
    init(
        _ connection: RabbitMQConnection, queue: String, loop: IOLoop, largestWindow: Int = 2048,
        round: Duration = .seconds(900), relay: Relay? = nil, renews: Bool = true,
        isInterrupted: @escaping @Sendable () -> Bool = { false }
    ) async throws(RabbitMQError) {
        self.renews = renews
        self.relay = relay
        self.connection = connection
        self.queue = queue
        self.loop = loop
        self.round = round
        self.largestWindow = largestWindow
        self.isInterrupted = isInterrupted
        window = min(window, largestWindow)
        let status = try await connection.declare(QueueDeclaration(name: queue), passive: true)
        depth = Int(status.messages)
        hadCompany = status.consumers > 0
        left = depth
    }

    /// How many messages have been looked at.
    var scanned: Int { depth - left }

    /// The next messages, at least one; nil when the scan is through or interrupted.
    func next(atMost: Int) async throws(RabbitMQError) -> [Delivery]? {
        var emptyLooks = 0
        while left > 0, !isInterrupted() {
            if let problem { throw problem }
            let batch = feed.take(min(atMost, left))
            if !batch.isEmpty {
                left -= batch.count
                open += batch.count
                largestBody = max(largestBody / 2, batch.reduce(0) { max($0, $1.body.count) })
                for delivery in batch.suffix(1) { channels[channels.count - 1].epoch = delivery.tag.epoch }
                return batch
            }
            if let error = feed.ended { throw error }
            if ContinuousClock.now - started > round, open == 0 { try await beginAgain() }
            if consumer.map({ kept[$0, default: 0] >= window }) ?? true { try await renew() }
            guard await !somethingCame(within: .milliseconds(100)), open == 0 else {
                emptyLooks = 0
                continue
            }
            // Others may have taken what was counted at the start. Twice, since what the broker has handed out when it
            // counts may still be under way.
            let status = try await connection.declare(
                QueueDeclaration(name: queue), passive: true, channel: channels.last?.number)
            emptyLooks = status.messages == 0 ? emptyLooks + 1 : 0
            if emptyLooks == 3 { return nil }
        }
        return nil
    }

    /// These are to stay in the queue.
    func keep(_ deliveries: [Delivery]) async {
        let worn = await worn(deliveries)
        let renewed = await renew(worn)
        for delivery in deliveries where !renewed.contains(delivery.tag) {
            kept[delivery.consumerTag, default: 0] += 1
            if delivery.tag.epoch == channels.last?.epoch { keptOnChannel += 1 }
        }
        open -= deliveries.count
    }

    /// Those that have come back too often to be returned once more.
    private func worn(_ deliveries: [Delivery]) async -> [Delivery] {
        guard deliveries.contains(where: { $0.returns ?? 0 > 0 }) else { return [] }
        if mostReturns == nil {
            switch await JobQueues.deliveryLimit(of: queue, on: connection) {
            case .never: mostReturns = .max
            case .after(let limit): mostReturns = max(1, limit / 2)
            // It may be a small one.
            case .unknown: mostReturns = renews ? 1 : 10
            }
        }
        return deliveries.filter { $0.returns ?? 0 >= mostReturns ?? 1 }
    }

    /// Puts them in anew and lets go of the old ones.
    /// - Returns: those of which that is done; with the others the scan has a problem.
    private func renew(_ deliveries: [Delivery]) async -> Set<DeliveryTag> {
        guard !deliveries.isEmpty else { return [] }
        var renewed: Set<DeliveryTag> = []
        do throws(RabbitMQError) {
            guard renews else { throw RabbitMQError(.nacked, "a message that waits cannot be put in anew") }
            let channel = try await confirmingChannel()
            let outcomes = await withTaskGroup(of: (Delivery, Result<PublishOutcome, RabbitMQError>).self) { group in
                for delivery in deliveries {
                    group.addTask(executorPreference: loop) { [connection, queue, relay] in
                        let message = OutgoingMessage(
                            routingKey: queue,
                            properties: MessageHeaders.renewed(
                                delivery.properties, as: connection.username, relay: relay), body: delivery.body)
                        return (delivery, await connection.outcome(of: message, channel: channel))
                    }
                }
                var outcomes: [(Delivery, Result<PublishOutcome, RabbitMQError>)] = []
                for await outcome in group { outcomes.append(outcome) }
                return outcomes
            }
            for (delivery, outcome) in outcomes {
                guard case .confirmed = try outcome.get() else {
                    throw RabbitMQError(.nacked, "the queue does not take it")
                }
                await connection.ack(delivery.tag)
                renewed.insert(delivery.tag)
            }
        } catch {
            let most = deliveries.reduce(0) { max($0, $1.returns ?? 0) }
            problem = RabbitMQError(
                error.isUnreachable ? error.code : .nacked,
                "messages in \(queue) have been looked at \(most) times, the queue drops them when they come back too often, and "
                    + "they cannot be put in anew (\(error.message)): this stops before any is lost")
        }
        return renewed
    }

    private func confirmingChannel() async throws(RabbitMQError) -> UInt16 {
        if let renewalChannel { return renewalChannel }
        let channel = try await connection.openChannel()
        try await connection.confirmSelect(channel: channel)
        renewalChannel = channel
        return channel
    }

    /// These are done: they leave the queue.
    func acknowledge(_ deliveries: [Delivery]) async {
        for delivery in deliveries { await connection.ack(delivery.tag) }
        open -= deliveries.count
        acknowledged += deliveries.count
    }

    /// Gives back what was not acknowledged, and waits until the broker has it in the queue again.
    func finish() async { try? await giveBack() }

    private func giveBack() async throws(RabbitMQError) {
        if let consumer, let channel = channels.last { try await connection.cancel(consumer, channel: channel.number) }
        consumer = nil
        let look = QueueDeclaration(name: queue)
        // What was under way to the consumer has arrived on the channel once a request after it is answered.
        if let channel = channels.last {
            _ = try await connection.declare(look, passive: true, channel: channel.number)
        }
        // What nobody has read goes back as well, and counts.
        _ = await renew(await worn(feed.take(.max)))
        // Newest first: what the queue gets back goes in front of what is there already.
        for channel in channels.reversed() {
            if let epoch = channel.epoch {
                // Zero with `multiple` means all that is outstanding (AMQP 0-9-1, basic.nack.delivery-tag).
                await connection.nack(DeliveryTag(epoch: epoch, number: 0), multiple: true, requeue: true)
            }
            try await connection.closeChannel(channel.number)
        }
        channels = []
        kept = [:]
        feed.clear()
        // The broker answers this before it has taken everything back: whoever counts next is to find all of it, unless
        // others have taken some.
        var seen = -1
        var risen = ContinuousClock.now
        while case let status = try await connection.declare(look, passive: true),
            case let ready = Int(status.messages), ready < depth - acknowledged,
            ready > seen || ContinuousClock.now - risen < .seconds(1)
        {
            if status.consumers > 0 { hadCompany = true }
            if ready > seen { (seen, risen) = (ready, .now) }
            try? await Task.sleep(for: .milliseconds(5))
        }
    }

    private func beginAgain() async throws(RabbitMQError) {
        try await giveBack()
        left = depth - acknowledged
        started = .now
    }

    /// A new consumer before the end of the old one, which has used up its prefetch and gets nothing any more.
    private func renew() async throws(RabbitMQError) {
        // Bodies wait in memory until they are looked at, so large ones come a few at a time.
        window = max(1, min(largestWindow, max(16, (32 << 20) / max(1, largestBody))))
        let old = (tag: consumer, channel: channels.last?.number)
        if channels.isEmpty || keptOnChannel >= Self.mostKept, channels.count < Self.mostChannels {
            channels.append((try await connection.openChannel(), nil))
            keptOnChannel = 0
        }
        let channel = channels[channels.count - 1].number
        try await connection.qos(prefetch: UInt16(clamping: window), channel: channel)
        let feed = self.feed
        consumer = try await connection.consume(queue, channel: channel) { feed.receive($0) }
        if let tag = old.tag, let channel = old.channel {
            try await connection.cancel(tag, channel: channel)
            kept[tag] = nil
        }
    }

    private func somethingCame(within limit: Duration) async -> Bool {
        let begun = ContinuousClock.now
        var timer: IOTimer?
        await withCheckedContinuation { continuation in
            feed.wait(continuation)
            timer = loop.schedule(after: limit) { [feed] in feed.wake() }
        }
        if let timer { loop.cancel(timer) }
        return ContinuousClock.now - begun < limit
    }
}

extension RabbitMQConnection {
    fileprivate func outcome(
        of message: OutgoingMessage, channel: UInt16
    ) async -> Result<PublishOutcome, RabbitMQError> {
        do throws(RabbitMQError) {
            return .success(try await publish(message, channel: channel))
        } catch {
            return .failure(error)
        }
    }
}
