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
        try await send(RedisCommand(script: script, keys: keys, arguments: arguments))
    }

    // Checks and bookkeeping are inside the continuations' bodies, which cannot be interrupted: the `await` in front of
    // one may itself be a suspension, in which the connection can go or the buffer fill up.

    /// - Parameter withSource: a script travels as its source, whatever is known of its digest.
    private func sendOnce(_ command: RedisCommand, withSource: Bool = false) async throws(RedisError) -> RedisValue {
        let result: Result<RedisValue, RedisError> = await withUnsafeContinuation { continuation in
            do throws(RedisError) {
                if let refusal = command.refusal { throw cannotSend(refusal) }
                let connection = try serving()
                let digest = withSource ? nil : connection.digest(of: command)
                try makeSure(command.encodedSize(digest: digest), connection)
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
                let connection = try serving()
                let digests = commands.map { withSource ? nil : connection.digest(of: $0) }
                try makeSure(zip(commands, digests).reduce(0) { $0 + $1.0.encodedSize(digest: $1.1) }, connection)
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
