import CHiredis
import DequeModule
import IOLoop

/// One connected hiredis context: bytes out, replies in, matched to who waits for them by order.
///
/// Belongs to its client's loop; not Sendable. It never decides: it reports why it is over, and the client acts.
final class RedisConnection {
    /// More than this waiting to be written is refused.
    static let maximumOutput = 64 << 20
    /// A reply larger than this ends the connection (Redis itself refuses bulk strings over 512 MiB by default).
    static let maximumReply = 512 << 20
    /// hiredis moves what a partial write left to the front of its buffer: give it pieces, so that it moves little.
    private static let writeChunk = 256 << 10
    /// hiredis reads at most this much at once; less means that the socket is empty.
    private static let readChunk = 16 << 10

    enum Receiver {
        // Unsafe, because this is the hot path; an entry leaves `waiting` when it is resumed, and all do in the end.
        case one(UnsafeContinuation<Result<RedisValue, RedisError>, Never>)
        case many(UnsafeContinuation<Result<[RedisValue], RedisError>, Never>)
        case greeting
        case ping
    }

    struct Waiting {
        let count: Int
        let since: ContinuousClock.Instant
        let receiver: Receiver
    }

    private let context: UnsafeMutablePointer<redisContext>
    private let tls: Bool
    private let server: RedisConfiguration.Endpoint
    private let loop: IOLoop
    private var source: IOSource?
    private var closed = false
    private var watchesWritable = false

    private var output: [UInt8] = []
    private var handedOver = 0
    private var contextHoldsOutput = false

    private var waiting = Deque<Waiting>()
    private var partial: [RedisValue] = []

    /// The replies to the greeting so far.
    private(set) var greeting: [RedisValue] = []
    private(set) var greetingComplete = false
    /// Whether a caller's command has succeeded: the server is of use.
    private(set) var served = false
    /// Set by a `READONLY` error: the server has become a replica, and the address may lead elsewhere by now.
    private(set) var demoted = false
    /// When bytes last came in.
    private(set) var lastHeard = ContinuousClock.now

    /// Takes the context over: from here on ``close()`` frees it.
    init(_ connected: ConnectedContext, loop: IOLoop) {
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
        redisFree(context)
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
            redisFree(context.raw)
        }
    }

    // MARK: - Out

    var oldestWaiting: ContinuousClock.Instant? { waiting.first?.since }
    private var unwritten: Int { output.count - handedOver }

    func hasRoom(for size: Int) -> Bool { unwritten + size <= Self.maximumOutput }

    func enqueue(_ command: RedisCommand) { command.encode(into: &output) }

    func expect(_ count: Int, since: ContinuousClock.Instant, _ receiver: Receiver) {
        waiting.append(Waiting(count: count, since: since, receiver: receiver))
    }

    /// Writes as much as the socket takes; the rest follows when it is writable. Returns why the connection is over.
    func flush() -> RedisError? {
        while contextHoldsOutput || unwritten > 0 {
            if !contextHoldsOutput {
                let piece = min(unwritten, Self.writeChunk)
                let status = output.withUnsafeBytes { bytes in
                    redisAppendFormattedCommand(
                        context, bytes.baseAddress?.advanced(by: handedOver).assumingMemoryBound(to: CChar.self), piece)
                }
                guard status == REDIS_OK else { return failure() }
                handedOver += piece
                contextHoldsOutput = true
                if unwritten == 0 { forgetOutput() }
            }
            var done: Int32 = 0
            guard redisBufferWrite(context, &done) == REDIS_OK else { return failure() }
            guard done != 0 else { break }
            contextHoldsOutput = false
        }
        watchWritable(contextHoldsOutput)
        return nil
    }

    private func forgetOutput() {
        output.removeAll(keepingCapacity: output.capacity <= 1 << 20)
        handedOver = 0
    }

    private func watchWritable(_ wanted: Bool) {
        guard wanted != watchesWritable, let source else { return }
        watchesWritable = wanted
        loop.update(source, for: wanted ? [.readable, .writable] : .readable)
    }

    // MARK: - In

    /// Reads what has arrived and resumes who waited for it. Returns why the connection is over.
    func receive() -> RedisError? {
        // Bounded for the loop's other sockets; the rest comes next turn. OpenSSL's own buffer is invisible to the
        // poll set and has to be emptied.
        for round in 0... {
            let before = parley_redis_buffered(context)
            guard redisBufferRead(context) == REDIS_OK else { return failure() }
            let gained = Int(parley_redis_buffered(context)) - Int(before)
            guard gained > 0 else { return nil }
            if round == 0 { lastHeard = .now }
            if let failure = takeReplies() { return failure }
            if !tls && (gained < Self.readChunk || round == 63) { return nil }
        }
        return nil
    }

    private func takeReplies() -> RedisError? {
        while true {
            var raw: UnsafeMutableRawPointer?
            guard redisGetReplyFromReader(context, &raw) == REDIS_OK else { return failure() }
            guard let raw else {
                guard parley_redis_unparsed(context) <= Self.maximumReply else {
                    return RedisError(.protocolViolation, "the Redis server sends a reply of more than 512 MiB")
                }
                return nil
            }
            defer { freeReplyObject(raw) }
            guard let value = RedisValue(copying: raw.assumingMemoryBound(to: redisReply.self)) else {
                return RedisError(.protocolViolation, "the Redis server sends a reply nested deeper than 64 levels")
            }
            guard deliver(value) else {
                return RedisError(.protocolViolation, "the Redis server sends a reply that no command asked for")
            }
        }
    }

    private func deliver(_ value: RedisValue) -> Bool {
        guard let first = waiting.first else { return false }
        switch first.receiver {
        case .one(let continuation):
            note(value)
            waiting.removeFirst()
            continuation.resume(returning: .success(value))
        case .many(let continuation):
            note(value)
            guard let values = collect(value, of: first.count) else { return true }
            continuation.resume(returning: .success(values))
        case .greeting:
            greeting.append(value)
            if greeting.count == first.count {
                greetingComplete = true
                waiting.removeFirst()
            }
        case .ping:
            waiting.removeFirst()
        }
        return true
    }

    private func collect(_ value: RedisValue, of count: Int) -> [RedisValue]? {
        if partial.isEmpty { partial.reserveCapacity(count) }
        partial.append(value)
        guard partial.count == count else { return nil }
        waiting.removeFirst()
        defer { partial = [] }
        return partial
    }

    private func note(_ value: RedisValue) {
        guard case .error(let text) = value else {
            served = true
            return
        }
        // Before Redis 7 a script wraps the error of its command.
        if text.hasPrefix("READONLY") || text.contains("-READONLY ") { demoted = true }
    }

    // MARK: - The end

    /// Resumes everybody with what `reason` makes of the time they have waited since.
    func abandonWaiting(_ reason: (ContinuousClock.Instant) -> RedisError) {
        while let entry = waiting.popFirst() {
            switch entry.receiver {
            case .one(let continuation): continuation.resume(returning: .failure(reason(entry.since)))
            case .many(let continuation): continuation.resume(returning: .failure(reason(entry.since)))
            case .greeting, .ping: break
            }
        }
    }

    private func failure() -> RedisError {
        let text = String(cString: parley_redis_error(context))
        return switch context.pointee.err {
        case REDIS_ERR_PROTOCOL:
            RedisError(.protocolViolation, "the peer does not speak the Redis protocol: \(text)")
        case REDIS_ERR_OOM:
            RedisError(.protocolViolation, "a reply is larger than this client accepts")
        default: RedisError(.connectionLost, text)
        }
    }
}

extension RedisValue {
    /// Copies a reply. nil when it is nested deeper than anything Redis sends.
    init?(copying reply: UnsafePointer<redisReply>, depth: Int = 0) {
        guard depth < 64 else { return nil }
        let reply = reply.pointee
        let text = UnsafeRawBufferPointer(start: reply.str, count: reply.str == nil ? 0 : Int(reply.len))
        switch reply.type {
        case REDIS_REPLY_NIL: self = .null
        case REDIS_REPLY_INTEGER: self = .integer(reply.integer)
        case REDIS_REPLY_STATUS: self = .status(String(decoding: text, as: UTF8.self))
        case REDIS_REPLY_ERROR: self = .error(String(decoding: text, as: UTF8.self))
        case REDIS_REPLY_ARRAY:
            var values: [RedisValue] = []
            for index in 0..<Int(reply.elements) {
                guard let element = reply.element?[index], let value = RedisValue(copying: element, depth: depth + 1)
                else { return nil }
                values.append(value)
            }
            self = .array(values)
        default: self = .bytes([UInt8](text))
        }
    }
}
