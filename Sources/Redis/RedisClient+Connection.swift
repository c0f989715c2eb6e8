import IOLoop
import Logging

/// Attempts, the greeting, the watch over a connection, and its end. Everything here runs on the loop.
extension RedisClient {
    static let shortestRest = Duration.milliseconds(50)
    static let longestRest = Duration.seconds(5)
    /// After so long without a byte a `PING` asks whether the server is still there.
    static let silence = Duration.seconds(15)

    // MARK: - Attempts

    func beginAttempt() {
        phase = .connecting
        attempt += 1
        let number = attempt
        let configuration = configuration
        // hiredis bounds the connect, nothing bounds the resolver: this does.
        attemptTimer = loop.schedule(after: configuration.connectTimeout + .milliseconds(250)) { [weak self] in
            self?.assumeIsolated { $0.attemptExpired(number) }
        }
        // Unstructured because the client, not a caller, is what waits; ends with the attempt.
        Task {
            let opened: Result<ConnectedContext, RedisError>
            do {
                opened = try await offload("redis-connect") { configuration.open() }
            } catch {
                opened = .failure(RedisError(.unreachable, "cannot reach \(configuration.redacted): \(error)"))
            }
            self.opened(opened, number)
        }
    }

    private func attemptExpired(_ number: UInt64) {
        guard phase == .connecting, attempt == number else { return }
        attempt += 1
        attemptFailed(
            RedisError(
                .unreachable,
                """
                cannot reach \(configuration.redacted): no connection within \(configuration.connectTimeout); check \
                the address, the name server and firewalls
                """))
    }

    private func opened(_ result: Result<ConnectedContext, RedisError>, _ number: UInt64) {
        guard phase == .connecting, attempt == number else {
            // The attempt expired, or the client was closed, while the thread was busy.
            if case .success(let late) = result { RedisConnection(late, loop: loop).close() }
            return
        }
        if let attemptTimer { loop.cancel(attemptTimer) }
        switch result {
        case .failure(let error): attemptFailed(error)
        case .success(let connected): greet(RedisConnection(connected, loop: loop))
        }
    }

    private func attemptFailed(_ error: RedisError) {
        failures += 1
        // Wrong credentials do not right themselves within milliseconds, and servers log and count such attempts.
        if error.code == .authenticationFailed || error.code == .invalidConfiguration { failures = max(failures, 8) }
        let wait = rest(because: error)
        if outageSince == nil || failures == 8 {
            logger.warning("no connection to Redis", metadata: ["error": "\(error)", "code": "\(error.code)"])
        } else {
            logger.debug("no connection to Redis", metadata: ["error": "\(error)", "code": "\(error.code)"])
        }
        if outageSince == nil { outageSince = .now }
        onEvent(.attemptFailed(error, nextIn: wait))
        signalAttempt(.failure(error))
    }

    /// Waits between half and the whole of 50 ms · 2ⁿ, at most 5 s, then tries again. The jitter spreads the clients
    /// of a server that comes back.
    @discardableResult
    private func rest(because error: RedisError) -> Duration {
        phase = .resting
        let ceiling = min(Self.longestRest, Self.shortestRest * (1 << min(max(failures - 1, 0), 10)))
        let wait = ceiling * Double.random(in: 0.5...1)
        retryTimer = loop.schedule(after: wait) { [weak self] in
            self?.assumeIsolated { client in
                if client.phase == .resting { client.beginAttempt() }
            }
        }
        return wait
    }

    // MARK: - The greeting

    private func greet(_ connection: RedisConnection) {
        phase = .greeting
        self.connection = connection
        do throws(IOLoopError) {
            try connection.watch { [weak self] ready in self?.assumeIsolated { $0.socketReady(ready) } }
        } catch {
            lose(RedisError(.unreachable, "cannot watch the connection to \(configuration.redacted): \(error)"))
            return
        }
        for step in greetingSteps { connection.enqueue(step.command) }
        expect(greetingSteps.count, .greeting, on: connection)
    }

    private enum Step { case authenticate, name, select, ping }

    private var greetingSteps: [(step: Step, command: RedisCommand)] {
        var steps: [(Step, RedisCommand)] = []
        if let password = configuration.password {
            let user: [[UInt8]] = configuration.username.map { [$0.redisBytes] } ?? []
            steps.append((.authenticate, RedisCommand(arguments: ["AUTH".redisBytes] + user + [password.redisBytes])))
        }
        if let name = configuration.clientName { steps.append((.name, RedisCommand("CLIENT", "SETNAME", name))) }
        if configuration.database != 0 { steps.append((.select, RedisCommand("SELECT", configuration.database))) }
        // Last, a question that any usable server answers, so that being connected means being served.
        steps.append((.ping, RedisCommand("PING")))
        return steps
    }

    private func greeted(_ replies: [RedisValue]) {
        if let error = greetingError(replies) { return lose(error) }
        phase = .ready
        let outage = outageSince.map { ContinuousClock.now - $0 }
        outageSince = nil
        logger.info("connected to Redis", metadata: outage.map { ["outage": "\($0)"] })
        onEvent(.connected)
        signalAttempt(.success(()))
        signalReady(.success(()))
    }

    private func greetingError(_ replies: [RedisValue]) -> RedisError? {
        for ((step, _), reply) in zip(greetingSteps, replies) {
            if case .error(let text) = reply, let error = greetingError(step, text) { return error }
        }
        return nil
    }

    /// What an error to a step of the greeting means; nil when it can be lived with.
    private func greetingError(_ step: Step, _ text: String) -> RedisError? {
        let server = configuration.redacted
        let kind = String(text.prefix { $0 != " " })
        if text.hasPrefix("ERR max number of clients") {
            return RedisError(.unreachable, "\(server) has no room for another client: \(text)")
        }
        switch (step, kind) {
        case (_, "LOADING"), (_, "MASTERDOWN"):
            return RedisError(.unreachable, "\(server) is not ready yet: \(text)")
        case (.authenticate, _):
            return RedisError(.authenticationFailed, "\(server) refuses the user name or password: \(text)")
        case (_, "NOAUTH"):
            return RedisError(
                .authenticationFailed,
                "\(server) wants a password: give it in the URL, redis://user:password@host (\(text))")
        case (.name, _), (.ping, "NOPERM"):
            // A name is a nicety, and old servers have no names; a user without the right to PING may have others.
            return nil
        case (_, "NOPERM"):
            return RedisError(.authenticationFailed, "the user lacks a right on \(server): \(text)")
        case (.select, _):
            return RedisError(
                .invalidConfiguration, "\(server) refuses the database \(configuration.database): \(text)")
        default:
            return RedisError(.server(kind), "\(server) refuses the connection: \(text)")
        }
    }

    // MARK: - Traffic

    /// Registers who waits for the replies of what was just enqueued, and has it written at the end of this turn.
    func expect(_ count: Int, _ receiver: RedisConnection.Receiver, on connection: RedisConnection) {
        if !flushArmed {
            flushArmed = true
            turnStart = .now
            loop.atTurnEnd { [weak self] in self?.assumeIsolated { $0.flush() } }
        }
        connection.expect(count, since: turnStart, receiver)
        watch(by: turnStart + configuration.commandTimeout)
    }

    private func flush() {
        flushArmed = false
        guard let connection, let failure = connection.flush() else { return }
        // What the server said before it hung up explains more than the broken pipe.
        lose(connection.receive() ?? failure)
    }

    private func socketReady(_ ready: Readiness) {
        if ready.contains(.readable) { receive() }
        if ready.contains(.writable), connection != nil { flush() }
    }

    private func receive() {
        guard let connection else { return }
        let failure = connection.receive()
        if phase == .greeting, connection.greetingComplete { greeted(connection.greeting) }
        guard self.connection === connection else { return }
        if connection.served { failures = 0 }
        if let failure { return lose(failure) }
        if connection.demoted, connection.oldestWaiting == nil {
            failures = max(failures, 4)
            lose(RedisError(.connectionLost, "the server has become a read-only replica; looking for the primary"))
        }
    }

    /// Makes sure that ``watchExpired()`` runs by `due`. It re-arms itself, so this rarely has anything to do.
    private func watch(by due: ContinuousClock.Instant) {
        if let watchTimer {
            guard due < watchDue else { return }
            loop.cancel(watchTimer)
        }
        watchDue = due
        watchTimer = loop.schedule(after: due - .now) { [weak self] in self?.assumeIsolated { $0.watchExpired() } }
    }

    private func watchExpired() {
        watchTimer = nil
        // If it was this process that stood still, the replies may be there.
        receive()
        guard let connection else { return }
        let now = ContinuousClock.now
        if let oldest = connection.oldestWaiting {
            let due = oldest + configuration.commandTimeout
            if due <= now {
                lose(
                    RedisError(
                        .timedOut, "no reply from \(configuration.redacted) within \(configuration.commandTimeout)"))
            } else {
                watch(by: due)
            }
        } else if now - connection.lastHeard >= Self.silence {
            connection.enqueue(RedisCommand("PING"))
            expect(1, .ping, on: connection)
        } else {
            watch(by: connection.lastHeard + Self.silence)
        }
    }

    // MARK: - The end of a connection

    /// Ends the connection and goes on to the next attempt.
    private func lose(_ error: RedisError) {
        let wasReady = phase == .ready
        let greeting = connection?.greeting ?? []
        drop(because: error)
        guard wasReady else {
            guard error.code == .connectionLost else { return attemptFailed(error) }
            // Some servers say why before they hang up (too many clients, protected mode).
            return attemptFailed(
                greetingError(greeting)
                    ?? RedisError(.unreachable, "\(configuration.redacted) hung up at the greeting: \(error.message)"))
        }
        outageSince = .now
        logger.warning("connection to Redis lost", metadata: ["error": "\(error)", "code": "\(error.code)"])
        failures += 1
        rest(because: error)
        onEvent(.disconnected(error))
    }

    func drop(because error: RedisError) {
        guard let connection else { return }
        self.connection = nil
        if let watchTimer { loop.cancel(watchTimer) }
        watchTimer = nil
        connection.close()
        let now = ContinuousClock.now
        let limit = configuration.commandTimeout
        let server = configuration.redacted
        connection.abandonWaiting { since in
            error.code == .timedOut && now - since >= limit
                ? error
                : RedisError(
                    .connectionLost, "the connection to \(server) ended before the reply came: \(error.message)")
        }
    }

    func signalAttempt(_ result: Result<Void, RedisError>) {
        let waiters = attemptWaiters
        attemptWaiters = []
        for waiter in waiters { waiter.resume(returning: result) }
    }

    func signalReady(_ result: Result<Void, RedisError>) {
        let waiters = readyWaiters
        readyWaiters = [:]
        for (_, waiter) in waiters { waiter.resume(returning: result) }
    }
}
