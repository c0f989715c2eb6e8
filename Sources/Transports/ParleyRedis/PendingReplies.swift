import DequeModule

/// Who waits for which replies on one connection: they come in the order of the commands.
struct PendingReplies<Receiver> {
    typealias Instant = ContinuousClock.Instant

    private struct Entry {
        let count: Int
        let since: Instant
        let receiver: Receiver
    }

    private var entries = Deque<Entry>()
    /// Of the first entry.
    private(set) var partial: [RedisValue] = []

    enum Match {
        /// Nobody has asked for this.
        case nobody
        /// Its receiver waits for more.
        case partOfMore
        case one(Receiver, RedisValue)
        case all(Receiver, [RedisValue])
    }

    var isEmpty: Bool { entries.isEmpty }
    /// Since when the next reply is waited for.
    var oldest: Instant? { entries.first?.since }

    mutating func expect(_ count: Int, since: Instant, _ receiver: Receiver) {
        entries.append(Entry(count: count, since: since, receiver: receiver))
    }

    mutating func match(_ value: RedisValue) -> Match {
        guard let first = entries.first else { return .nobody }
        if first.count == 1 {
            entries.removeFirst()
            return .one(first.receiver, value)
        }
        if partial.isEmpty { partial.reserveCapacity(first.count) }
        partial.append(value)
        guard partial.count == first.count else { return .partOfMore }
        entries.removeFirst()
        defer { partial = [] }
        return .all(first.receiver, partial)
    }

    /// The next of those who will wait in vain.
    mutating func abandonFirst() -> (Receiver, since: Instant)? {
        partial = []
        return entries.popFirst().map { ($0.receiver, $0.since) }
    }
}

/// Whether a connection on which nothing happens is still one.
enum ReplyWatch {
    typealias Instant = ContinuousClock.Instant

    /// After so long without a byte a `PING` asks whether the server is still there.
    static let silence = Duration.seconds(15)

    enum Verdict: Equatable {
        case lookAgain(at: Instant)
        case ask
        case overdue
    }

    /// - Parameters:
    ///   - oldest: since when the next reply is waited for; nil when none is.
    ///   - heard: when bytes last came in.
    static func verdict(oldest: Instant?, heard: Instant, limit: Duration, now: Instant) -> Verdict {
        guard let oldest else {
            return now - heard >= silence ? .ask : .lookAgain(at: heard + silence)
        }
        return now - oldest >= limit ? .overdue : .lookAgain(at: oldest + limit)
    }
}
