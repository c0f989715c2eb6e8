import ChatJobs

/// A decoded job with its delivery, on its way through the stages. A class for the same reason as ``Incoming``.
final class Assignment: Sendable {
    let incoming: Incoming
    let job: Job
    /// Order of arrival in this worker.
    let arrival: UInt64
    /// How often work on this delivery's attempt has begun, this time included: more than once after a crash.
    let starts: Int
    /// How many workers have died while they worked on it.
    let losses: Int
    /// This worker has the claim on it.
    let isClaimed: Bool

    private init(
        _ incoming: Incoming, _ job: Job, _ arrival: UInt64, starts: Int, losses: Int, isClaimed: Bool
    ) {
        self.incoming = incoming
        self.job = job
        self.arrival = arrival
        self.starts = starts
        self.losses = losses
        self.isClaimed = isClaimed
    }

    convenience init(incoming: Incoming, job: Job, arrival: UInt64) {
        self.init(incoming, job, arrival, starts: 1, losses: 0, isClaimed: false)
    }

    /// The same, with what its claim says.
    func claimed(starts: Int, losses: Int) -> Assignment {
        Assignment(incoming, job, arrival, starts: starts, losses: losses, isClaimed: true)
    }

    /// The attempt being made, from 1. One that a dead worker began counts: subscribers may have seen its chunks.
    var attempt: Int { incoming.envelope.earlierAttempts + starts }
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
