import Answering
import ParleyPrimitives
import ParleyRedis
import Pipeline

/// This worker's sign of life, `chat:worker:<token>`, and what comes back with it.
extension RedisResults {
    /// How long a worker counts as alive after its last sign: 5 s. Then others take its claims over.
    static let presenceLife = Duration.seconds(5)
    static let lifeOfPresence = RedisCommand.Argument.number(presenceLife.wholeMilliseconds)

    /// Shows that this worker lives, and asks whether anything was revoked, in one round trip. To be called every second.
    /// - Parameter presence: what `parley status` shows of the worker, as JSON.
    /// - Returns: how many revocations there have been (0 when there is no count, as after Redis lost its data). Any
    ///   change, down as well as up, means: look with ``revoked(among:)``.
    package func pulse(_ presence: [UInt8]) async throws(Outage) -> Int64 {
        let what = "showing that this worker lives"
        let replies = try await send(
            [
                RedisCommand(
                    arguments: [
                        .text("SET"), .text(keys.worker(worker)), .bytes(presence), .text("PX"), Self.lifeOfPresence,
                    ]),
                RedisCommand("GET", keys.revocations),
            ], what)
        guard replies.first == .status("OK") else { throw refused(what, replies.first ?? .null) }
        let count = replies.last ?? .null
        if count.isNull { return 0 }
        if let number = count.int { return Int64(number) }
        if count.isError { throw refused("reading \(keys.revocations)", count) }
        throw Outage(
            .redis, "\(keys.revocations) holds something that is not a count: delete it, then revoke once more")
    }

    /// Says that this worker left in good order, so that claims that it still has are not counted as lost with it. When
    /// Redis is away nothing happens: then they are.
    package func farewell() async {
        _ = try? await send(
            RedisCommand("SET", keys.worker(worker), "", "PX", Self.claimLife.wholeMilliseconds), "leaving")
    }
}
