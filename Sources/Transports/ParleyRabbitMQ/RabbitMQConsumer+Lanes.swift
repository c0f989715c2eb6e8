import IOLoop
import Logging

/// A queue to consume, and how much of it may be held at once.
package struct ConsumedQueue: Sendable, Equatable {
    /// Empty means an exclusive queue named by the broker, declared anew each time.
    package var name: String
    /// How many unsettled deliveries the queue's consumer may hold; zero is no limit.
    package var prefetch: UInt16

    /// The queue `name`, of which at most `prefetch` deliveries are unsettled.
    package init(name: String, prefetch: UInt16 = 512) {
        self.name = name
        self.prefetch = prefetch
    }
}

/// One of a consumer's queues in the life of one channel.
struct ConsumerLane {
    let queue: ConsumedQueue
    /// The name in use; empty until the broker has given one.
    var name: String
    /// While it is consumed. More than one when it was first consumed with less than its prefetch; see
    /// ``RabbitMQConsumer/room(for:)``.
    var consumerTags: [String] = []
    /// What they may hold together.
    var granted = 0
    /// The queue does not exist; somebody looks for it.
    var isMissing = false

    init(_ queue: ConsumedQueue) {
        self.queue = queue
        name = queue.name
    }

    var missing: Int { Int(queue.prefetch) - granted }

    mutating func begin(_ tag: String, granting count: Int) {
        consumerTags.append(tag)
        granted += count
    }

    mutating func end() {
        consumerTags = []
        granted = 0
    }
}

extension RabbitMQConsumer {
    var wantsDeliveries: Bool { !isPaused && !isStopping }

    /// Begins or ends consuming, until every lane is as the last call wants it.
    ///
    /// One task does it for all callers: the broker applies a channel's prefetch to the consumer that begins next, so
    /// nothing may come between the two.
    func adjust() async {
        mustAdjust = true
        let task = adjustment ?? Task { await self.adjustAll() }
        adjustment = task
        await task.value
    }

    private func adjustAll() async {
        while mustAdjust, let connection, let channel, channel.isOpen {
            mustAdjust = false
            for index in lanes.indices where self.channel === channel && channel.isOpen {
                do throws(RabbitMQError) {
                    try await adjust(index, connection, channel)
                } catch {
                    // While stopping, what was taken can perhaps still be settled.
                    if !isStopping { connection.session.close(error) }
                    break
                }
            }
        }
        adjustment = nil
    }

    private func adjust(
        _ index: Int, _ connection: RabbitMQConnection, _ channel: Channel
    ) async throws(RabbitMQError) {
        guard wantsDeliveries else {
            for tag in lanes[index].consumerTags { try await connection.cancel(tag, channel: channel.number) }
            if self.channel === channel { endLane(index) }
            inbox.onSettled = nil
            return
        }
        guard !lanes[index].isMissing else { return }
        if lanes[index].queue.prefetch == 0 || noAck {
            if lanes[index].consumerTags.isEmpty { try await consume(index, 0, connection, channel) }
        } else {
            // Nothing is held: one consumer instead of those that took over from each other costs nobody anything, and
            // whoever counts consumers counts workers.
            if lanes[index].consumerTags.count > 1, inbox.unsettled == 0 {
                for tag in lanes[index].consumerTags { try await connection.cancel(tag, channel: channel.number) }
                guard self.channel === channel else { return }
                endLane(index)
            }
            let room = room(for: lanes[index])
            if room > 0 { try await consume(index, room, connection, channel) }
            // The last of what was held may have been settled meanwhile, and no settlement comes any more to say so.
            if lanes[index].consumerTags.count > 1, inbox.unsettled == 0 { mustAdjust = true }
        }
        watchForRoom()
    }

    /// How many deliveries a further consumer of the lane may hold.
    ///
    /// The broker counts prefetch for each consumer, and what a cancelled one had delivered for nobody (RabbitMQ
    /// documentation, Consumer Prefetch). So while such deliveries are in work a new consumer gets only what they leave,
    /// once that is half of all or more, and when they are settled another one beside it gets the rest.
    private func room(for lane: ConsumerLane) -> Int {
        if inbox.unsettledBefore == 0 { return lane.missing }
        let most = lanes.reduce(0) { $0 + Int($1.queue.prefetch) }
        let free = most - inbox.unsettled
        guard lane.granted == 0, free * 2 >= most else { return 0 }
        return Int(lane.queue.prefetch) * free / most
    }

    /// Has settlements look whether there is room now, as long as a lane has less than its prefetch, or has it in pieces.
    private func watchForRoom() {
        guard !noAck, wantsDeliveries,
            lanes.contains(where: { !$0.isMissing && ($0.missing > 0 || $0.consumerTags.count > 1) })
        else {
            inbox.onSettled = nil
            return
        }
        inbox.onSettled = { [weak self] in self?.assumeIsolated { $0.settledOne() } }
    }

    private func settledOne() {
        let hasNone = lanes.contains { $0.granted == 0 && !$0.isMissing && room(for: $0) > 0 }
        let lacks = inbox.unsettledBefore == 0 && lanes.contains { !$0.isMissing && $0.missing > 0 }
        guard lacks || hasNone || inbox.unsettled == 0, adjustment == nil else { return }
        inbox.onSettled = nil
        Task { await self.adjust() }
    }

    private func endLane(_ index: Int) {
        lanes[index].end()
        inbox.closeRound()
    }

    private func consume(
        _ index: Int, _ prefetch: Int, _ connection: RabbitMQConnection, _ channel: Channel
    ) async throws(RabbitMQError) {
        let wanted = lanes[index].queue
        var name = wanted.name
        if name.isEmpty {
            let own = QueueDeclaration(
                name: "", durable: false, exclusive: true, autoDelete: true, arguments: ["x-queue-type": "classic"])
            name = try await connection.declare(own).name
        } else if lanes.count > 1 || channel.hasConsumed {
            // Consuming what is not there ends the channel, and with it what the other queues have delivered on it.
            do throws(RabbitMQError) {
                try await connection.declare(QueueDeclaration(name: name), passive: true)
            } catch {
                guard error.code == .notFound else { throw error }
                return isLost(index, channel.epoch)
            }
        }
        if !noAck { try await connection.qos(prefetch: UInt16(clamping: prefetch), channel: channel.number) }
        let inbox = self.inbox
        let tag = await connection.nextConsumerTag()
        let handler = ConsumerHandler { delivery in
            inbox.receive(delivery)
        } ended: { [weak self, epoch = channel.epoch] error in
            // Without a channel the run loop takes over; with it only this consumer is gone.
            guard error.code == .notFound, let self else { return }
            Task { await self.isLost(index, epoch) }
        }
        try await connection.begin(
            ConsumerSlot(tag: tag, queue: name, maxBody: maxBody, context: handler), on: channel.number, noAck: noAck,
            exclusive: exclusive, arguments: consumerArguments)
        channel.hasConsumed = true
        // The broker may have ended it on the way here.
        guard self.channel === channel, connection.session.machine.hasConsumer(tag, on: channel.number) else { return }
        lanes[index].name = name
        lanes[index].begin(tag, granting: prefetch)
    }

    /// The queue of a lane is gone: it is reported and looked for.
    private func isLost(_ index: Int, _ epoch: UInt64) {
        guard let channel, channel.epoch == epoch, channel.isOpen, !isStopping else { return }
        endLane(index)
        guard !lanes[index].isMissing else { return }
        lanes[index].isMissing = true
        onEvent(.consumerCancelled(queue: lanes[index].name))
        // Unstructured: it lives until the queue is there again or the channel has ended.
        Task { await self.look(for: index, epoch) }
    }

    /// On the same channel: what other queues delivered on it can still be settled.
    private func look(for index: Int, _ epoch: UInt64) async {
        var backoff = Backoff()
        let name = lanes[index].queue.name
        var isReported = false
        while let connection, let channel, channel.epoch == epoch, channel.isOpen, !isStopping {
            do throws(RabbitMQError) {
                try await setup(connection)
                if !name.isEmpty { try await connection.declare(QueueDeclaration(name: name), passive: true) }
                guard self.channel === channel else { return }
                lanes[index].isMissing = false
                if isReported { logger.notice("the queue is consumed again", metadata: ["queue": "\(name)"]) }
                return await adjust()
            } catch {
                logger.log(
                    level: isReported ? .debug : .error, "the queue cannot be consumed again; trying until it can",
                    metadata: ["queue": "\(name)", "reason": "\(error)"])
                isReported = true
            }
            try? await Task.sleep(for: backoff.next())
        }
    }
}
