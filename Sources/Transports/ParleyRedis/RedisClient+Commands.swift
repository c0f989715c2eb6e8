import IOLoop

/// Sending commands.
extension RedisClient {
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
        try await send(RedisCommand(script: script, keys: keys, arguments: arguments.map { .bytes($0) }))
    }

    /// Sends a command, no script, whose answer is of no interest, and does not wait: on the client's loop it is written at the end
    /// of this turn. When it cannot be sent nothing happens.
    package nonisolated func post(_ command: RedisCommand) {
        if loop.isCurrent {
            assumeIsolated { $0.enqueue(unheard: command) }
        } else {
            Task { await self.enqueue(unheard: command) }
        }
    }

    private func enqueue(unheard command: RedisCommand) {
        guard command.refusal == nil, let connection = machine.serving,
            connection.output.hasRoom(for: command.encodedSize)
        else { return }
        connection.enqueue(command)
        expect(1, .nobody, on: connection)
    }

    // Checks and bookkeeping are inside the continuations' bodies, which cannot be interrupted: the `await` in front of
    // one may itself be a suspension, in which the connection can go or the buffer fill up.

    /// - Parameter withSource: a script travels as its source, whatever is known of its digest.
    private func sendOnce(_ command: RedisCommand, withSource: Bool = false) async throws(RedisError) -> RedisValue {
        let result: Result<RedisValue, RedisError> = await withUnsafeContinuation { continuation in
            do throws(RedisError) {
                try check(command)
                let connection = try serving()
                try makeSure(command.encodedSize, connection)
                enqueue(command, withSource, on: connection)
                expect(1, .one(continuation), on: connection)
                if let script = command.script { learn(script, on: connection) }
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
                for command in commands { try check(command) }
                let connection = try serving()
                try makeSure(commands.reduce(0) { $0 + $1.encodedSize }, connection)
                for command in commands { enqueue(command, withSource, on: connection) }
                expect(commands.count, .many(continuation), on: connection)
                for command in commands { if let script = command.script { learn(script, on: connection) } }
            } catch {
                continuation.resume(returning: .failure(error))
            }
        }
        return try result.get()
    }

    private func enqueue(_ command: RedisCommand, _ withSource: Bool, on connection: RedisConnection) {
        guard !withSource, let script = command.script, let digest = connection.digests[script] else {
            return connection.enqueue(command)
        }
        connection.enqueue(command, digest: digest)
    }

    /// Asks for the script's digest, behind its first call, so that the next ones need not carry its source.
    private func learn(_ script: RedisScript, on connection: RedisConnection) {
        guard let number = connection.digests.ask(script) else { return }
        connection.enqueue(RedisCommand(loading: script))
        expect(1, .digest(number), on: connection)
    }

    private func check(_ command: RedisCommand) throws(RedisError) {
        if let refusal = command.refusal { throw cannotSend(refusal) }
    }

    private func makeSure(_ size: Int, _ connection: RedisConnection) throws(RedisError) {
        let limit = configuration.maximumOutput
        guard size <= limit else {
            throw cannotSend(
                "\(size) bytes at once: \(limit >> 20) MiB are the most (a command with all its arguments)")
        }
        guard connection.output.hasRoom(for: size) else {
            throw RedisError(
                .bufferFull,
                """
                \(configuration.redacted) takes commands more slowly than they come: \(limit >> 20) MiB already wait to be \
                written
                """)
        }
    }

    private func serving() throws(RedisError) -> RedisConnection {
        guard let connection = machine.serving else { throw machine.refusal }
        return connection
    }

    private func cannotSend(_ what: String) -> RedisError {
        RedisError(.invalidCommand, "this client cannot send \(what)")
    }
}
