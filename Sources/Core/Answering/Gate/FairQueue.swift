import DequeModule
import HeapModule

/// Who waits for a model: the higher priority first; within a priority tenants take turns, by what their jobs cost and by their
/// weights (deficit round robin: Shreedhar and Varghese, 1996); within a tenant the better ``Rank``. With one tenant, or none,
/// that is the order of ranks.
struct FairQueue {
    typealias Token = UInt64

    /// Whose it is, and about how many tokens it takes.
    struct Share {
        var tenant: String?
        var cost = 1
    }

    struct Entry: Comparable {
        let rank: Rank
        let token: Token
        let share: Share
        static func < (a: Entry, b: Entry) -> Bool { (a.rank, a.token) < (b.rank, b.token) }
        static func == (a: Entry, b: Entry) -> Bool { (a.rank, a.token) == (b.rank, b.token) }
    }

    fileprivate struct Line {
        var entries = Heap<Entry>()
        var deficit = 0
    }

    fileprivate struct Class {
        var lines: [String?: Line] = [:]
        /// Whose turn it is, and who comes next.
        var ring: Deque<String?> = []
    }

    /// Tokens that a tenant of weight 1 gets with each turn; and the most that a job counts for.
    fileprivate static let quantum = 1000
    fileprivate static let dearest = 20 * quantum

    private var classes: [Int: Class] = [:]
    private let weights: [String: Int]

    /// - Parameter weights: of tenants; 1 where there is none.
    init(weights: [String: Int] = [:]) { self.weights = weights }

    mutating func insert(_ entry: Entry) {
        let (priority, tenant) = (entry.rank.priority, entry.share.tenant)
        if classes[priority] == nil { classes[priority] = Class() }
        if classes[priority]?.lines[tenant] == nil {
            classes[priority]?.lines[tenant] = Line()
            classes[priority]?.ring.append(tenant)
        }
        classes[priority]?.lines[tenant]?.entries.insert(entry)
    }

    /// One that was taken, and does not go after all: nor does it count.
    mutating func putBack(_ entry: Entry) {
        insert(entry)
        classes[entry.rank.priority]?.lines[entry.share.tenant]?.deficit += min(Self.dearest, entry.share.cost)
    }

    /// Takes the one that goes next.
    ///
    /// - Parameter isWaiting: others are dropped.
    mutating func popNext(where isWaiting: (Token) -> Bool) -> Entry? {
        while let priority = classes.keys.max() {
            if let entry = classes[priority]?.pop(weights, isWaiting) { return entry }
            classes[priority] = nil
        }
        return nil
    }

    mutating func removeAll() { classes = [:] }
}

extension FairQueue.Class {
    fileprivate mutating func pop(_ weights: [String: Int], _ isWaiting: (UInt64) -> Bool) -> FairQueue.Entry? {
        while let tenant = ring.first {
            while let head = lines[tenant]?.entries.min, !isWaiting(head.token) { lines[tenant]?.entries.removeMin() }
            guard let head = lines[tenant]?.entries.min, let deficit = lines[tenant]?.deficit else {
                // Who has nothing to send saves nothing up.
                lines[tenant] = nil
                ring.removeFirst()
                continue
            }
            let cost = ring.count == 1 ? 0 : max(1, min(FairQueue.dearest, head.share.cost))
            if deficit >= cost {
                lines[tenant]?.deficit = ring.count == 1 ? 0 : deficit - cost
                return lines[tenant]?.entries.popMin()
            }
            lines[tenant]?.deficit += FairQueue.quantum * max(1, tenant.flatMap { weights[$0] } ?? 1)
            ring.append(ring.removeFirst())
        }
        return nil
    }
}
