import ChatJobs

/// A decoded job with its delivery, on its way through the stages. A class for the same reason as ``Incoming``.
final class Assignment: Sendable {
    let incoming: Incoming
    let job: Job
    /// Order of arrival in this worker.
    let arrival: UInt64

    init(incoming: Incoming, job: Job, arrival: UInt64) {
        self.incoming = incoming
        self.job = job
        self.arrival = arrival
    }

    /// The attempt being made, from 1.
    var attempt: Int { incoming.envelope.earlierAttempts + 1 }
    var rank: Rank {
        Rank(
            priority: incoming.envelope.effectivePriority, deadline: job.deadline?.milliseconds ?? .max,
            arrival: arrival)
    }
}

/// Which job goes first: the higher priority, then the earlier deadline, then the earlier arrival.
struct Rank: Comparable, Sendable {
    let priority: Int
    let deadline: Int64
    let arrival: UInt64

    /// `a < b` when `a` goes first.
    static func < (a: Rank, b: Rank) -> Bool {
        (-a.priority, a.deadline, a.arrival) < (-b.priority, b.deadline, b.arrival)
    }
}
