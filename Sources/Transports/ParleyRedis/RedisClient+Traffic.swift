import IOLoop

/// What goes over a connection, and the watch over it. Everything here runs on the loop.
extension RedisClient {
    /// Registers who waits for the replies of what was just enqueued, and has it written at the end of this turn.
    func expect(_ count: Int, _ receiver: RedisConnection.Receiver, on connection: RedisConnection) {
        if !turn.isArmed {
            turn = Turn(isArmed: true)
            loop.atTurnEnd { [weak self] in self?.assumeIsolated { $0.flush() } }
        }
        connection.replies.expect(count, since: turn.start, receiver)
        look(by: turn.start + configuration.commandTimeout)
    }

    private func flush() {
        turn.isArmed = false
        guard let connection = machine.connection, let failure = connection.flush() else { return }
        // What the server said before it hung up explains more than the broken pipe.
        receive()
        if machine.connection === connection { lose(failure) }
    }

    func socketReady(_ ready: Readiness) {
        if ready.contains(.readable) { receive() }
        if ready.contains(.writable) { flush() }
    }

    private func receive() {
        guard let connection = machine.connection else { return }
        // Acted upon afterwards: the connection must not be closed while it reads.
        var greeting: [RedisValue]?
        let failure = connection.receive { value in
            switch connection.replies.match(value) {
            case .nobody: return false
            case .partOfMore: break
            case .one(let receiver, let value): deliver(value, to: receiver, connection, &greeting)
            case .all(.many(let continuation), let values):
                for value in values { machine.answered(value) }
                continuation.resume(returning: .success(values))
            case .all(.greeting, let values): greeting = values
            case .all: break
            }
            return true
        }
        if let greeting { perform(machine.greeted(greeting, now: .now)) }
        guard machine.connection === connection else { return }
        if let failure { return lose(failure) }
        if connection.mayHoldMore {
            loop.schedule(after: .zero) { [weak self] in self?.assumeIsolated { $0.receive() } }
        }
        if connection.replies.isEmpty { perform(machine.drained(now: .now)) }
    }

    private func deliver(
        _ value: RedisValue, to receiver: RedisConnection.Receiver, _ connection: RedisConnection,
        _ greeting: inout [RedisValue]?
    ) {
        switch receiver {
        case .one(let continuation):
            machine.answered(value)
            continuation.resume(returning: .success(value))
        case .many(let continuation):
            machine.answered(value)
            continuation.resume(returning: .success([value]))
        case .greeting: greeting = [value]
        case .nobody: machine.answered(value)
        case .ping: break
        case .digest(let number): connection.digests.answered(number, value)
        }
    }

    func lose(_ error: RedisError) {
        let heard = machine.connection?.replies.partial ?? []
        perform(machine.lost(error, heard: heard, now: .now))
    }

    // MARK: - The watch

    /// Makes sure that ``look()`` runs by `due`. It re-arms itself, so this rarely has anything to do.
    private func look(by due: ContinuousClock.Instant) {
        if let timer = watch.timer {
            guard due < watch.due else { return }
            loop.cancel(timer)
        }
        watch.due = due
        watch.timer = loop.schedule(after: due - .now) { [weak self] in self?.assumeIsolated { $0.look() } }
    }

    private func look() {
        watch.timer = nil
        // If it was this process that stood still, the replies may be there.
        receive()
        guard let connection = machine.connection else { return }
        let limit = configuration.commandTimeout
        switch ReplyWatch.verdict(
            oldest: connection.replies.oldest, heard: connection.lastHeard, limit: limit, now: .now)
        {
        case .lookAgain(let due): look(by: due)
        case .ask:
            connection.enqueue(RedisCommand("PING"))
            expect(1, .ping, on: connection)
        case .overdue: lose(RedisError(.timedOut, "no reply from \(machine.place) within \(limit)"))
        }
    }
}
