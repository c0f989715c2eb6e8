import DequeModule
import HeapModule

/// Decides who asks a model next: at most `limit` calls at once, the best ``Rank`` first; but whoever has waited for
/// `maxWait` goes before everybody who has not, so that nobody starves.
///
/// The limit shrinks when the model asks to slow down, and grows by one with each answer, whatever it says: doubling for
/// each round of calls, so that a model that comes back is not stampeded (slow start, as in TCP: RFC 5681, section 3.1).
/// While all places are taken, calls start apart from each other (``CallPace``).
///
/// A value with no waiting in it: ``ModelGate`` keeps each waiter's continuation under the token given here.
struct Gate {
    typealias Token = UInt64

    private struct Entry: Comparable {
        let rank: Rank
        let token: Token
        static func < (a: Entry, b: Entry) -> Bool { (a.rank, a.token) < (b.rank, b.token) }
    }

    let ceiling: Int
    let maxWait: Duration
    private(set) var limit: Int
    private(set) var running = 0
    private var ranked = Heap<Entry>()
    private var byArrival = Deque<(token: Token, since: Duration)>()
    private var waiting: Set<Token> = []
    private var pace = CallPace()
    private let isPaced: Bool

    /// - Parameters:
    ///   - ceiling: `model.max_concurrency`.
    ///   - maxWait: `priority.max_wait`.
    ///   - isPaced: starts are kept apart while the model is busy.
    init(ceiling: Int, maxWait: Duration, isPaced: Bool = true) {
        self.ceiling = ceiling
        self.isPaced = isPaced
        limit = ceiling
        self.maxWait = maxWait
    }

    /// How many wait.
    var queued: Int { waiting.count }

    // MARK: - In

    /// True: the call starts now, since there is room and nobody waits.
    mutating func enterAtOnce(now: Duration) -> Bool {
        guard running < limit, waiting.isEmpty, pace.hold(now: now) == nil else { return false }
        begin(now)
        return true
    }

    /// True: the call starts now. False: it waits until ``next(now:)`` names `token`.
    mutating func enter(_ rank: Rank, token: Token, now: Duration) -> Bool {
        if enterAtOnce(now: now) { return true }
        wait(rank, token: token, now: now)
        return false
    }

    /// It waits until ``next(now:)`` names `token`, or another's call has room for it.
    mutating func wait(_ rank: Rank, token: Token, now: Duration) {
        ranked.insert(Entry(rank: rank, token: token))
        byArrival.append((token, now))
        waiting.insert(token)
    }

    /// Waiters that go with the call that was just begun, best rank first.
    ///
    /// - Parameter fits: whether there is room for one. Those that do not fit wait on.
    mutating func companions(atMost most: Int, fits: (Token) -> Bool) -> [Token] {
        var (taken, left): ([Token], [Entry]) = ([], [])
        while taken.count < most, left.count < Self.mostLookedAt, let entry = ranked.popMin() {
            guard waiting.contains(entry.token) else { continue }
            if fits(entry.token) {
                waiting.remove(entry.token)
                taken.append(entry.token)
            } else {
                left.append(entry)
            }
        }
        for entry in left { ranked.insert(entry) }
        return taken
    }

    private static let mostLookedAt = 256

    /// The waiter whose call may start now; nil when there is none, or no room.
    mutating func next(now: Duration) -> Token? {
        guard running < limit, pace.hold(now: now) == nil, let token = best(now) else { return nil }
        waiting.remove(token)
        begin(now)
        return token
    }

    /// How long ``next(now:)`` is to be asked no more, although somebody waits and there is room; nil: it need not be.
    func hold(now: Duration) -> Duration? { running < limit && !waiting.isEmpty ? pace.hold(now: now) : nil }

    private mutating func begin(_ now: Duration) {
        running += 1
        if isPaced { pace.started(now: now, running: running, limit: limit) }
    }

    private mutating func best(_ now: Duration) -> Token? {
        while let oldest = byArrival.first, !waiting.contains(oldest.token) { byArrival.removeFirst() }
        if let oldest = byArrival.first, now - oldest.since >= maxWait { return oldest.token }
        while let entry = ranked.popMin() {
            if waiting.contains(entry.token) { return entry.token }
        }
        return nil
    }

    /// A waiter's rank is another now. The entry of the old one is passed over once the waiter has gone.
    mutating func promote(_ rank: Rank, token: Token) {
        if waiting.contains(token) { ranked.insert(Entry(rank: rank, token: token)) }
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

    // MARK: - Out

    /// What came of a call.
    enum Result: Equatable {
        /// The model answered, whatever it said, after so long: one more call at once is tried.
        case answered(after: Duration)
        /// It asks to slow down: half as many calls as run now.
        case overloaded
        /// No answer: nothing is learnt of what the model can take.
        case unanswered
    }

    /// A call has ended.
    mutating func leave(_ result: Result) {
        switch result {
        case .answered(let length):
            limit = min(ceiling, limit + 1)
            pace.ended(after: length)
        case .overloaded: limit = max(1, min(limit, running) / 2)
        case .unanswered: break
        }
        running -= 1
    }

    /// The model is back after an outage: one call first.
    mutating func restart() { limit = 1 }
}
