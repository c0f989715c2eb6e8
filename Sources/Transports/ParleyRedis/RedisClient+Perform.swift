import IOLoop
import Logging

/// Does what ``RedisConnectionMachine`` says. Everything here runs on the loop.
extension RedisClient {
    func perform(_ actions: [RedisConnectionMachine<RedisConnection>.Action]) {
        for action in actions {
            switch action {
            case .open(let endpoint, let attempt): open(endpoint, attempt)
            case .greet(let connection): greet(connection)
            case .close(let connection, let error): close(connection, because: error)
            case .rest(let wait, let attempt):
                arm(after: wait) { $0.perform($0.machine.rested(attempt: attempt)) }
            case .report(let report): tell(report)
            case .settle(let waiter, let error): settle(waiter, error)
            }
        }
        if machine.isClosed { disarm() }
    }

    private func open(_ endpoint: RedisConfiguration.Endpoint, _ attempt: Int) {
        let configuration = configuration
        arm(after: configuration.connectTimeout + .milliseconds(250)) {
            $0.perform($0.machine.openingExpired(attempt: attempt, now: .now))
        }
        // Unstructured because the client, not a caller, is what waits; ends with the attempt.
        Task {
            let opened: Result<ConnectedContext, RedisError>
            do {
                let (fresh, result) = try await offload("redis-connect") {
                    let fresh = configuration.refreshed()
                    return (fresh, fresh.open(endpoint))
                }
                self.fresh = fresh
                opened = result
            } catch {
                opened = .failure(RedisError(.unreachable, "cannot reach \(self.machine.place): \(error)"))
            }
            switch opened {
            case .success(let context):
                let connection = RedisConnection(context, loop: self.loop, configuration)
                self.perform(self.machine.opened(connection, at: context.server, attempt: attempt))
            case .failure(let error):
                self.perform(self.machine.openingFailed(error, attempt: attempt, now: .now))
            }
        }
    }

    private func greet(_ connection: RedisConnection) {
        disarm()
        do throws(IOLoopError) {
            try connection.watch { [weak self] ready in self?.assumeIsolated { $0.socketReady(ready) } }
        } catch {
            return lose(RedisError(.unreachable, "cannot watch the connection to \(machine.place): \(error)"))
        }
        let commands = RedisGreeting(fresh).commands
        for command in commands { connection.enqueue(command) }
        expect(commands.count, .greeting, on: connection)
    }

    private func close(_ connection: RedisConnection, because error: RedisError) {
        if let timer = watch.timer { loop.cancel(timer) }
        watch.timer = nil
        connection.close()
        let now = ContinuousClock.now
        while let (receiver, since) = connection.replies.abandonFirst() {
            let isOverdue = error.code == .timedOut && now - since >= configuration.commandTimeout
            let reason =
                isOverdue
                ? error
                : RedisError(
                    .connectionLost,
                    "the connection to \(connection.name) ended before the reply came: \(error.message)")
            switch receiver {
            case .one(let continuation): continuation.resume(returning: .failure(reason))
            case .many(let continuation): continuation.resume(returning: .failure(reason))
            case .greeting, .ping, .digest, .nobody: break
            }
        }
    }

    private func settle(_ waiter: RedisConnectionMachine<RedisConnection>.Waiter, _ error: RedisError?) {
        let signals: [Signal]
        switch waiter {
        case .attempt:
            signals = waiters.ofAttempt
            waiters.ofAttempt = []
        case .readiness:
            signals = Array(waiters.ofReadiness.values)
            waiters.ofReadiness = [:]
        }
        for signal in signals { signal.resume(returning: error.map { .failure($0) } ?? .success(())) }
    }

    private func tell(_ report: RedisConnectionMachine<RedisConnection>.Report) {
        func facts(_ error: RedisError) -> Logger.Metadata { ["error": "\(error)", "code": "\(error.code)"] }
        switch report {
        case .connected(let server, let outage):
            var metadata: Logger.Metadata = [:]
            if configuration.seeksPrimary { metadata["server"] = "\(server)" }
            if let outage { metadata["outage"] = "\(outage)" }
            logger.info("connected to Redis", metadata: metadata)
            onEvent(.connected)
        case .addressFailed(let error):
            logger.debug("an address failed", metadata: facts(error))
            onEvent(.attemptFailed(error, nextIn: .zero))
        case .noConnection(let error, let wait, let isNews):
            logger.log(level: isNews ? .warning : .debug, "no connection to Redis", metadata: facts(error))
            onEvent(.attemptFailed(error, nextIn: wait))
        case .lost(let error):
            logger.warning("connection to Redis lost", metadata: facts(error))
            onEvent(.disconnected(error))
        }
    }

    private func arm(after delay: Duration, _ body: @escaping @Sendable (isolated RedisClient) -> Void) {
        disarm()
        timer = loop.schedule(after: delay) { [weak self] in self?.assumeIsolated { body($0) } }
    }

    private func disarm() {
        if let timer { loop.cancel(timer) }
        timer = nil
    }
}
