import IOLoop
import Logging

/// Attempts, the watch over a connection, and its end. Everything here runs on the loop.
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
        let (configuration, endpoint) = (configuration, endpoint)
        server = nil
        // hiredis bounds the connect, nothing bounds the resolver: this does.
        attemptTimer = loop.schedule(after: configuration.connectTimeout + .milliseconds(250)) { [weak self] in
            self?.assumeIsolated { $0.attemptExpired(number) }
        }
        // Unstructured because the client, not a caller, is what waits; ends with the attempt.
        Task {
            let opened: Result<ConnectedContext, RedisError>
            do {
                opened = try await offload("redis-connect") { configuration.open(endpoint) }
            } catch {
                opened = .failure(RedisError(.unreachable, "cannot reach \(self.place): \(error)"))
            }
            self.opened(opened, number)
        }
    }

    private var endpoint: RedisConfiguration.Endpoint {
        let endpoints = configuration.endpoints
        return endpoints.isEmpty ? RedisConfiguration.Endpoint(host: "", port: 0) : endpoints[turn % endpoints.count]
    }

    /// What messages call the server that is connected, or the endpoint that is being tried.
    var place: String {
        if let server { return configuration.redacted(server) }
        return configuration.sentinelMaster == nil
            ? configuration.redacted(endpoint) : "the Sentinel \(endpoint) or the primary that it names"
    }

    private func attemptExpired(_ number: UInt64) {
        guard phase == .connecting, attempt == number else { return }
        attempt += 1
        attemptFailed(
            RedisError(
                .unreachable,
                """
                cannot reach \(place): no connection within \(configuration.connectTimeout); check \
                the address, the name server and firewalls
                """))
    }

    private func opened(_ result: Result<ConnectedContext, RedisError>, _ number: UInt64) {
        guard phase == .connecting, attempt == number else {
            // The attempt expired, or the client was closed, while the thread was busy.
            if case .success(let late) = result { RedisConnection(late, loop: loop, configuration).close() }
            return
        }
        if let attemptTimer { loop.cancel(attemptTimer) }
        switch result {
        case .failure(let error): attemptFailed(error)
        case .success(let connected):
            server = connected.server
            greet(RedisConnection(connected, loop: loop, configuration))
        }
    }

    private func attemptFailed(_ failure: RedisError) {
        turn += 1
        roundFailures.append(failure)
        guard roundFailures.count >= configuration.endpoints.count else {
            logger.debug("an address failed", metadata: ["error": "\(failure)", "code": "\(failure.code)"])
            onEvent(.attemptFailed(failure, nextIn: .zero))
            return beginAttempt()
        }
        let error = roundFailure
        roundFailures = []
        failures += 1
        // Wrong credentials do not right themselves within milliseconds, and servers log and count such attempts.
        if error.code == .authenticationFailed || error.code == .invalidConfiguration { failures = max(failures, 8) }
        let wait = rest(because: error)
        if outageSince == nil || failures == 8 || lastFailure?.code != error.code {
            logger.warning("no connection to Redis", metadata: ["error": "\(error)", "code": "\(error.code)"])
        } else {
            logger.debug("no connection to Redis", metadata: ["error": "\(error)", "code": "\(error.code)"])
        }
        if outageSince == nil { outageSince = .now }
        lastFailure = error
        onEvent(.attemptFailed(error, nextIn: wait))
        signalAttempt(.failure(error))
    }

    /// Why no endpoint would do. What a human must set right outweighs what may pass.
    private var roundFailure: RedisError {
        let kinds = [RedisError.Code.authenticationFailed, .invalidConfiguration]
        let grave = roundFailures.first { kinds.contains($0.code) }
        guard roundFailures.count > 1, let first = grave ?? roundFailures.first else {
            return roundFailures.first ?? RedisError(.invalidConfiguration, "there is no address to connect to")
        }
        let reasons = roundFailures.map(\.message).joined(separator: "; ")
        return RedisError(first.code, "no primary among \(configuration.redacted): \(reasons)")
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

    func socketReady(_ ready: Readiness) {
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
                        .timedOut, "no reply from \(place) within \(configuration.commandTimeout)"))
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
    func lose(_ error: RedisError) {
        let wasReady = phase == .ready
        let greeting = connection?.greeting ?? []
        drop(because: error)
        guard wasReady else {
            guard error.code == .connectionLost else { return attemptFailed(error) }
            // Some servers say why before they hang up (too many clients, protected mode).
            return attemptFailed(
                greetingError(greeting)
                    ?? RedisError(.unreachable, "\(place) hung up at the greeting: \(error.message)"))
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
        let server = place
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
