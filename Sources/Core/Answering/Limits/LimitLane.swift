import ParleyPrimitives

/// Those who wait for the same buckets: the best rank asks, the others wait behind it, and who would wait for long goes back to
/// the broker. Who waits for other buckets is in another lane, and held up by nobody here.
///
/// A value: ``ModelLimits`` asks the buckets and keeps each waiter's continuation under its token.
struct LimitLane {
    private struct Waiter {
        let rank: Rank
        let tokens: Int
        let since: Duration
    }

    /// What is longer is waited for in the broker.
    static let short = Duration.seconds(5)
    /// So far ahead those are spread who have been sent there.
    static let longest = Duration.seconds(600)

    private var waiters: [Waiter] = []
    /// As the buckets last said: until the next call, and between calls after that.
    private var next = Duration.zero
    private var interval = Duration.zero
    /// What the interval is for; 0: the same for each call.
    private var intervalTokens = 0
    /// Whose wish the buckets have refused.
    private var refused: Rank?
    /// When the last of those is due who were sent to the broker, by priority.
    private var horizons: [Int: Duration] = [:]
    /// The place of the bucket that was found empty.
    private(set) var place = 0
    /// Somebody is asking, or waits to ask.
    var isAsking = false
    /// Whose turn it is to ask: who waited to ask is overtaken when a call has ended.
    var turn: UInt64 = 0
    /// Nobody waits, and nobody is expected.
    func isOver(now: Duration) -> Bool { waiters.isEmpty && !isAsking && horizons.values.allSatisfy { $0 < now } }

    var isEmpty: Bool { waiters.isEmpty }

    /// How long whoever comes now is to stay away; nil: it waits here.
    mutating func enter(_ rank: Rank, tokens: Int, now: Duration) -> Duration? {
        let waiter = Waiter(rank: rank, tokens: tokens, since: now)
        let before = waiters.filter { $0.rank < rank }
        // Who has the highest priority asks for what it needs itself, not for what was refused to another.
        if before.isEmpty, refused.map({ $0.priority < rank.priority }) ?? true {
            if refused != nil {
                turn += 1
                isAsking = false
            }
        } else {
            let expected = before.reduce(max(.zero, next - now)) { $0 + interval(of: $1) }
            if !before.isEmpty || next > now, expected > Self.short { return sendAway(waiter, now) }
        }
        waiters.append(waiter)
        return nil
    }

    /// How much later the next call can be made because of this one.
    private func interval(of waiter: Waiter) -> Duration {
        intervalTokens > 0 ? interval * (Double(waiter.tokens) / Double(intervalTokens)) : interval
    }

    /// Who asks now, and for how many tokens.
    var best: (rank: Rank, tokens: Int)? {
        waiters.min { $0.rank < $1.rank }.map { ($0.rank, $0.tokens) }
    }

    mutating func remove(_ token: UInt64) { waiters.removeAll { $0.rank.arrival == token } }

    mutating func granted(_ token: UInt64, now: Duration) {
        remove(token)
        next = now
        refused = nil
    }

    /// The buckets are empty.
    ///
    /// - Returns: who is to stay away for how long; the others wait.
    mutating func refused(
        wait: Duration, interval: Duration, intervalTokens: Int = 0, bucket: Int = 0, workers: Int, now: Duration
    ) -> [(token: UInt64, delay: Duration)] {
        next = now + wait
        place = bucket
        self.interval = interval * max(1, workers)
        self.intervalTokens = intervalTokens
        refused = waiters.min { $0.rank < $1.rank }?.rank ?? refused
        var ahead = wait
        var stay: [Waiter] = []
        var away: [(token: UInt64, delay: Duration)] = []
        for waiter in waiters.sorted(by: { $0.rank < $1.rank }) {
            if ahead > Self.short || now - waiter.since >= Self.short {
                away.append((waiter.rank.arrival, sendAway(waiter, now)))
            } else {
                stay.append(waiter)
                ahead += self.interval(of: waiter)
            }
        }
        waiters = stay
        return away
    }

    /// One after the other, so that they do not all come back at once; a higher priority does not wait for a lower one.
    private mutating func sendAway(_ waiter: Waiter, _ now: Duration) -> Duration {
        let last = horizons.filter { $0.key >= waiter.rank.priority }.values.max() ?? .zero
        let due = min(max(last + interval(of: waiter), next, now + .seconds(1)), now + Self.longest)
        horizons[waiter.rank.priority] = due
        return due - now
    }
}
