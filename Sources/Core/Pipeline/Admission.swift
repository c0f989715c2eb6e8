import Answering
import ChatJobs

/// What is to be done with a job, given what is known of it. The rules of what is decided before any work.
enum Admission {
    /// It was answered before: its stored reply is published again.
    case replay(FinalReply)
    /// What is stored for it is no reply of ours: it is dropped, then asked for again.
    case dropStored([UInt8])
    /// A failure is stored that does not hold for it: asked for again, failures not counting.
    case askAgain
    /// Its id belongs to another job.
    case conflict
    /// It ends without work.
    case end(JobFailure)
    /// Another worker answers it: it waits in the broker.
    case wait
    /// It is to be worked on, or follows whoever does.
    case work(JobDelivery)

    init(_ delivery: JobDelivery, _ state: ClaimState) {
        switch state {
        case .stored(let stored): self = Self.stored(stored, delivery)
        case .revoked: self = .end(.revoked)
        case .elsewhere: self = .wait
        case .conflict: self = .conflict
        case .free: self = .work(delivery)
        case .claimed(let starts, let losses, let mustBeAlone):
            self = .work(delivery.claimed(starts: starts, losses: losses, mustBeAlone: mustBeAlone))
        }
    }

    private static func stored(_ stored: [UInt8], _ delivery: JobDelivery) -> Admission {
        guard let reply = try? Reply(decoding: stored) else { return .dropStored(stored) }
        return holds(reply, for: delivery) ? .replay(.stored(reply, stored, for: delivery)) : .askAgain
    }

    /// A message that was no job left a failure under an id that it only named. A requeued job that failed starts afresh,
    /// unless it only comes again for its reply.
    private static func holds(_ reply: Reply, for delivery: JobDelivery) -> Bool {
        switch reply.status {
        case .succeeded, .expired, .revoked: return true
        case .failed:
            let envelope = delivery.incoming.envelope
            guard envelope.requeues == 0 || envelope.refusals > 0,
                let code = reply.error.flatMap({ ErrorCode(rawValue: $0.code) })
            else { return false }
            switch code {
            case .invalidJob, .idConflict, .unsupportedMediaType, .tooLarge: return false
            default: return true
            }
        }
    }

    /// What ends a job that is to be worked on before work begins.
    ///
    /// - Parameter maxDeliveries: `retry.max_deliveries`.
    static func obstacle(_ delivery: JobDelivery, wall: Timestamp, maxDeliveries: Int) -> JobFailure? {
        if delivery.isExpired(at: wall) { return .expired(delivery.job) }
        guard delivery.losses >= maxDeliveries else { return nil }
        return JobFailure(.workerLost, "\(delivery.losses) workers died while they worked on this job")
    }

    /// One more worker that dies of it ends it: it is tried apart from others.
    static func isSuspect(_ delivery: JobDelivery, maxDeliveries: Int) -> Bool {
        delivery.losses >= lossesOfSuspects(maxDeliveries)
    }

    static func lossesOfSuspects(_ maxDeliveries: Int) -> Int { max(1, maxDeliveries - 1) }

    /// How long the job has to wait for its `not_before`; nil when it is due. A deadline before that ends the wait.
    static func untilDue(_ job: Job, wall: Timestamp) -> Duration? {
        guard let notBefore = job.notBefore else { return nil }
        let due = min(notBefore, job.deadline ?? notBefore)
        return due > wall ? due.since(wall) : nil
    }
}
