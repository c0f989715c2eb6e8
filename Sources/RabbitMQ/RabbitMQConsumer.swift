import IOLoop
import Logging

/// Consumes queues and stays connected.
///
/// When the connection or its channel ends, it connects again (back-off from 100 ms to 10 s, with jitter), runs `setup`
/// and consumes again under a new epoch. Deliveries of the old epoch come again, marked redelivered; settlements for
/// them are dropped and counted, never sent.
public actor RabbitMQConsumer {
    public nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
    private nonisolated let loop: IOLoop
    private let configuration: RabbitMQConfiguration
    private let queues: [String]
    private let prefetch: UInt16
    private let noAck: Bool
    private let exclusive: Bool
    private let consumerArguments: FieldTable
    private let setup: @Sendable (RabbitMQConnection) async throws(RabbitMQError) -> Void
    private let onEvent: @Sendable (ConnectionEvent) -> Void
    private let logger: Logger

    private let inbox: Inbox
    private var runner: Task<Void, Never>?
    private var connection: RabbitMQConnection?
    private var channel: Channel?
    private var isStopping = false
    private var isClosed = false

    /// Whether the queues are being consumed at this moment.
    public private(set) var isConsuming = false
    /// The names in use; an empty name in `queues` stands here as the name the broker gave it.
    public private(set) var queueNames: [String] = []

    /// - Parameters:
    ///   - queues: names; an empty one means an exclusive queue named by the broker, declared anew each time.
    ///   - prefetch: how many unsettled deliveries each queue's consumer may hold; zero is no limit.
    ///   - noAck: the broker forgets messages when it has sent them; nothing is to be settled, and prefetch is ignored.
    ///   - setup: runs on each new connection before consuming, to declare what is needed.
    ///   - onEvent: called on the loop; must not block.
    public init(
        configuration: RabbitMQConfiguration, loop: IOLoop, queues: [String], prefetch: UInt16 = 512,
        noAck: Bool = false, exclusive: Bool = false, consumerArguments: FieldTable = FieldTable(),
        setup: @escaping @Sendable (RabbitMQConnection) async throws(RabbitMQError) -> Void = { _ in },
        onEvent: @escaping @Sendable (ConnectionEvent) -> Void = { _ in }, logger: Logger
    ) {
        self.configuration = configuration
        self.loop = loop
        self.queues = queues
        self.prefetch = prefetch
        self.noAck = noAck
        self.exclusive = exclusive
        self.consumerArguments = consumerArguments
        self.setup = setup
        self.onEvent = onEvent
        self.logger = logger
        inbox = Inbox(noAck: noAck)
    }

    /// The life whose tags can be settled; zero while disconnected.
    public var epoch: UInt64 { inbox.epoch }
    /// Settlements that were not sent, because their epoch had ended or the tag was settled before.
    public var droppedSettlements: Int { inbox.dropped }
    /// Deliveries that nobody has taken yet.
    public var buffered: Int { inbox.buffered }
    /// Deliveries of this epoch that are not settled.
    public var unsettled: Int { inbox.unsettled }

    /// Begins to connect. Calling it again changes nothing.
    public func start() {
        guard runner == nil, !isClosed else { return }
        // Unstructured, because it lives from start() to close(), across the calls of many tasks.
        runner = Task { await self.run() }
    }

    /// Everything that has arrived since the last call, at least one and at most `atMost`.
    /// - Returns: `nil` once consuming has been stopped and all was handed out, or when the task is cancelled.
    public func next(atMost: Int) async -> [Delivery]? {
        if let ready = inbox.take(atMost) { return ready }
        let id = inbox.newWaiter()
        return await withTaskCancellationHandler {
            await wait(id, atMost)
        } onCancel: {
            Task { await self.cancelWaiter(id) }
        }
    }

    /// A method, so that it is the actor's whatever the closure around it is; it looks once more, since something may
    /// have arrived on the way here.
    private func wait(_ id: UInt64, _ atMost: Int) async -> [Delivery]? {
        await withCheckedContinuation { continuation in
            assertIsolated()
            guard !Task.isCancelled else { return continuation.resume(returning: nil) }
            inbox.wait(id, atMost, continuation)
        }
    }

    var currentSession: Session? { connection?.session }

    private func cancelWaiter(_ id: UInt64) { inbox.cancelWaiter(id) }

    /// Settles a delivery for good. Leaves at the end of the loop's turn, a run of them as one frame.
    public func acknowledge(_ tag: DeliveryTag) { inbox.settle(tag, requeue: nil) }

    /// Settles deliveries for good, with one call.
    public func acknowledge(_ tags: [DeliveryTag]) {
        for tag in tags { inbox.settle(tag, requeue: nil) }
    }

    /// Refuses a delivery: back to its queue with `requeue`, else dead-lettered or dropped as the queue says.
    public func reject(_ tag: DeliveryTag, requeue: Bool) { inbox.settle(tag, requeue: requeue) }

    /// Ends consuming but stays connected, so that what was taken can be settled; what was not taken goes back.
    ///
    /// ``next(atMost:)`` then returns `nil`. A connection lost from here on is not made again.
    public func stopConsuming() async {
        guard !isStopping else { return }
        isStopping = true
        isConsuming = false
        inbox.returnBuffered()
        if let connection, let channel {
            for consumer in channel.consumers {
                // An error means that the channel is gone, and the consumer with it.
                try? await connection.cancel(consumer.tag, channel: channel.number)
            }
        }
        inbox.finish()
        if connection == nil { runner?.cancel() }
    }

    /// Sends what is settled, then closes the connection; the broker gets two seconds. Unsettled deliveries go back.
    public func close() async {
        await stopConsuming()
        isClosed = true
        runner?.cancel()
        await connection?.close()
        connection = nil
    }

    // MARK: - Staying connected

    private func run() async {
        var backoff = Backoff()
        while !isStopping {
            let started = ContinuousClock.now
            let reason = await live()
            connection = nil
            channel = nil
            isConsuming = false
            inbox.detach()
            guard !isStopping else { break }
            if ContinuousClock.now - started > .seconds(5) { backoff.reset() }
            let delay = backoff.next()
            logger.debug("consumer disconnected", metadata: ["reason": "\(reason)", "retry": "\(delay)"])
            onEvent(.disconnected(reason, retryAfter: delay))
            try? await Task.sleep(for: delay)
        }
        inbox.finish()
    }

    /// One connection from beginning to end.
    private func live() async -> RabbitMQError {
        let connection: RabbitMQConnection
        do throws(RabbitMQError) {
            connection = try await RabbitMQConnection.open(configuration, loop: loop, logger: logger)
        } catch {
            return error
        }
        let session = connection.session
        do throws(RabbitMQError) {
            if isStopping { throw RabbitMQError(.closed, "the consumer was closed") }
            self.connection = connection
            session.onBlocked.append { [onEvent] reason in onEvent(reason.map { .blocked(reason: $0) } ?? .unblocked) }
            try await setup(connection)
            let number = try await connection.openChannel()
            guard let channel = session.channels[number] else {
                throw RabbitMQError(.channelClosed, "the channel was closed")
            }
            // Tags die with the channel, so its end is treated as the connection's.
            channel.onClose = { [weak session] error in session?.close(error) }
            if prefetch > 0, !noAck { try await connection.qos(prefetch: prefetch, channel: number) }
            inbox.attach(session, channel)
            self.channel = channel
            queueNames = []
            for queue in queues { queueNames.append(try await consume(queue, connection, channel)) }
            isConsuming = !isStopping
            onEvent(.connected(endpoint: connection.endpoint))
        } catch {
            session.close(error)
        }
        return await connection.waitUntilEnded()
    }

    /// - Returns: the queue's name.
    private func consume(
        _ name: String, _ connection: RabbitMQConnection, _ channel: Channel
    ) async throws(RabbitMQError) -> String {
        var queue = name
        if queue.isEmpty {
            let own = QueueDeclaration(name: "", durable: false, exclusive: true, autoDelete: true)
            queue = try await connection.declare(own).name
        }
        let actual = queue
        let inbox = self.inbox
        let entry = ConsumerEntry(tag: await connection.nextConsumerTag(), queue: actual) { delivery in
            inbox.receive(delivery)
        } ended: { [weak self] error in
            // Without a channel the run loop takes over; with it only this consumer is gone.
            guard error.code == .notFound, let self else { return }
            Task { await self.consumerEnded(name, actual) }
        }
        try await connection.begin(
            entry, on: channel.number, noAck: noAck, exclusive: exclusive, arguments: consumerArguments)
        return actual
    }

    private func consumerEnded(_ name: String, _ actual: String) async {
        guard !isStopping, let connection, let channel, channel.isOpen else { return }
        onEvent(.consumerCancelled(queue: actual))
        var backoff = Backoff()
        // On the same channel: what other queues delivered on it can still be settled.
        while !isStopping, channel.isOpen {
            do throws(RabbitMQError) {
                try await setup(connection)
                if !name.isEmpty { try await connection.declare(QueueDeclaration(name: name), passive: true) }
                let queue = try await consume(name, connection, channel)
                if let index = queueNames.firstIndex(of: actual) { queueNames[index] = queue }
                return
            } catch {
                logger.debug("cannot consume again", metadata: ["queue": "\(actual)", "reason": "\(error)"])
            }
            try? await Task.sleep(for: backoff.next())
        }
    }
}
