import IOLoop
import Logging

/// What is said first on a connection, and whether the server that answers will do. Everything here runs on the loop.
extension RedisClient {
    func greet(_ connection: RedisConnection) {
        phase = .greeting
        self.connection = connection
        do throws(IOLoopError) {
            try connection.watch { [weak self] ready in self?.assumeIsolated { $0.socketReady(ready) } }
        } catch {
            lose(RedisError(.unreachable, "cannot watch the connection to \(place): \(error)"))
            return
        }
        for step in greetingSteps { connection.enqueue(step.command) }
        expect(greetingSteps.count, .greeting, on: connection)
    }

    private enum Step { case authenticate, name, select, role, ping }

    private var greetingSteps: [(step: Step, command: RedisCommand)] {
        var steps: [(Step, RedisCommand)] = []
        if let password = configuration.password {
            let user: [[UInt8]] = configuration.username.map { [$0.redisBytes] } ?? []
            steps.append((.authenticate, RedisCommand(arguments: ["AUTH".redisBytes] + user + [password.redisBytes])))
        }
        if let name = configuration.clientName { steps.append((.name, RedisCommand("CLIENT", "SETNAME", name))) }
        if configuration.database != 0 { steps.append((.select, RedisCommand("SELECT", configuration.database))) }
        if configuration.seeksPrimary { steps.append((.role, RedisCommand("ROLE"))) }
        // Last, a question that any usable server answers, so that being connected means being served.
        steps.append((.ping, RedisCommand("PING")))
        return steps
    }

    func greeted(_ replies: [RedisValue]) {
        if let error = greetingError(replies) { return lose(error) }
        phase = .ready
        let outage = outageSince.map { ContinuousClock.now - $0 }
        outageSince = nil
        lastFailure = nil
        roundFailures = []
        var metadata: Logger.Metadata = [:]
        if configuration.seeksPrimary, let server { metadata["server"] = "\(server)" }
        if let outage { metadata["outage"] = "\(outage)" }
        logger.info("connected to Redis", metadata: metadata)
        onEvent(.connected)
        signalAttempt(.success(()))
        signalReady(.success(()))
    }

    func greetingError(_ replies: [RedisValue]) -> RedisError? {
        for ((step, _), reply) in zip(greetingSteps, replies) {
            if case .error(let text) = reply, let error = greetingError(step, text) { return error }
            if step == .role, let error = roleError(reply) { return error }
        }
        return nil
    }

    /// Why a server of this role will not do (https://redis.io/docs/latest/commands/role/); nil when it will.
    private func roleError(_ reply: RedisValue) -> RedisError? {
        guard let parts = reply.array, let role = parts.first?.string, role != "master" else { return nil }
        let remedy =
            switch role {
            case "slave": "a replica of \(parts.dropFirst().prefix(2).compactMap(\.string).joined(separator: ":"))"
            case "sentinel": "a Sentinel: write redis+sentinel:// and the primary's name"
            default: "a \(role)"
            }
        return RedisError(.unreachable, "\(place) is not a primary but \(remedy)")
    }

    /// What an error to a step of the greeting means; nil when it can be lived with.
    private func greetingError(_ step: Step, _ text: String) -> RedisError? {
        let server = place
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
        case (.name, _), (.role, _), (.ping, "NOPERM"):
            // A name is a nicety, and old servers have no names. Where ROLE is forbidden, the first READONLY tells. A
            // user without the right to PING may have others.
            return nil
        case (_, "NOPERM"):
            return RedisError(.authenticationFailed, "the user lacks a right on \(server): \(text)")
        case (.select, "ERR"):
            return RedisError(
                .invalidConfiguration, "\(server) refuses the database \(configuration.database): \(text)")
        default:
            return RedisError(.server(kind), "\(server) refuses the connection: \(text)")
        }
    }
}
