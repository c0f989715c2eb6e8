import DequeModule
import HeapModule

/// Decides who asks the model next: at most `limit` calls at once, the best ``Rank`` first; but whoever has waited for
/// `maxWait` goes before everybody who has not, so that nobody starves.
///
/// The limit shrinks when the model asks to slow down, and grows by one with each answer: doubling for each round of
/// calls, so that a model that comes back is not stampeded (slow start, as in TCP: RFC 5681, section 3.1).
///
/// A value with no waiting in it: the pipeline keeps each waiter's continuation under the token given here.
struct ModelScheduler {
    typealias Token = UInt64

    private struct Entry: Comparable {
        let rank: Rank
        let token: Token
        static func < (a: Entry, b: Entry) -> Bool { (a.rank, a.token) < (b.rank, b.token) }
    }

    let most: Int
    let maxWait: Duration
    private(set) var limit: Int
    private(set) var running = 0
    private var ranked = Heap<Entry>()
    private var byArrival = Deque<(token: Token, since: Duration)>()
    private var waiting: Set<Token> = []

    /// - Parameters:
    ///   - limit: `model.max_concurrency`.
    ///   - maxWait: `priority.max_wait`.
    init(limit: Int, maxWait: Duration) {
        most = limit
        self.limit = limit
        self.maxWait = maxWait
    }

    /// How many wait.
    var queued: Int { waiting.count }

    /// True: start now. False: wait until ``next(now:)`` names `token`.
    mutating func start(_ rank: Rank, token: Token, now: Duration) -> Bool {
        if running < limit, waiting.isEmpty {
            running += 1
            return true
        }
        ranked.insert(Entry(rank: rank, token: token))
        byArrival.append((token, now))
        waiting.insert(token)
        return false
    }

    /// A call has ended.
    mutating func finish() { running -= 1 }

    /// The waiter who may start now; nil when there is none, or no room.
    mutating func next(now: Duration) -> Token? {
        guard running < limit, let token = best(now) else { return nil }
        waiting.remove(token)
        running += 1
        return token
    }

    private mutating func best(_ now: Duration) -> Token? {
        while let oldest = byArrival.first, !waiting.contains(oldest.token) { byArrival.removeFirst() }
        if let oldest = byArrival.first, now - oldest.since >= maxWait { return oldest.token }
        while let entry = ranked.popMin() {
            if waiting.contains(entry.token) { return entry.token }
        }
        return nil
    }

    /// A waiter has given up.
    mutating func withdraw(_ token: Token) { waiting.remove(token) }

    /// Everybody who waits gives up.
    mutating func withdrawAll() -> [Token] {
        defer {
            waiting = []
            ranked = Heap()
            byArrival = []
        }
        return waiting.sorted()
    }

    // MARK: - The limit

    /// The model has answered: one more call at once is tried.
    mutating func widen() { limit = min(most, limit + 1) }

    /// The model asks to slow down.
    mutating func narrow() { limit = max(1, min(limit, running) / 2) }

    /// The model is back after an outage: one call first.
    mutating func restart() { limit = 1 }
}
