import CHiredis
import Glibc
import ParleyPrimitives

/// A context on its way from the thread that connected it to the loop that will own it.
struct ConnectedContext: @unchecked Sendable {
    // Proof of @unchecked Sendable: the thread that made the context hands it on as its last act; it has one holder
    // at any time, who either gives it to a RedisConnection or frees it.
    let raw: UnsafeMutablePointer<redisContext>
    let tls: Bool
    /// The server at the other end.
    let server: RedisConfiguration.Endpoint
}

extension RedisConfiguration {
    /// Connects to one of the ``endpoints`` or, when that is a Sentinel, to the primary it names. Blocks, for about
    /// ``connectTimeout`` and for as long as a resolver takes, so for `offload` only.
    func open(_ endpoint: Endpoint) -> Result<ConnectedContext, RedisError> {
        parley_redis_block_sigpipe()
        guard let sentinelMaster else { return connect(endpoint, within: connectTimeout) }
        // Half of the time for the Sentinel, so that one that is gone leaves some for the server.
        let half = connectTimeout / 2
        do throws(RedisError) {
            let primary = try askSentinel(endpoint, for: sentinelMaster, within: half)
            return connect(primary, within: half)
        } catch {
            return .failure(error)
        }
    }

    /// Resolves the name, connects and (for `rediss`) shakes hands.
    private func connect(_ server: Endpoint, within limit: Duration) -> Result<ConnectedContext, RedisError> {
        do throws(RedisError) {
            let context = try openContext(server, within: limit, as: redacted(server))
            let failure = parley_redis_prepare(context, 15_000)
            guard failure == 0 else {
                parley_redis_free(context)
                throw RedisError(
                    .unreachable, "cannot reach \(redacted(server)): \(String(cString: strerror(failure)))")
            }
            return .success(ConnectedContext(raw: context, tls: tls, server: server))
        } catch {
            return .failure(error)
        }
    }

    /// A connected context that still blocks, for the caller to free.
    /// - Parameter name: what messages call the peer.
    func openContext(
        _ peer: Endpoint, within limit: Duration, as name: String
    ) throws(RedisError) -> UnsafeMutablePointer<redisContext> {
        guard let context = redisConnectWithTimeout(peer.host, Int32(clamping: peer.port), limit.timeval) else {
            throw RedisError(.unreachable, "cannot reach \(name): out of memory")
        }
        func failure(_ why: String) -> RedisError {
            parley_redis_free(context)
            return RedisError(
                .unreachable, "cannot reach \(name): \(why); check the address and that a Redis server runs there")
        }
        guard context.pointee.err == 0 else { throw failure(String(cString: parley_redis_error(context))) }
        guard parley_redis_limit(context) == 0 else { throw failure("out of memory") }
        _ = fcntl(context.pointee.fd, F_SETFD, FD_CLOEXEC)
        if tls {
            redisSetTimeout(context, limit.timeval)
            var why = [CChar](repeating: 0, count: 256)
            guard
                parley_redis_start_tls(
                    context, peer.host, certificateAuthorityFile, certificateFile, keyFile, &why, why.count) == 0
            else {
                throw failure(
                    "TLS: " + String(decoding: why.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self))
            }
        }
        return context
    }
}
