/// The addresses whose messages the broker has been refusing (`basic.nack`), without a single one accepted, and for how
/// long.
///
/// A channel that was opened while a quorum queue had just lost its leader can go on refusing that queue's messages for
/// as long as it lives, though the queue has a leader again and takes other channels' messages (seen with RabbitMQ 3.10,
/// a node killed). Then only another channel helps. A full queue with `x-overflow: reject-publish` looks the same from
/// here; so the wait doubles each time.
struct Refusals {
    private struct Streak {
        var since: ContinuousClock.Instant?
        var patience = Duration.seconds(2)
    }

    private static let maxPatience = Duration.seconds(64)
    /// Producers choose addresses, so their number must have an end; what is forgotten begins anew.
    private static let maxStreaks = 1000
    private var streaks: [String: Streak] = [:]

    /// The broker took a message.
    mutating func accepted(exchange: String, routingKey: String) {
        guard !streaks.isEmpty else { return }
        streaks[Self.address(exchange, routingKey)] = nil
    }

    /// The broker refused a message.
    /// - Returns: how long it has been refusing all for this address, when that is long enough to try another channel.
    mutating func refused(exchange: String, routingKey: String, at now: ContinuousClock.Instant) -> Duration? {
        let address = Self.address(exchange, routingKey)
        var streak = streaks[address] ?? Streak()
        guard let since = streak.since else {
            if streaks.count >= Self.maxStreaks { streaks = [:] }
            streak.since = now
            streaks[address] = streak
            return nil
        }
        guard now - since >= streak.patience else { return nil }
        streak.patience = min(streak.patience * 2, Self.maxPatience)
        streak.since = nil
        streaks[address] = streak
        return now - since
    }

    /// A new channel has refused nobody yet.
    mutating func startOver() {
        for address in streaks.keys { streaks[address]?.since = nil }
    }

    private static func address(_ exchange: String, _ routingKey: String) -> String { exchange + "/" + routingKey }
}
