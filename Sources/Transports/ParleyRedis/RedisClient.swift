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
package actor RedisClient {
    package nonisolated let configuration: RedisConfiguration
    let loop: IOLoop
    let onEvent: @Sendable (RedisEvent) -> Void
    let logger: Logger

    package nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    enum Phase { case idle, connecting, greeting, ready, resting, closed }
    var phase = Phase.idle
    /// Set in `greeting` and `ready`.
    var connection: RedisConnection?
    /// Counts attempts: a result that comes back to another number is late, and discarded.
    var attempt: UInt64 = 0
    /// Which of the endpoints is tried, or is served from; counts on and on.
    var turn = 0
    /// Why each endpoint failed since the last rest.
    var roundFailures: [RedisError] = []
    /// The server that the connection leads to.
    var server: RedisConfiguration.Endpoint?
    /// Rounds of attempts failed in a row, and short-lived connections: the exponent of the back-off.
    var failures = 0
    var retryTimer: IOTimer?
    var attemptTimer: IOTimer?
    /// The only timer of a connection: the oldest reply outstanding, or the next `PING`.
    var watchTimer: IOTimer?
    var watchDue = ContinuousClock.now
    var flushArmed = false
    var turnStart = ContinuousClock.now
    var outageSince: ContinuousClock.Instant?
    /// Of the last attempt; told to whoever asks while there is no connection.
    var lastFailure: RedisError?

    typealias Signal = CheckedContinuation<Result<Void, RedisError>, Never>
    /// Wait for the next attempt, whatever becomes of it.
    var attemptWaiters: [Signal] = []
    /// Wait for a success, by ticket.
    var readyWaiters: [UInt64: Signal] = [:]
    var nextTicket: UInt64 = 0

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
        var logger = logger
        logger[metadataKey: "redis"] = "\(configuration.redacted)"
        self.logger = logger
    }

    // MARK: - Coming and going

    /// Connects in the background and stays connected until ``close()``: after a failure again and again, with
    /// jittered exponential back-off between 50 ms and 5 s. Further calls do nothing.
    package func start() {
        if phase == .idle { beginAttempt() }
    }

    /// Starts, and waits for the outcome of the attempt under way; with several endpoints, of one at each.
    /// - Throws: why it failed. The client goes on trying in the background until ``close()``.
    package func connect() async throws(RedisError) {
        try await withCheckedContinuation { (signal: Signal) in
            if let settled = settledOrStarted() {
                signal.resume(returning: settled)
            } else {
                attemptWaiters.append(signal)
            }
        }.get()
    }

    /// Returns as soon as commands can be sent, at once when they can. Starts the client when nobody has.
    /// - Throws: `CancellationError` when the task is cancelled, ``RedisError`` when the client is closed.
    package func waitUntilConnected() async throws {
        let ticket = nextTicket
        nextTicket += 1
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { (signal: Signal) in
                if Task.isCancelled {
                    signal.resume(returning: .success(()))
                } else if let settled = settledOrStarted() {
                    signal.resume(returning: settled)
                } else {
                    readyWaiters[ticket] = signal
                }
            }
        } onCancel: {
            Task { await self.withdraw(ticket) }
        }
        try result.get()
        if phase != .ready { try Task.checkCancellation() }
    }

    /// What is already known; nil when it will be seen, with the client started.
    private func settledOrStarted() -> Result<Void, RedisError>? {
        switch phase {
        case .ready: return .success(())
        case .closed: return .failure(closedError)
        case .idle:
            start()
            return nil
        case .connecting, .greeting, .resting: return nil
        }
    }

    private func withdraw(_ ticket: UInt64) {
        readyWaiters.removeValue(forKey: ticket)?.resume(returning: .success(()))
    }

    /// Whether commands can be sent now.
    package var isConnected: Bool { phase == .ready }

    /// Ends the connection for good. Commands whose replies are outstanding fail with `connectionLost`; await them
    /// first to end in good order.
    package func close() async {
        guard phase != .closed else { return }
        phase = .closed
        attempt += 1
        for timer in [retryTimer, attemptTimer] { if let timer { loop.cancel(timer) } }
        drop(because: RedisError(.connectionLost, "the Redis client was closed before the reply came"))
        signalAttempt(.failure(closedError))
        signalReady(.failure(closedError))
    }

    // MARK: - Commands

    /// Sends one command and returns the server's answer, which may be ``RedisValue/error(_:)``.
    ///
    /// A cancelled task still waits for its reply, at most the command timeout.
    /// - Throws: ``RedisError``: `notConnected`, `bufferFull` and `invalidCommand` when the command was not sent;
    ///   `connectionLost` and `timedOut` when nobody knows whether the server executed it.
    package func send(_ command: RedisCommand) async throws(RedisError) -> RedisValue {
        let value = try await sendOnce(command)
        guard command.script != nil, value.errorKind == "NOSCRIPT" else { return value }
        return try await sendOnce(command, withSource: true)
    }

    /// Sends several commands as one pipeline, with nothing of others in between, and returns the replies in order.
    ///
    /// One refused by the server is an error among the values; the others are executed all the same.
    /// - Throws: as for one command; then nothing is known of any of them.
    package func send(_ commands: [RedisCommand]) async throws(RedisError) -> [RedisValue] {
        guard !commands.isEmpty else { return [] }
        var values = try await sendOnce(commands)
        let unknown = values.indices.filter { commands[$0].script != nil && values[$0].errorKind == "NOSCRIPT" }
        guard !unknown.isEmpty else { return values }
        let repeated = try await sendOnce(unknown.map { commands[$0] }, withSource: true)
        for (index, value) in zip(unknown, repeated) { values[index] = value }
        return values
    }

    /// Runs a script on the server in one atomic step; its source is sent only when the server does not have it.
    /// - Parameters:
    ///   - keys: `KEYS` in the script.
    ///   - arguments: `ARGV` in the script, any bytes.
    /// - Throws: as for ``send(_:)-(RedisCommand)``. An error inside the script is a value.
    package func evaluate(
        _ script: RedisScript, keys: [String] = [], arguments: [[UInt8]] = []
    ) async throws(RedisError) -> RedisValue {
        try await send(RedisCommand(script: script, keys: keys, arguments: arguments))
    }

    // Checks and bookkeeping are inside the continuations' bodies, which cannot be interrupted: the `await` in front of
    // one may itself be a suspension, in which the connection can go or the buffer fill up.

    /// - Parameter withSource: a script travels as its source, whatever is known of its digest.
    private func sendOnce(_ command: RedisCommand, withSource: Bool = false) async throws(RedisError) -> RedisValue {
        let result: Result<RedisValue, RedisError> = await withUnsafeContinuation { continuation in
            do throws(RedisError) {
                if let refusal = command.refusal { throw cannotSend(refusal) }
                let connection = try readyConnection()
                let digest = withSource ? nil : connection.digest(of: command)
                try check(command.encodedSize(digest: digest), connection)
                connection.enqueue(command, digest: digest)
                expect(1, .one(continuation), on: connection)
                askForDigest(of: command, on: connection)
            } catch {
                continuation.resume(returning: .failure(error))
            }
        }
        return try result.get()
    }

    private func sendOnce(
        _ commands: [RedisCommand], withSource: Bool = false
    ) async throws(RedisError) -> [RedisValue] {
        let result: Result<[RedisValue], RedisError> = await withUnsafeContinuation { continuation in
            do throws(RedisError) {
                for command in commands { if let refusal = command.refusal { throw cannotSend(refusal) } }
                let connection = try readyConnection()
                let digests = commands.map { withSource ? nil : connection.digest(of: $0) }
                try check(zip(commands, digests).reduce(0) { $0 + $1.0.encodedSize(digest: $1.1) }, connection)
                for (command, digest) in zip(commands, digests) { connection.enqueue(command, digest: digest) }
                expect(commands.count, .many(continuation), on: connection)
                for command in commands { askForDigest(of: command, on: connection) }
            } catch {
                continuation.resume(returning: .failure(error))
            }
        }
        return try result.get()
    }

    /// Behind the first call of a script, so that the next ones need not carry its source.
    private func askForDigest(of command: RedisCommand, on connection: RedisConnection) {
        guard let script = command.script, connection.digests.shouldAsk(script) else { return }
        connection.enqueue(RedisCommand(loading: script))
        expect(1, .digest(script), on: connection)
    }

    private func check(_ size: Int, _ connection: RedisConnection) throws(RedisError) {
        let limit = configuration.maximumOutput
        guard size <= limit else {
            throw cannotSend(
                "\(size) bytes at once: \(limit >> 20) MiB are the most (a command with all its arguments)")
        }
        guard connection.output.hasRoom(for: size) else { throw bufferFull }
    }

    private func readyConnection() throws(RedisError) -> RedisConnection {
        if phase == .ready, let connection, !connection.demoted { return connection }
        if phase == .closed { throw closedError }
        let reason = lastFailure.map { ": \($0.message)" } ?? ""
        throw RedisError(.notConnected, "not connected to \(configuration.redacted)\(reason)")
    }

    private func cannotSend(_ what: String) -> RedisError {
        RedisError(.invalidCommand, "this client cannot send \(what)")
    }

    private var closedError: RedisError {
        RedisError(.notConnected, "the client for \(configuration.redacted) is closed")
    }

    private var bufferFull: RedisError {
        RedisError(
            .bufferFull,
            "\(configuration.redacted) takes commands more slowly than they come: \(configuration.maximumOutput >> 20) MiB already wait to be written"
        )
    }
}
