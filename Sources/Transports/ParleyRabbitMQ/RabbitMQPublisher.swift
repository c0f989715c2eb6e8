import IOLoop
import Logging

/// Publishes with confirms on a connection of its own and stays connected.
///
/// Its own, because a broker that is short of memory or disk stops reading from connections that publish: a consumer
/// on the same connection could then not even acknowledge.
///
/// One address (exchange and routing key) that makes trouble costs its own messages only: see ``AddressBook``.
package actor RabbitMQPublisher {
    package nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
    private nonisolated let loop: IOLoop
    private let configuration: RabbitMQConfiguration
    private let router: PublishRouter
    private let link: PublishLink
    /// For messages that may end their connection.
    private let aside: PublishLink
    private var isClosed = false

    /// How long the connection for single messages is kept with nothing to do.
    private static let idleLimit = Duration.seconds(60)

    /// - Parameters:
    ///   - addressBudget: the most messages that may be under way to one address, for publishers whose addresses are
    ///     strangers' choice: what goes to an address that refuses, or that too much waits for, then fails at once with
    ///     ``RabbitMQError/Code/congested``, but for now and then one that asks again. Nil: no budget.
    ///   - setup: runs on each new connection before publishing, to declare what is needed.
    ///   - onEvent: called on the loop; must not block.
    package init(
        configuration: RabbitMQConfiguration, loop: IOLoop, addressBudget: Int? = nil,
        setup: @escaping @Sendable (RabbitMQConnection) async throws(RabbitMQError) -> Void = { _ in },
        onEvent: @escaping @Sendable (ConnectionEvent) -> Void = { _ in }, logger: Logger
    ) {
        self.configuration = configuration
        self.loop = loop
        router = PublishRouter(loop: loop, budget: addressBudget)
        let link = PublishLink(
            configuration: configuration, loop: loop, line: router.main, setup: setup, onEvent: onEvent, logger: logger)
        let aside = PublishLink(
            configuration: configuration, loop: loop, line: router.alone, idleLimit: Self.idleLimit, logger: logger)
        self.link = link
        self.aside = aside
        router.renew = { reason in
            logger.notice("publishing goes on by another channel", metadata: ["reason": "\(reason.message)"])
            link.assumeIsolated { $0.replaceChannel() }
        }
        router.connectAlone = { aside.assumeIsolated { $0.isNeeded() } }
    }

    /// Whether messages leave at this moment.
    package var isConnected: Bool { link.assumeIsolated { $0.isConnected } }
    /// Why the last connection ended or could not be made.
    package var lastError: RabbitMQError? { link.assumeIsolated { $0.lastError } }
    /// Whether the broker takes no messages (memory or disk alarm).
    package var isBlocked: Bool { link.assumeIsolated { $0.isBlocked } }
    /// Whether a message published now leaves now: connected, and no alarm of the broker.
    package var canPublish: Bool { link.assumeIsolated { $0.isConnected && !$0.isBlocked } }
    /// Messages whose outcome is open, sent or not.
    package var inFlight: Int { router.inFlight }
    /// How many channels it has published on, those of ended connections included.
    package var channels: Int { router.main.channels }

    /// Begins to connect. Calling it again changes nothing.
    package func start() async {
        guard !isClosed else { return }
        await link.start()
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
    ///   queued), ``RabbitMQError/Code/notFound`` (no such exchange), ``RabbitMQError/Code/invalidMessage``,
    ///   ``RabbitMQError/Code/unacceptable`` (the broker ends the connection whenever it gets it); with an address budget
    ///   also ``RabbitMQError/Code/congested`` and ``RabbitMQError/Code/unanswered``.
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
        router.submit(message, timeout: timeout ?? configuration.confirmTimeout, completion: completion)
    }

    /// Waits until connected; false when the publisher was closed instead.
    @discardableResult
    package func waitUntilConnected() async -> Bool { await link.waitUntilConnected() }

    /// Runs `body` (declarations, say) on the current connection, waiting for one first.
    package func withConnection<T: Sendable>(
        _ body: @Sendable (RabbitMQConnection) async throws(RabbitMQError) -> T
    ) async throws(RabbitMQError) -> T {
        await waitUntilConnected()
        guard let connection = await link.connection else {
            throw lastError ?? RabbitMQError(.closed, "the publisher is closed")
        }
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
                router.whenIdle(finish)
                if open != nil { loop.schedule(after: limit, finish) }
            }
        }
        router.abandon(closed)
        await link.close()
        await aside.close()
        router.abandon(closed)
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
