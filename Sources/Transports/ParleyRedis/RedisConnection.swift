import CHiredis
import IOLoop

/// One connected hiredis context: bytes out, replies in.
///
/// Belongs to its client's loop; not Sendable. It never decides: it reports why it is over, and the client acts.
final class RedisConnection {
    /// A line longer than this, such as an error's, ends the connection: hiredis looks for its end from the beginning.
    private static let maximumLine = 1 << 20
    /// hiredis moves what a partial write left to the front of its buffer: give it pieces, so that it moves little.
    private static let writeChunk = 256 << 10
    /// hiredis reads at most this much at once; less means that the socket is empty.
    private static let readChunk = 16 << 10

    enum Receiver {
        // Unsafe, because this is the hot path; whoever is taken out of `replies` is resumed, and all are in the end.
        // Nothing here is counted by reference, for the same reason.
        case one(UnsafeContinuation<Result<RedisValue, RedisError>, Never>)
        case many(UnsafeContinuation<Result<[RedisValue], RedisError>, Never>)
        case greeting
        case ping
        /// Whatever the server says.
        case nobody
        /// Of the script with this number among the connection's ``ScriptDigests``.
        case digest(Int)
    }

    private let context: UnsafeMutablePointer<redisContext>
    private let tls: Bool
    private let server: RedisConfiguration.Endpoint
    private let loop: IOLoop
    private var source: IOSource?
    private var closed = false
    private var watchesWritable = false

    private(set) var output: OutputQueue
    private var contextHoldsOutput = false

    /// Who waits for what comes in.
    var replies = PendingReplies<Receiver>()
    var digests = ScriptDigests()
    private let maximumReply: Int
    /// Of the reply that is coming in.
    private var received = 0
    /// More may have come than was read, in OpenSSL's own buffer, of which the poll set knows nothing.
    private(set) var mayHoldMore = false
    /// When bytes last came in.
    private(set) var lastHeard = ContinuousClock.now
    /// What messages call the server.
    let name: String

    /// Takes the context over: from here on ``close()`` frees it.
    init(_ connected: ConnectedContext, loop: IOLoop, _ configuration: RedisConfiguration) {
        output = OutputQueue(limit: configuration.maximumOutput)
        maximumReply = configuration.maximumReply
        name = configuration.redacted(connected.server)
        context = connected.raw
        tls = connected.tls
        server = connected.server
        self.loop = loop
        parley_redis_block_sigpipe()
    }

    func watch(_ handler: @escaping (Readiness) -> Void) throws(IOLoopError) {
        source = try loop.add(context.pointee.fd, for: .readable, handler: handler)
    }

    /// Stops watching, then frees the context, which closes the socket. Call once; nothing may be called afterwards.
    func close() {
        closed = true
        if let source { loop.remove(source) }
        parley_redis_free(context)
    }

    /// A client that was dropped without `close()` may go away on any thread; only the loop may do the rest.
    /// (An `isolated deinit` of the client would do; Swift 6.3 cannot compile its importers in release mode.)
    deinit {
        guard !closed else { return }
        let left = (ConnectedContext(raw: context, tls: tls, server: server), source, Sweeper(loop: loop))
        Task { await left.2.sweep(left.0, left.1) }
    }

    private actor Sweeper {
        let loop: IOLoop
        nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
        init(loop: IOLoop) { self.loop = loop }

        func sweep(_ context: ConnectedContext, _ source: IOSource?) {
            if let source { loop.remove(source) }
            parley_redis_free(context.raw)
        }
    }

    // MARK: - Out

    func enqueue(_ command: RedisCommand, digest: [UInt8]? = nil) {
        output.append { command.encode(into: &$0, digest: digest) }
    }

    /// Writes as much as the socket takes; the rest follows when it is writable. Returns why the connection is over.
    func flush() -> RedisError? {
        while contextHoldsOutput || !output.isEmpty {
            if !contextHoldsOutput {
                let (status, size) = output.withNext(Self.writeChunk) { bytes in
                    let text = bytes.baseAddress?.assumingMemoryBound(to: CChar.self)
                    return (redisAppendFormattedCommand(context, text, bytes.count), bytes.count)
                }
                guard status == REDIS_OK else { return failure() }
                output.drop(size)
                contextHoldsOutput = true
            }
            var done: Int32 = 0
            guard redisBufferWrite(context, &done) == REDIS_OK else { return failure() }
            guard done != 0 else { break }
            contextHoldsOutput = false
        }
        watchWritable(contextHoldsOutput)
        return nil
    }

    private func watchWritable(_ wanted: Bool) {
        guard wanted != watchesWritable, let source else { return }
        watchesWritable = wanted
        loop.update(source, for: wanted ? [.readable, .writable] : .readable)
    }

    // MARK: - In

    /// Reads what has arrived. Returns why the connection is over.
    /// - Parameter take: takes one reply; false when nobody asked for it. Must not close the connection.
    func receive(_ take: (RedisValue) -> Bool) -> RedisError? {
        // Bounded for the loop's other sockets; the rest comes next turn.
        mayHoldMore = false
        for round in 0..<64 {
            let before = parley_redis_buffered(context)
            guard redisBufferRead(context) == REDIS_OK else { return failure() }
            let gained = Int(parley_redis_buffered(context)) - Int(before)
            guard gained > 0 else { return nil }
            if round == 0 { lastHeard = .now }
            received += gained
            if let failure = takeReplies(take) { return failure }
            if !tls && gained < Self.readChunk { return nil }
        }
        mayHoldMore = tls
        return nil
    }

    private func takeReplies(_ take: (RedisValue) -> Bool) -> RedisError? {
        while true {
            var raw: UnsafeMutableRawPointer?
            guard redisGetReplyFromReader(context, &raw) == REDIS_OK else { return failure() }
            guard let raw else { return excess() }
            received = Int(parley_redis_unparsed(context))
            defer { freeReplyObject(raw) }
            guard let value = RedisValue(copying: raw.assumingMemoryBound(to: redisReply.self)) else {
                return RedisError(.protocolViolation, "the Redis server sends a reply that RESP2 does not have")
            }
            guard take(value) else {
                return RedisError(.protocolViolation, "the Redis server sends a reply that no command asked for")
            }
        }
    }

    /// What is wrong with the size of the reply that is coming in. A length that is announced counts as if it had come.
    private func excess() -> RedisError? {
        let unparsed = Int(parley_redis_unparsed(context))
        let announced = Int(parley_redis_announced(context))
        if announced < 0, unparsed > Self.maximumLine {
            return RedisError(.protocolViolation, "the Redis server sends a line of more than 1 MiB")
        }
        let (size, isBeyond) = (received - unparsed).addingReportingOverflow(max(announced, unparsed))
        guard isBeyond || size > maximumReply else { return nil }
        return RedisError(.protocolViolation, "the Redis server sends a reply of more than \(maximumReply >> 20) MiB")
    }

    // MARK: - The end

    private func failure() -> RedisError {
        let text = String(cString: parley_redis_error(context))
        return switch context.pointee.err {
        case REDIS_ERR_PROTOCOL:
            RedisError(.protocolViolation, "the peer does not speak the Redis protocol (RESP2): \(text)")
        case REDIS_ERR_OOM:
            RedisError(
                .protocolViolation,
                """
                the Redis server sends a reply of more than \(parley_redis_most_elements) elements or \
                \(parley_redis_most_levels) levels, or one that RESP2 does not have
                """)
        // hiredis says nothing when it is TLS that fails.
        default: RedisError(.connectionLost, text.isEmpty ? "the server ended the TLS session" : text)
        }
    }
}

extension RedisValue {
    /// Copies a reply, whose depth and size have been seen to. nil when RESP2 has no such kind.
    init?(copying reply: UnsafePointer<redisReply>) {
        let reply = reply.pointee
        let text = UnsafeRawBufferPointer(start: reply.str, count: reply.str == nil ? 0 : Int(reply.len))
        switch reply.type {
        case REDIS_REPLY_NIL: self = .null
        case REDIS_REPLY_INTEGER: self = .integer(reply.integer)
        case REDIS_REPLY_STATUS: self = .status(String(decoding: text, as: UTF8.self))
        case REDIS_REPLY_ERROR: self = .error(String(decoding: text, as: UTF8.self))
        case REDIS_REPLY_ARRAY:
            var values: [RedisValue] = []
            values.reserveCapacity(Int(reply.elements))
            for index in 0..<Int(reply.elements) {
                guard let element = reply.element?[index], let value = RedisValue(copying: element) else { return nil }
                values.append(value)
            }
            self = .array(values)
        case REDIS_REPLY_STRING: self = .bytes([UInt8](text))
        default: return nil
        }
    }
}
