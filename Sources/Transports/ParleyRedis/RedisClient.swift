import IOLoop
import Logging

/// A connection to one Redis server that mends itself.
///
/// With several endpoints, or with Sentinels, that server is the primary: a replica is passed over, and after a failover
/// the next attempt leads to the server that has been promoted. A command whose connection was to the old one has failed.
///
/// All commands of all tasks share the connection. What is sent within one turn of the loop leaves in one write, and
/// replies are matched by order: a thousand tasks that send at once make one pipeline.
///
/// While the server is away commands fail at once (``RedisError/Code/notConnected``); a caller that would rather wait
/// awaits ``waitUntilConnected()`` first. A command whose reply was outstanding when the connection died fails with
/// ``RedisError/Code/connectionLost`` and is *not* sent again: only the caller knows whether that would be right.
///
/// ``RedisConnectionMachine`` decides what is done about the connection; `RedisClient+Perform.swift` does it.
package actor RedisClient {
    package nonisolated let configuration: RedisConfiguration
    let loop: IOLoop
    let onEvent: @Sendable (RedisEvent) -> Void
    let logger: Logger

    package nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    var machine: RedisConnectionMachine<RedisConnection>
    /// The configuration with the password of the last attempt.
    var fresh: RedisConfiguration
    var waiters = Waiters()
    /// For the end of an attempt or of a rest.
    var timer: IOTimer?
    var watch = Watch()
    var turn = Turn()

    /// The only timer of a connection: for the oldest reply outstanding, or the next `PING`.
    struct Watch {
        var timer: IOTimer?
        var due = ContinuousClock.now
    }

    /// The loop's turn in which something was enqueued first, to be written at its end.
    struct Turn {
        var isArmed = false
        var start = ContinuousClock.now
    }

    typealias Signal = CheckedContinuation<Result<Void, RedisError>, Never>

    struct Waiters {
        var ofAttempt: [Signal] = []
        /// By ticket.
        var ofReadiness: [UInt64: Signal] = [:]
        var nextTicket: UInt64 = 0
    }

    /// - Parameters:
    ///   - loop: The loop to live on; several clients may share one.
    ///   - onEvent: Called on the loop when the connection comes and goes; must not block.
    package init(
        configuration: RedisConfiguration, loop: IOLoop, onEvent: @escaping @Sendable (RedisEvent) -> Void = { _ in },
        logger: Logger
    ) {
        self.configuration = configuration
        self.loop = loop
        self.onEvent = onEvent
        machine = RedisConnectionMachine(configuration)
        fresh = configuration
        var logger = logger
        logger[metadataKey: "redis"] = "\(configuration.redacted)"
        self.logger = logger
    }

    /// Connects in the background and stays connected until ``close()``: after a failure again and again, with
    /// jittered exponential back-off between 50 ms and 5 s. Further calls do nothing.
    package func start() { perform(machine.wanted()) }

    /// Starts, and waits for the outcome of the attempt under way; with several endpoints, of one at each.
    /// - Throws: why it failed. The client goes on trying in the background until ``close()``.
    package func connect() async throws(RedisError) {
        try await withCheckedContinuation { (signal: Signal) in
            if let settled = settledOrStarted() {
                signal.resume(returning: settled)
            } else {
                waiters.ofAttempt.append(signal)
            }
        }.get()
    }

    /// Returns as soon as commands can be sent, at once when they can. Starts the client when nobody has.
    /// - Throws: `CancellationError` when the task is cancelled, ``RedisError`` when the client is closed.
    package func waitUntilConnected() async throws {
        let ticket = waiters.nextTicket
        waiters.nextTicket += 1
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { (signal: Signal) in
                if Task.isCancelled {
                    signal.resume(returning: .success(()))
                } else if let settled = settledOrStarted() {
                    signal.resume(returning: settled)
                } else {
                    waiters.ofReadiness[ticket] = signal
                }
            }
        } onCancel: {
            Task { await self.withdraw(ticket) }
        }
        try result.get()
        if !isConnected { try Task.checkCancellation() }
    }

    /// What is already known; nil when it will be seen, with the client started.
    private func settledOrStarted() -> Result<Void, RedisError>? {
        if isConnected { return .success(()) }
        if machine.isClosed { return .failure(machine.refusal) }
        start()
        return nil
    }

    private func withdraw(_ ticket: UInt64) {
        waiters.ofReadiness.removeValue(forKey: ticket)?.resume(returning: .success(()))
    }

    /// Whether commands can be sent now.
    package var isConnected: Bool { machine.serving != nil }

    /// Ends the connection for good. Commands whose replies are outstanding fail with `connectionLost`; await them
    /// first to end in good order.
    package func close() async { perform(machine.closed()) }
}
