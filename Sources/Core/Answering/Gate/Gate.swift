import DequeModule

/// Decides who asks a model next: at most `limit` calls at once, the best ``Rank`` first, tenants by turns (``FairQueue``); but
/// whoever has waited for `maxWait` goes before everybody who has not, so that nobody starves.
///
/// The limit shrinks when the model asks to slow down, and grows by one with each answer, whatever it says: doubling for
/// each round of calls, so that a model that comes back is not stampeded (slow start, as in TCP: RFC 5681, section 3.1).
/// While all places are taken, calls start apart from each other (``CallPace``).
///
/// A value with no waiting in it: ``ModelGate`` keeps each waiter's continuation under the token given here.
struct Gate {
    typealias Token = UInt64

    let maxWait: Duration
    private(set) var limit: Int
    private(set) var running = 0
    private var ranked: FairQueue
    private var byArrival = Deque<(token: Token, since: Duration)>()
    private var waiting: [Token: FairQueue.Share] = [:]
    private var pace = CallPace()
    private let isPaced: Bool
    /// The most calls at once: as it was set, or was found.
    private let ceiling: Int
    private var found: FoundLimit?

    /// - Parameters:
    ///   - ceiling: `model.max_concurrency`.
    ///   - maxWait: `priority.max_wait`.
    ///   - isPaced: starts are kept apart while the model is busy.
    ///   - findsLimit: `model.concurrency: auto`.
    ///   - weights: of tenants.
    init(
        ceiling: Int, maxWait: Duration, isPaced: Bool = true, findsLimit: Bool = false, weights: [String: Int] = [:]
    ) {
        found = findsLimit ? FoundLimit(ceiling: ceiling) : nil
        self.ceiling = ceiling
        ranked = FairQueue(weights: weights)
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
    mutating func enter(_ rank: Rank, token: Token, _ share: FairQueue.Share = .init(), now: Duration) -> Bool {
        if enterAtOnce(now: now) { return true }
        wait(rank, token: token, share, now: now)
        return false
    }

    /// It waits until ``next(now:)`` names `token`, or another's call has room for it.
    mutating func wait(_ rank: Rank, token: Token, _ share: FairQueue.Share = .init(), now: Duration) {
        ranked.insert(FairQueue.Entry(rank: rank, token: token, share: share))
        byArrival.append((token, now))
        waiting[token] = share
    }

    /// Waiters that go with the call that was just begun, best rank first.
    ///
    /// - Parameter fits: whether there is room for one. Those that do not fit wait on.
    mutating func companions(atMost most: Int, fits: (Token) -> Bool) -> [Token] {
        var (taken, left): ([Token], [FairQueue.Entry]) = ([], [])
        while taken.count < most, left.count < Self.mostLookedAt,
            let entry = ranked.popNext(where: { waiting[$0] != nil })
        {
            if fits(entry.token) {
                waiting[entry.token] = nil
                taken.append(entry.token)
            } else {
                left.append(entry)
            }
        }
        for entry in left { ranked.putBack(entry) }
        return taken
    }

    private static let mostLookedAt = 256

    /// The waiter whose call may start now; nil when there is none, or no room.
    mutating func next(now: Duration) -> Token? {
        guard running < limit, pace.hold(now: now) == nil, let token = best(now) else { return nil }
        waiting[token] = nil
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
        while let oldest = byArrival.first, waiting[oldest.token] == nil { byArrival.removeFirst() }
        if let oldest = byArrival.first, now - oldest.since >= maxWait { return oldest.token }
        return ranked.popNext { waiting[$0] != nil }?.token
    }

    /// A waiter's rank is another now. The entry of the old one is passed over once the waiter has gone.
    mutating func promote(_ rank: Rank, token: Token) {
        if let share = waiting[token] { ranked.insert(FairQueue.Entry(rank: rank, token: token, share: share)) }
    }

    /// A waiter has given up.
    mutating func withdraw(_ token: Token) { waiting[token] = nil }

    /// Everybody who waits gives up.
    mutating func withdrawAll() -> [Token] {
        defer {
            waiting = [:]
            ranked.removeAll()
            byArrival = []
        }
        return waiting.keys.sorted()
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
    mutating func leave(_ result: Result, now: Duration) {
        switch result {
        case .answered(let length):
            let most = found?.limit ?? ceiling
            // While it grows after a pause or an outage, it is not that limit that calls keep to.
            if limit >= most {
                found?.answered(after: length, isUsed: running * 20 >= limit * 19 || !waiting.isEmpty, now: now)
            }
            limit = min(found?.limit ?? ceiling, limit + 1)
            pace.ended(after: length)
        case .overloaded:
            limit = max(1, min(limit, running) / 2)
            found?.disturbed()
        case .unanswered: break
        }
        running -= 1
    }

    /// The model is back after an outage: one call first.
    mutating func restart() {
        limit = 1
        found?.disturbed()
    }
}
