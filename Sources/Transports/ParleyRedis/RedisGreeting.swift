/// What is said first on a connection, and whether the server that answers will do.
struct RedisGreeting {
    private enum Step { case authenticate, name, select, role, ping }

    private let configuration: RedisConfiguration
    private let steps: [(step: Step, command: RedisCommand)]

    var commands: [RedisCommand] { steps.map(\.command) }

    init(_ configuration: RedisConfiguration) {
        self.configuration = configuration
        var steps: [(Step, RedisCommand)] = []
        if let password = configuration.password {
            let user = configuration.username.map { [RedisCommand.Argument.text($0)] } ?? []
            steps.append((.authenticate, RedisCommand(arguments: [.text("AUTH")] + user + [.text(password)])))
        }
        if let name = configuration.clientName { steps.append((.name, RedisCommand("CLIENT", "SETNAME", name))) }
        if configuration.database != 0 { steps.append((.select, RedisCommand("SELECT", configuration.database))) }
        if configuration.seeksPrimary { steps.append((.role, RedisCommand("ROLE"))) }
        // Last, a question that any usable server answers, so that being connected means being served.
        steps.append((.ping, RedisCommand("PING")))
        self.steps = steps
    }

    /// Why the server will not do, judging by what it has said so far; nil when it will.
    /// - Parameter server: what messages call it.
    func problem(in replies: [RedisValue], of server: String) -> RedisError? {
        for ((step, _), reply) in zip(steps, replies) {
            if case .error(let text) = reply, let problem = problem(step, text, server) { return problem }
            if step == .role, let problem = roleProblem(reply, server) { return problem }
            if step == .ping, !reply.isError, reply.string != "PONG" {
                return RedisError(
                    .protocolViolation, "\(server) is no Redis server: it answers PING with something else")
            }
        }
        return nil
    }

    /// Why a server of this role will not do (https://redis.io/docs/latest/commands/role/); nil when it will.
    private func roleProblem(_ reply: RedisValue, _ server: String) -> RedisError? {
        guard let parts = reply.array, let role = parts.first?.string, role != "master" else { return nil }
        let remedy =
            switch role {
            case "slave": "a replica of \(parts.dropFirst().prefix(2).compactMap(\.string).joined(separator: ":"))"
            case "sentinel": "a Sentinel: write redis+sentinel:// and the primary's name"
            default: "a \(role)"
            }
        return RedisError(.unreachable, "\(server) is not a primary but \(remedy)")
    }

    /// What an error to a step means; nil when it can be lived with.
    private func problem(_ step: Step, _ text: String, _ server: String) -> RedisError? {
        let kind = String(RedisRefusal.kind(of: text))
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
