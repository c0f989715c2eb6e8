import Answering
import ChatJobs

/// A decoded job with the delivery that brought it. A class for the same reason as ``Incoming``.
final class JobDelivery: Sendable {
    let incoming: Incoming
    let job: Job
    let identity: JobIdentity
    /// Order of arrival in this worker.
    let arrival: UInt64
    /// When its window was begun.
    let begun: Duration
    /// How often work on this delivery's attempt has begun, this time included: more than once after a crash.
    let starts: Int
    /// How many workers have died while they worked on it.
    let losses: Int
    /// It was among a few suspects when the last of them died: it is tried with nothing else.
    let mustBeAlone: Bool
    /// This worker has the claim on it.
    let isClaimed: Bool

    private init(
        _ incoming: Incoming, _ job: Job, _ identity: JobIdentity, _ arrival: UInt64, _ begun: Duration, starts: Int,
        losses: Int, mustBeAlone: Bool, isClaimed: Bool
    ) {
        self.incoming = incoming
        self.job = job
        self.identity = identity
        self.arrival = arrival
        self.begun = begun
        self.starts = starts
        self.losses = losses
        self.mustBeAlone = mustBeAlone
        self.isClaimed = isClaimed
    }

    /// - Parameter key: what it is known by; its id when nil.
    convenience init(incoming: Incoming, job: Job, key: JobKey? = nil, arrival: UInt64, begun: Duration) {
        let identity = JobIdentity(key: key ?? JobKey(job.id), fingerprint: Fingerprint(of: job))
        self.init(incoming, job, identity, arrival, begun, starts: 1, losses: 0, mustBeAlone: false, isClaimed: false)
    }

    /// The same, with what its claim says.
    func claimed(starts: Int, losses: Int, mustBeAlone: Bool) -> JobDelivery {
        JobDelivery(
            incoming, job, identity, arrival, begun, starts: starts, losses: losses, mustBeAlone: mustBeAlone,
            isClaimed: true)
    }

    var key: JobKey { identity.key }

    /// The attempt being made, from 1. One that a dead worker began counts: subscribers may have seen its chunks.
    var attempt: Int { incoming.envelope.earlierAttempts + starts }

    /// Nothing has gone before: neither an attempt, nor a refusal, nor an outage, which behind a gateway may be this job's
    /// own doing.
    var isFirstTry: Bool {
        attempt == 1 && incoming.envelope.deferrals == 0 && incoming.envelope.outages == 0
    }

    var rank: Rank {
        Rank(
            priority: incoming.envelope.effectivePriority, deadline: job.deadline?.milliseconds ?? .max,
            arrival: arrival)
    }

    func isExpired(at wall: Timestamp) -> Bool { job.deadline.map { $0 <= wall } ?? false }
}

extension JobFailure {
    static let revoked = JobFailure(.revoked, "the job was revoked before it was answered")

    static func expired(_ job: Job) -> JobFailure {
        JobFailure(.expired, "the deadline\(job.deadline.map { " " + $0.rfc3339 } ?? "") has passed")
    }
}
