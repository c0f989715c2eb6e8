import IOLoop
import Logging

/// Keeps a line connected: connects again when the connection ends, and opens another channel when only that has ended or
/// shall not be used any more.
actor PublishLink {
    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
    private nonisolated let loop: IOLoop
    private let configuration: RabbitMQConfiguration
    private let line: PublishLine
    /// Connects only when the line has something to send, and hangs up when it has had nothing for so long.
    private let idleLimit: Duration?
    private let setup: @Sendable (RabbitMQConnection) async throws(RabbitMQError) -> Void
    private let onEvent: @Sendable (ConnectionEvent) -> Void
    private let logger: Logger

    private var runner: Task<Void, Never>?
    private(set) var connection: RabbitMQConnection?
    private var isClosed = false
    private var isOpeningChannel = false
    private var connectWaiters: [CheckedContinuation<Bool, Never>] = []
    private var needWaiter: CheckedContinuation<Void, Never>?
    private var lastUse = ContinuousClock.now
    /// How many channels the broker has ended since the line last made progress.
    private var endings = (progress: 0, count: 0)
    private static let mostEndings = 20

    /// Whether messages leave at this moment.
    private(set) var isConnected = false
    /// Why the last connection ended or could not be made.
    private(set) var lastError: RabbitMQError?

    init(
        configuration: RabbitMQConfiguration, loop: IOLoop, line: PublishLine, idleLimit: Duration? = nil,
        setup: @escaping @Sendable (RabbitMQConnection) async throws(RabbitMQError) -> Void = { _ in },
        onEvent: @escaping @Sendable (ConnectionEvent) -> Void = { _ in }, logger: Logger
    ) {
        self.configuration = configuration
        self.loop = loop
        self.line = line
        self.idleLimit = idleLimit
        self.setup = setup
        self.onEvent = onEvent
        self.logger = logger
    }

    var isBlocked: Bool { connection?.session.blockedReason != nil }

    /// Begins to connect. Calling it again changes nothing.
    func start() {
        guard runner == nil, !isClosed else { return }
        // Unstructured, because it lives from start() to close(), across the calls of many tasks.
        runner = Task { await self.run() }
    }

    /// The line has something to send.
    func isNeeded() {
        lastUse = .now
        start()
        needWaiter?.resume()
        needWaiter = nil
    }

    /// Waits until connected; false when it was closed instead.
    func waitUntilConnected() async -> Bool {
        // Decided inside the continuation: the way there may be a turn of the loop long.
        await withCheckedContinuation { continuation in
            if isConnected || isClosed { return continuation.resume(returning: isConnected) }
            connectWaiters.append(continuation)
        }
    }

    /// Closes the connection; the broker gets two seconds to agree.
    func close() async {
        guard !isClosed else { return }
        isClosed = true
        runner?.cancel()
        needWaiter?.resume()
        needWaiter = nil
        await connection?.close()
        connection = nil
        isConnected = false
        wakeConnectWaiters(false)
    }

    private func wakeConnectWaiters(_ result: Bool) {
        let waiters = connectWaiters
        connectWaiters = []
        for waiter in waiters { waiter.resume(returning: result) }
    }

    // MARK: - Staying connected

    private func run() async {
        var backoff = Backoff()
        while !isClosed {
            if idleLimit != nil { await waitUntilNeeded() }
            guard !isClosed else { break }
            let started = ContinuousClock.now
            let reason = await RabbitMQConnection.live(
                configuration, loop: loop, onEvent: onEvent, logger: logger, prepare: prepare)
            connection = nil
            isConnected = false
            lastError = reason
            guard !isClosed else { break }
            // The broker is not to be left alone because of a message that will not come again.
            let wasGood = ContinuousClock.now - started > .seconds(5)
            if line.takeVerdict() || (idleLimit != nil && reason.code == .closed) {
                backoff.reset()
                onEvent(.disconnected(reason, retryAfter: .zero))
                continue
            }
            if wasGood { backoff.reset() }
            let delay = backoff.next()
            logger.debug("publisher disconnected", metadata: ["reason": "\(reason)", "retry": "\(delay)"])
            onEvent(.disconnected(reason, retryAfter: delay))
            try? await Task.sleep(for: delay)
        }
    }

    private func waitUntilNeeded() async {
        guard line.isIdle else { return }
        await withCheckedContinuation { continuation in
            if isClosed || !line.isIdle { return continuation.resume() }
            needWaiter = continuation
        }
    }

    private func prepare(_ connection: RabbitMQConnection) async throws(RabbitMQError) {
        if isClosed { throw RabbitMQError(.closed, "the publisher was closed") }
        self.connection = connection
        try await setup(connection)
        try await openChannel(connection)
        isConnected = true
        onEvent(.connected(endpoint: connection.endpoint))
        wakeConnectWaiters(true)
        if idleLimit != nil { watchForIdleness(connection.session) }
    }

    private func openChannel(_ connection: RabbitMQConnection) async throws(RabbitMQError) {
        let number = try await connection.openChannel()
        try await connection.onChannelEnd(number) { [weak self] error in
            self?.assumeIsolated { $0.channelEnded(error) }
        }
        try await connection.confirmSelect(line, number)
    }

    /// A channel has ended, and perhaps the connection with it.
    private func channelEnded(_ error: RabbitMQError) {
        guard let connection, error.code != .closed, connection.session.isAlive else { return }
        logger.notice("the broker has ended a publishing channel", metadata: ["reason": "\(error.message)"])
        // What this user may not do a new channel does not mend, and somebody has to hear of it.
        if error.code == .accessRefused { return connection.session.close(error) }
        if line.progress > endings.progress { endings = (line.progress, 0) }
        endings.count += 1
        // Nor does a new one mend what ends each of them at once; the connection's end brings the back-off.
        if endings.count > Self.mostEndings { return connection.session.close(error) }
        replaceChannel()
    }

    /// Uses another channel from here on; the one in use goes on waiting for its confirms.
    func replaceChannel() {
        guard !isOpeningChannel, isConnected, let connection else { return }
        isOpeningChannel = true
        Task {
            do throws(RabbitMQError) {
                try await openChannel(connection)
                isOpeningChannel = false
                // It may have ended on the way here.
                if !line.hasChannel, connection.session.isAlive { replaceChannel() }
            } catch {
                isOpeningChannel = false
                connection.session.close(error)
            }
        }
    }

    // MARK: - On demand

    private func watchForIdleness(_ session: Session) {
        guard let idleLimit else { return }
        loop.schedule(after: idleLimit) { [weak self, weak session] in
            guard let session, session.isAlive else { return }
            self?.assumeIsolated { link in
                guard link.line.isIdle, ContinuousClock.now - link.lastUse >= idleLimit else {
                    return link.watchForIdleness(session)
                }
                // First, so that nothing is written to a connection that ends.
                link.line.letGo()
                session.close(RabbitMQError(.closed, "nothing was published for \(idleLimit)"))
            }
        }
    }
}
