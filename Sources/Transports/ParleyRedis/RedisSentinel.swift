import CHiredis
import Glibc

/// What Sentinels are asked, over a connection of its own each time
/// (https://redis.io/docs/latest/develop/reference/sentinel-clients/).
extension RedisConfiguration {
    /// Where the Sentinel says that the primary is. Blocks for at most about `limit`.
    func askSentinel(
        _ sentinel: Endpoint, for master: String, within limit: Duration
    ) throws(RedisError) -> Endpoint {
        let name = "the Sentinel \(sentinel)"
        let deadline = ContinuousClock.now + limit
        let context = try openContext(sentinel, within: limit, as: name)
        defer { parley_redis_free(context) }
        var commands = [RedisCommand("SENTINEL", "get-master-addr-by-name", master)]
        if let sentinelPassword { commands.insert(RedisCommand("AUTH", sentinelPassword), at: 0) }
        var reply = RedisValue.null
        for command in commands {
            reply = try Self.ask(context, command, as: name, by: deadline)
            if case .error(let text) = reply { throw Self.refusal(text, of: command, by: name) }
        }
        if reply.isNull {
            throw RedisError(
                .invalidConfiguration,
                "\(name) knows no primary named \"\(master)\": check the name after the addresses in the URL")
        }
        guard let place = reply.array, place.count == 2, let host = place[0].string, !host.isEmpty,
            let port = place[1].int, (1...65535).contains(port)
        else { throw RedisError(.protocolViolation, "\(name) gave an answer that is no address") }
        return Endpoint(host: host, port: port)
    }

    private static func refusal(_ text: String, of command: RedisCommand, by name: String) -> RedisError {
        if command.name == "AUTH" || ["NOAUTH", "NOPERM"].contains(where: { text.hasPrefix($0) }) {
            return RedisError(
                .authenticationFailed, "\(name) refuses the password: \(text) (sentinel_password in the URL)")
        }
        if text.hasPrefix("ERR unknown command") {
            return RedisError(
                .invalidConfiguration, "\(name) is none, but a Redis server: write redis:// to connect to it (\(text))")
        }
        return RedisError(.unreachable, "\(name) does not say where the primary is: \(text)")
    }

    /// Far more than an address takes.
    private static let maximumReply = 64 << 10

    private static func ask(
        _ context: UnsafeMutablePointer<redisContext>, _ command: RedisCommand, as name: String,
        by deadline: ContinuousClock.Instant
    ) throws(RedisError) -> RedisValue {
        func silence() -> RedisError {
            RedisError(.unreachable, "\(name) does not answer: \(String(cString: parley_redis_error(context)))")
        }
        var bytes: [UInt8] = []
        command.encode(into: &bytes)
        let appended = bytes.withUnsafeBytes {
            redisAppendFormattedCommand(context, $0.baseAddress?.assumingMemoryBound(to: CChar.self), $0.count)
        }
        guard appended == REDIS_OK else { throw silence() }
        redisSetTimeout(context, (deadline - .now).timeval)
        var done: Int32 = 0
        while done == 0 { guard redisBufferWrite(context, &done) == REDIS_OK else { throw silence() } }
        // Not redisGetReply, whose time-out is each read's: a Sentinel that drips would hold the thread for ever.
        while true {
            var raw: UnsafeMutableRawPointer?
            guard redisGetReplyFromReader(context, &raw) == REDIS_OK else { throw silence() }
            if let raw {
                defer { freeReplyObject(raw) }
                guard let value = RedisValue(copying: raw.assumingMemoryBound(to: redisReply.self)) else { break }
                return value
            }
            guard parley_redis_buffered(context) <= maximumReply,
                parley_redis_announced(context) <= Int64(maximumReply)
            else { break }
            let left = deadline - .now
            guard left > .zero else { throw RedisError(.unreachable, "\(name) does not answer in time") }
            redisSetTimeout(context, left.timeval)
            guard redisBufferRead(context) == REDIS_OK else { throw silence() }
        }
        throw RedisError(.protocolViolation, "\(name) gave an answer that is no address")
    }
}
