import IOLoop
import Logging

/// One life of a connection: it does not reconnect, and everything on it fails once it has ended. It stays open until
/// it is lost or ``close()`` is called, also when nobody refers to it any more.
///
/// Requests are asynchronous; none blocks the loop. Where `channel` is left out, a channel for declarations is used,
/// which is opened when first needed and again when the broker has closed it (a failed declaration does that).
package actor RabbitMQConnection {
    package nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
    private nonisolated let loop: IOLoop
    nonisolated let session: Session
    private var control: Channel?
    private var consumerCount = 0

    private init(_ session: Session) {
        self.session = session
        loop = session.loop
    }

    /// Connects and logs in, on a thread of its own; the endpoints are tried in random order.
    /// - Throws: ``RabbitMQError`` of the last endpoint tried, or of one that answered and refused.
    package static func open(
        _ configuration: RabbitMQConfiguration, loop: IOLoop, logger: Logger
    ) async throws(RabbitMQError) -> RabbitMQConnection {
        let result: Result<Wire, RabbitMQError>
        do {
            result = try await offload("amqp-connect") { Wire.open(configuration.refreshed()) }
        } catch {
            throw RabbitMQError(.unreachable, "cannot start a thread to connect on: \(error)")
        }
        let session = Session(wire: try result.get(), loop: loop, configuration: configuration, logger: logger)
        let connection = RabbitMQConnection(session)
        try await connection.start()
        return connection
    }

    private func start() throws(RabbitMQError) { try session.start() }

    /// One connection from beginning to end, for whoever makes it again: opened, then made ready by `prepare`.
    ///
    /// - Returns: why it has ended, or has not come about.
    static func live(
        _ configuration: RabbitMQConfiguration, loop: IOLoop,
        onEvent: @escaping @Sendable (ConnectionEvent) -> Void, logger: Logger,
        prepare: (RabbitMQConnection) async throws(RabbitMQError) -> Void
    ) async -> RabbitMQError {
        let connection: RabbitMQConnection
        do throws(RabbitMQError) {
            connection = try await open(configuration, loop: loop, logger: logger)
        } catch {
            return error
        }
        let session = connection.session
        do throws(RabbitMQError) {
            session.onBlocked.append { reason in onEvent(reason.map { .blocked(reason: $0) } ?? .unblocked) }
            try await prepare(connection)
        } catch {
            session.close(error)
        }
        return await connection.waitUntilEnded()
    }

    /// What the broker says of itself: product, version, capabilities.
    package nonisolated var serverProperties: FieldTable { session.serverProperties }
    /// Whom the broker knows this connection as.
    package nonisolated var username: String { session.configuration.username }
    /// The endpoint in use.
    package nonisolated var endpoint: RabbitMQConfiguration.Endpoint { session.endpoint }
    /// Whether the connection has not ended.
    package var isOpen: Bool { session.isAlive }
    /// The broker's reason while it takes no messages (memory or disk alarm).
    package var blockedReason: String? { session.blockedReason }

    /// Returns when the connection has ended, with the reason (``RabbitMQError/Code/closed`` after ``close()``).
    package func waitUntilEnded() async -> RabbitMQError {
        await withCheckedContinuation { continuation in session.whenEnded { continuation.resume(returning: $0) } }
    }

    /// Says goodbye and ends; the broker gets two seconds to answer.
    package func close() async {
        session.close(RabbitMQError(.closed, "the connection was closed"))
        _ = await waitUntilEnded()
    }

    // MARK: - Channels

    /// Opens a channel and returns its number.
    package func openChannel() async throws(RabbitMQError) -> UInt16 { try await newChannel().number }

    func newChannel() async throws(RabbitMQError) -> Channel {
        let number: Result<UInt16, RabbitMQError> = await withCheckedContinuation { continuation in
            session.openChannel { result in continuation.resume(returning: result.map(\.number)) }
        }
        return try channel(try number.get())
    }

    func channel(_ number: UInt16) throws(RabbitMQError) -> Channel {
        guard let channel = session.channels[number] else {
            throw session.ended ?? RabbitMQError(.channelClosed, "channel \(number) is not open")
        }
        return channel
    }

    /// Closes a channel; unsettled deliveries go back to their queues.
    package func closeChannel(_ number: UInt16) async throws(RabbitMQError) {
        try await call(.channelClose, on: number)
    }

    /// Calls `body` when the channel has ended, with the reason.
    package func onChannelEnd(_ number: UInt16, _ body: @escaping @Sendable (RabbitMQError) -> Void)
        throws(RabbitMQError)
    {
        try channel(number).onClose = body
    }

    @discardableResult
    func call(_ method: OutboundMethod, on number: UInt16?) async throws(RabbitMQError) -> Reply {
        let channel: UInt16
        if let number {
            channel = try self.channel(number).number
        } else {
            channel = try await controlChannel().number
        }
        let result: Result<Reply, RabbitMQError> = await withCheckedContinuation { continuation in
            session.call(method, on: channel) { continuation.resume(returning: $0) }
        }
        return try result.get()
    }

    private func controlChannel() async throws(RabbitMQError) -> Channel {
        if let control, control.isOpen { return control }
        let channel = try await newChannel()
        control = channel
        return channel
    }

    func nextConsumerTag() -> String {
        consumerCount += 1
        return "parley-\(consumerCount)"
    }
}
