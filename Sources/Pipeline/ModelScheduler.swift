import HeapModule

/// Decides who asks the model next: at most `limit` calls at once, the best ``Rank`` first.
///
/// A value with no waiting in it: the pipeline keeps each waiter's continuation under the token given here.
struct ModelScheduler {
    typealias Token = UInt64

    private struct Entry: Comparable {
        let rank: Rank
        let token: Token
        static func < (a: Entry, b: Entry) -> Bool { (a.rank, a.token) < (b.rank, b.token) }
    }

    let limit: Int
    private(set) var running = 0
    private var waiting = Heap<Entry>()
    private var withdrawn: Set<Token> = []

    init(limit: Int) { self.limit = limit }

    /// How many wait.
    var queued: Int { waiting.count - withdrawn.count }

    /// True: start now. False: wait until ``finish()`` names `token`.
    mutating func start(_ rank: Rank, token: Token) -> Bool {
        if running < limit {
            running += 1
            return true
        }
        waiting.insert(Entry(rank: rank, token: token))
        return false
    }

    /// A call has ended; its place goes to the waiter returned.
    mutating func finish() -> Token? {
        while let next = waiting.popMin() {
            if withdrawn.remove(next.token) == nil { return next.token }
        }
        running -= 1
        return nil
    }

    /// A waiter has given up.
    mutating func withdraw(_ token: Token) { withdrawn.insert(token) }
}
