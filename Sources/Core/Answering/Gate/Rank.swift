/// Which job goes first: the higher priority, then the earlier deadline, then the earlier arrival.
package struct Rank: Comparable, Sendable {
    /// 0 (bulk) … 9 (a person waits).
    package let priority: Int
    /// Milliseconds since 1970; `Int64.max` without one.
    package let deadline: Int64
    /// Order of arrival in this worker.
    package let arrival: UInt64

    package init(priority: Int, deadline: Int64, arrival: UInt64) {
        self.priority = priority
        self.deadline = deadline
        self.arrival = arrival
    }

    /// `a < b` when `a` goes first.
    package static func < (a: Rank, b: Rank) -> Bool {
        (-a.priority, a.deadline, a.arrival) < (-b.priority, b.deadline, b.arrival)
    }

    /// A person waits: it is not to wait for the work of others.
    var isUrgent: Bool { priority >= 8 }
}
