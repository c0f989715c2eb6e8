import IOLoop
import Logging

/// Publishes with confirms on a connection of its own and stays connected.
///
/// Its own, because a broker that is short of memory or disk stops reading from connections that publish: a consumer
/// on the same connection could then not even acknowledge.
package actor RabbitMQPublisher {
    package nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
    private nonisolated let loop: IOLoop
    private let configuration: RabbitMQConfiguration
    private let setup: @Sendable (RabbitMQConnection) async throws(RabbitMQError) -> Void
    private let onEvent: @Sendable (ConnectionEvent) -> Void
    private let logger: Logger

    private let line: PublishLine
    private var runner: Task<Void, Never>?
    private var connection: RabbitMQConnection?
    private var isClosed = false
    private var connectWaiters: [CheckedContinuation<Bool, Never>] = []

    /// Whether messages leave at this moment.
    package private(set) var isConnected = false
    /// Why the last connection ended or could not be made.
    package private(set) var lastError: RabbitMQError?

    /// - Parameters:
    ///   - setup: runs on each new connection before publishing, to declare what is needed.
    ///   - onEvent: called on the loop; must not block.
    package init(
        configuration: RabbitMQConfiguration, loop: IOLoop,
        setup: @escaping @Sendable (RabbitMQConnection) async throws(RabbitMQError) -> Void = { _ in },
        onEvent: @escaping @Sendable (ConnectionEvent) -> Void = { _ in }, logger: Logger
    ) {
        self.configuration = configuration
        self.loop = loop
        self.setup = setup
        self.onEvent = onEvent
        self.logger = logger
        line = PublishLine(loop: loop, survivesConnection: true)
    }

    /// Whether the broker takes no messages (memory or disk alarm).
    package var isBlocked: Bool { connection?.session.blockedReason != nil }
    /// Whether a message published now leaves now: connected, and no alarm of the broker.
    package var canPublish: Bool { isConnected && !isBlocked }
    /// Messages whose outcome is open, sent or not.
    package var inFlight: Int { line.inFlight }

    /// Begins to connect. Calling it again changes nothing.
    package func start() {
        guard runner == nil, !isClosed else { return }
        // Unstructured, because it lives from start() to close(), across the calls of many tasks.
        runner = Task { await self.run() }
    }

    /// Publishes and waits for the broker's confirm.
    ///
    /// - Parameters:
    ///   - timeout: for everything, the wait for a connection included; the configuration's `confirmTimeout` unless
    ///     given.
    ///   - waits: for a connection that takes messages; otherwise, without one, ``RabbitMQError/Code/unreachable`` or
    ///     ``RabbitMQError/Code/blocked`` is thrown at once.
    /// - Throws: ``RabbitMQError/Code/nacked``, ``RabbitMQError/Code/timedOut``, ``RabbitMQError/Code/blocked`` (the
    ///   deadline passed while the broker took nothing), ``RabbitMQError/Code/connectionLost`` (it may or may not be
    ///   queued), ``RabbitMQError/Code/notFound`` (no such exchange), ``RabbitMQError/Code/invalidMessage``.
    package func publish(
        _ message: OutgoingMessage, timeout: Duration? = nil, waits: Bool = true
    ) async throws(RabbitMQError) -> PublishOutcome {
        // Unsafe, because this is the hot path; the line calls a completion once, then drops it.
        let result: Result<PublishOutcome, RabbitMQError> = await withUnsafeContinuation { continuation in
            guard waits || canPublish else {
                return continuation.resume(
                    returning: .failure(
                        RabbitMQError(isBlocked ? .blocked : .unreachable, "no connection that takes messages")))
            }
            submit(message, timeout) { continuation.resume(returning: $0) }
        }
        return try result.get()
    }

    /// Publishes many with one wait: for tens of thousands a second. The outcomes are in the order of the messages.
    package func publish(
        _ messages: [OutgoingMessage], timeout: Duration? = nil
    ) async -> [Result<PublishOutcome, RabbitMQError>] {
        guard !messages.isEmpty else { return [] }
        return await withUnsafeContinuation { continuation in
            let batch = Batch(messages.count) { continuation.resume(returning: $0) }
            for (index, message) in messages.enumerated() {
                submit(message, timeout) { batch.set(index, $0) }
            }
        }
    }

    /// Publishes without waiting; `completion` is called once, on the loop, and must not block.
    ///
    /// Nothing bounds what is in flight here: look at ``inFlight``.
    package func publish(
        _ message: OutgoingMessage, timeout: Duration? = nil,
        completion: @escaping @Sendable (Result<PublishOutcome, RabbitMQError>) -> Void
    ) {
        submit(message, timeout, completion)
    }

    private func submit(
        _ message: OutgoingMessage, _ timeout: Duration?,
        _ completion: @escaping (Result<PublishOutcome, RabbitMQError>) -> Void
    ) {
        guard !isClosed else {
            return completion(.failure(RabbitMQError(.closed, "the publisher is closed")))
        }
        line.submit(message, deadline: .now + (timeout ?? configuration.confirmTimeout), completion: completion)
    }

    /// Waits until connected; false when the publisher was closed instead.
    @discardableResult
    package func waitUntilConnected() async -> Bool {
        // Decided inside the continuation: the way there may be a turn of the loop long.
        await withCheckedContinuation { continuation in
            if isConnected || isClosed { return continuation.resume(returning: isConnected) }
            connectWaiters.append(continuation)
        }
    }

    /// Runs `body` (declarations, say) on the current connection, waiting for one first.
    package func withConnection<T: Sendable>(
        _ body: @Sendable (RabbitMQConnection) async throws(RabbitMQError) -> T
    ) async throws(RabbitMQError) -> T {
        await waitUntilConnected()
        guard let connection else { throw lastError ?? RabbitMQError(.closed, "the publisher is closed") }
        return try await body(connection)
    }

    /// Adopts or declares a queue: ``RabbitMQConnection/ensureQueue(_:strict:)``.
    @discardableResult
    package func ensureQueue(_ queue: QueueDeclaration) async throws(RabbitMQError) -> QueueStatus {
        try await withConnection { connection throws(RabbitMQError) in try await connection.ensureQueue(queue) }
    }

    /// Takes no more messages, waits for the open confirms at most `limit`, and closes the connection.
    package func close(within limit: Duration = .seconds(5)) async {
        guard !isClosed else { return }
        isClosed = true
        let closed = RabbitMQError(.closed, "the publisher was closed")
        if isConnected {
            await withCheckedContinuation { continuation in
                var open: CheckedContinuation<Void, Never>? = continuation
                let finish = {
                    open?.resume()
                    open = nil
                }
                line.whenIdle(finish)
                if open != nil { loop.schedule(after: limit, finish) }
            }
        }
        runner?.cancel()
        line.abandon(closed)
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
            let started = ContinuousClock.now
            let reason = await live()
            connection = nil
            isConnected = false
            lastError = reason
            guard !isClosed else { break }
            // Nor is the broker to be left alone because of a message that will not come again.
            if ContinuousClock.now - started > .seconds(5) || line.takeVerdict() { backoff.reset() }
            let delay = backoff.next()
            logger.debug("publisher disconnected", metadata: ["reason": "\(reason)", "retry": "\(delay)"])
            onEvent(.disconnected(reason, retryAfter: delay))
            try? await Task.sleep(for: delay)
        }
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
            if isClosed { throw RabbitMQError(.closed, "the publisher was closed") }
            self.connection = connection
            session.onBlocked.append { [onEvent] reason in onEvent(reason.map { .blocked(reason: $0) } ?? .unblocked) }
            try await setup(connection)
            let number = try await connection.openChannel()
            session.channels[number]?.onClose = { [weak session] error in session?.close(error) }
            try await connection.confirmSelect(line, number)
            isConnected = true
            onEvent(.connected(endpoint: connection.endpoint))
            wakeConnectWaiters(true)
        } catch {
            session.close(error)
        }
        return await connection.waitUntilEnded()
    }
}

/// Collects the outcomes of a batch. Used on one loop only.
private final class Batch {
    private var results: [Result<PublishOutcome, RabbitMQError>]
    private var open: Int
    private let completion: ([Result<PublishOutcome, RabbitMQError>]) -> Void

    init(_ count: Int, _ completion: @escaping ([Result<PublishOutcome, RabbitMQError>]) -> Void) {
        results = Array(repeating: .success(.confirmed), count: count)
        open = count
        self.completion = completion
    }

    func set(_ index: Int, _ result: Result<PublishOutcome, RabbitMQError>) {
        results[index] = result
        open -= 1
        if open == 0 { completion(results) }
    }
}
