import IOLoop
import Logging
import ParleyRedis
import Synchronization

/// What a client reported.
package final class EventLog: Sendable {
    private let events = Mutex<[RedisEvent]>([])
    package init() {}
    package func note(_ event: RedisEvent) { events.withLock { $0.append(event) } }
    package var connections: Int {
        events.withLock { $0.count { if case .connected = $0 { true } else { false } } }
    }
    package var failedWaits: [Duration] {
        events.withLock {
            $0.compactMap { if case .attemptFailed(_, let wait) = $0 { wait } else { nil } }
        }
    }
}

/// Runs `body` with a client, then closes the client and stops its loop. Its patience is a slow machine's, unless `adjust`
/// says otherwise.
package func withClient<T: Sendable>(
    _ url: String, events: EventLog? = nil, adjust: (inout RedisConfiguration) -> Void = { _ in },
    _ body: (RedisClient) async throws -> T
) async throws -> T {
    var configuration = try RedisConfiguration(url: url)
    configuration.connectTimeout = .seconds(60)
    configuration.commandTimeout = .seconds(60)
    adjust(&configuration)
    let loop = try IOLoop(name: "redis-test")
    defer { loop.stop() }
    var logger = Logger(label: "redis-test")
    logger.logLevel = .critical
    let client = RedisClient(
        configuration: configuration, loop: loop, onEvent: { events?.note($0) }, logger: logger)
    do {
        let result = try await body(client)
        await client.close()
        return result
    } catch {
        await client.close()
        throw error
    }
}
