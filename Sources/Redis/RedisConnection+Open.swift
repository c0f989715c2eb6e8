import CHiredis
import Glibc

/// A context on its way from the thread that connected it to the loop that will own it.
struct ConnectedContext: @unchecked Sendable {
    // Proof of @unchecked Sendable: the thread that made the context hands it on as its last act; it has one holder
    // at any time, who either gives it to a RedisConnection or frees it.
    let raw: UnsafeMutablePointer<redisContext>
    let tls: Bool
}

extension RedisConfiguration {
    /// Resolves the name, connects and (for `rediss`) shakes hands. Blocks, so for `offload` only.
    func open() -> Result<ConnectedContext, RedisError> {
        parley_redis_block_sigpipe()
        let limit = connectTimeout.timeval
        guard let context = redisConnectWithTimeout(host, Int32(clamping: port), limit) else {
            return .failure(RedisError(.unreachable, "cannot reach \(redacted): out of memory"))
        }
        func fail(_ why: String) -> Result<ConnectedContext, RedisError> {
            redisFree(context)
            return .failure(
                RedisError(
                    .unreachable,
                    "cannot reach \(redacted): \(why); check the address and that a Redis server runs there"))
        }
        guard context.pointee.err == 0 else { return fail(String(cString: parley_redis_error(context))) }
        if tls {
            redisSetTimeout(context, limit)
            var why = [CChar](repeating: 0, count: 256)
            guard parley_redis_start_tls(context, host, certificateAuthorityFile, &why, why.count) == 0 else {
                return fail(
                    "TLS: " + String(decoding: why.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self))
            }
        }
        let failure = parley_redis_prepare(context, 15_000)
        guard failure == 0 else { return fail(String(cString: strerror(failure))) }
        return .success(ConnectedContext(raw: context, tls: tls))
    }
}

extension Duration {
    /// Rounded down to microseconds, and never zero, which hiredis would take for "for ever".
    fileprivate var timeval: timeval {
        let (seconds, attoseconds) = components
        let micro = attoseconds / 1_000_000_000_000
        guard seconds > 0 || (seconds == 0 && micro > 0) else { return Glibc.timeval(tv_sec: 0, tv_usec: 1000) }
        return Glibc.timeval(tv_sec: Int(min(seconds, 86_400)), tv_usec: Int(micro))
    }
}
