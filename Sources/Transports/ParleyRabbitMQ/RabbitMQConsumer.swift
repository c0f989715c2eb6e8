import IOLoop
import Logging

/// Consumes queues and stays connected.
///
/// When the connection or its channel ends, it connects again (back-off from 100 ms to 10 s, with jitter), runs `setup`
/// and consumes again under a new epoch. Deliveries of the old epoch come again, marked redelivered; settlements for
/// them are dropped and counted, never sent.
package actor RabbitMQConsumer {
    package nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
    private nonisolated let loop: IOLoop
    private let configuration: RabbitMQConfiguration
    private let queues: [ConsumedQueue]
    let noAck: Bool
    let exclusive: Bool
    let consumerArguments: FieldTable
    let maxBody: Int
    let setup: @Sendable (RabbitMQConnection) async throws(RabbitMQError) -> Void
    let onEvent: @Sendable (ConnectionEvent) -> Void
    let logger: Logger

    let inbox: Inbox
    private var runner: Task<Void, Never>?
    private(set) var connection: RabbitMQConnection?
    private(set) var channel: Channel?
    private(set) var isStopping = false
    private var isClosed = false

    /// One for each queue; of the last connection while there is none.
    var lanes: [ConsumerLane] = []
    var adjustment: Task<Void, Never>?
    var mustAdjust = false

    /// Whether ``pause()`` was called and ``resume()`` was not.
    package private(set) var isPaused = false
    /// Whether at least one of the queues is being consumed at this moment.
    ///
    /// So it is as well while as much is unsettled as may be.
    package var isConsuming: Bool {
        wantsDeliveries
            && lanes.contains { !$0.consumerTags.isEmpty || (!$0.isMissing && inbox.unsettledBefore > 0) }
    }
    /// The names in use; an empty name in `queues` stands here as the name the broker gave it.
    package var queueNames: [String] { lanes.map(\.name).filter { !$0.isEmpty } }

    /// Consumes several queues, each with a prefetch of its own.
    ///
    /// A queue that is missing does not stop the others: with more than one it is looked for, `setup` running each
    /// time, while the others are consumed. A single one that is missing ends the connection attempt.
    /// - Parameters:
    ///   - queues: in any order; the broker serves them side by side.
    ///   - noAck: the broker forgets messages when it has sent them; nothing is to be settled, and prefetch is ignored.
    ///   - maxBody: the most bytes of a body; a larger one is discarded while it is read: ``Delivery/discarded``.
    ///   - keeps: says of which deliveries nobody returns them when consuming is paused or stopped: ``next(atMost:)`` hands
    ///     them out also then. Called on the loop.
    ///   - setup: runs on each new connection before consuming, to declare what is needed.
    ///   - onEvent: called on the loop; must not block.
    package init(
        configuration: RabbitMQConfiguration, loop: IOLoop, queues: [ConsumedQueue],
        noAck: Bool = false, exclusive: Bool = false, consumerArguments: FieldTable = FieldTable(),
        maxBody: Int = .max, keeps: @escaping @Sendable (Delivery) -> Bool = { _ in false },
        setup: @escaping @Sendable (RabbitMQConnection) async throws(RabbitMQError) -> Void = { _ in },
        onEvent: @escaping @Sendable (ConnectionEvent) -> Void = { _ in }, logger: Logger
    ) {
        self.configuration = configuration
        self.loop = loop
        self.queues = queues
        self.noAck = noAck
        self.exclusive = exclusive
        self.consumerArguments = consumerArguments
        self.maxBody = maxBody
        self.setup = setup
        self.onEvent = onEvent
        self.logger = logger
        inbox = Inbox(noAck: noAck, keeps: keeps)
    }

    /// Consumes queues with the same prefetch each.
    /// - Parameters:
    ///   - queues: names; an empty one means an exclusive queue named by the broker, declared anew each time.
    ///   - prefetch: how many unsettled deliveries each queue's consumer may hold; zero is no limit.
    package init(
        configuration: RabbitMQConfiguration, loop: IOLoop, queues: [String], prefetch: UInt16 = 512,
        noAck: Bool = false, exclusive: Bool = false, consumerArguments: FieldTable = FieldTable(),
        maxBody: Int = .max,
        setup: @escaping @Sendable (RabbitMQConnection) async throws(RabbitMQError) -> Void = { _ in },
        onEvent: @escaping @Sendable (ConnectionEvent) -> Void = { _ in }, logger: Logger
    ) {
        self.init(
            configuration: configuration, loop: loop,
            queues: queues.map { ConsumedQueue(name: $0, prefetch: prefetch) }, noAck: noAck, exclusive: exclusive,
            consumerArguments: consumerArguments, maxBody: maxBody, setup: setup, onEvent: onEvent, logger: logger)
    }

    /// The life whose tags can be settled; zero while disconnected.
    package var epoch: UInt64 { inbox.epoch }
    /// Settlements that were not sent, because their epoch had ended or the tag was settled before.
    package var droppedSettlements: Int { inbox.dropped }
    /// Deliveries that nobody has taken yet.
    package var buffered: Int { inbox.buffered }
    /// Deliveries of this epoch that are not settled.
    package var unsettled: Int { inbox.unsettled }

    /// Begins to connect. Calling it again changes nothing.
    package func start() {
        guard runner == nil, !isClosed else { return }
        // Unstructured, because it lives from start() to close(), across the calls of many tasks.
        runner = Task { await self.run() }
    }

    /// Everything that has arrived since the last call, at least one and at most `atMost`.
    /// - Returns: `nil` once consuming has been stopped and all was handed out, or when the task is cancelled.
    package func next(atMost: Int) async -> [Delivery]? {
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

    /// Whether the broker has taken the delivery back, because its channel or connection has ended: it comes again, to
    /// this consumer or another, and a settlement of this tag would be dropped.
    package func isVoid(_ tag: DeliveryTag) -> Bool { inbox.isVoid(tag) }

    /// Settles a delivery for good. Leaves at the end of the loop's turn, a run of them as one frame.
    package func acknowledge(_ tag: DeliveryTag) { inbox.settle(tag, requeue: nil) }

    /// Settles deliveries for good, with one call.
    package func acknowledge(_ tags: [DeliveryTag]) {
        for tag in tags { inbox.settle(tag, requeue: nil) }
    }

    /// Refuses a delivery: back to its queue with `requeue`, else dead-lettered or dropped as the queue says.
    package func reject(_ tag: DeliveryTag, requeue: Bool) { inbox.settle(tag, requeue: requeue) }

    /// Ends consuming until ``resume()``; what was not taken goes back to its queue.
    ///
    /// The consumer stays connected, reconnects and runs `setup`; what was taken can be settled, and ``next(atMost:)``
    /// waits. Callable at any time; of several calls the last one counts. Returns when the broker sends no more. Without
    /// acknowledgements what has arrived is still handed out. A queue that the broker named goes with its consumer.
    package func pause() async {
        guard !isStopping else { return }
        isPaused = true
        inbox.returnBuffered()
        await adjust()
    }

    /// Consumes again after ``pause()``; without one, or once stopped, nothing changes.
    package func resume() async {
        guard !isStopping else { return }
        isPaused = false
        inbox.isReturning = false
        await adjust()
    }

    /// Ends consuming but stays connected, so that what was taken can be settled; what was not taken goes back.
    ///
    /// ``next(atMost:)`` then returns `nil`. A connection lost from here on is not made again.
    package func stopConsuming() async {
        guard !isStopping else { return }
        isStopping = true
        inbox.returnBuffered()
        // Before the broker has agreed, which it may not: what still comes goes back.
        inbox.finish()
        await adjust()
        if connection == nil { runner?.cancel() }
    }

    /// Sends what is settled, then closes the connection; the broker gets two seconds. Unsettled deliveries go back.
    package func close() async {
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
            let reason = await RabbitMQConnection.live(
                configuration, loop: loop, onEvent: onEvent, logger: logger, prepare: prepare)
            connection = nil
            channel = nil
            for index in lanes.indices { lanes[index].end() }
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

    private func prepare(_ connection: RabbitMQConnection) async throws(RabbitMQError) {
        if isStopping { throw RabbitMQError(.closed, "the consumer was closed") }
        self.connection = connection
        let session = connection.session
        try await setup(connection)
        let number = try await connection.openChannel()
        guard let channel = session.channels[number] else {
            throw RabbitMQError(.channelClosed, "the channel was closed")
        }
        // Tags die with the channel, so its end is treated as the connection's.
        channel.onClose = { [inbox, weak session] error in
            inbox.detach()
            session?.close(error)
        }
        inbox.attach(session, channel)
        lanes = queues.map(ConsumerLane.init)
        self.channel = channel
        await adjust()
        if session.isAlive { onEvent(.connected(endpoint: connection.endpoint)) }
    }
}
