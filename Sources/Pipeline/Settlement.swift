import ChatJobs

/// What may happen next to one delivery: an outcome that is made safe, step by step, and only then the acknowledgement.
/// It knows no sockets; the pipeline performs what it asks for and reports what came of it.
struct Settlement {
    enum Step: Equatable {
        /// Keep the reply under the job's id.
        case store(JobID)
        /// Publish the reply and wait for the broker's confirm.
        case publish(to: String)
        /// Publish the message to the dead-letter queue and wait for the confirm.
        case deadLetter(JobFailure)
        /// Give up the claim on the job.
        case release(JobID, keepingStarts: Int?)
        /// Publish the message to the delay queues and wait for the confirm.
        case postpone(Postponement)
        /// The outcome is safe: the job may leave the queue.
        case acknowledge
    }

    private var steps: [Step]
    private var done = 0

    /// The job has ended, with a reply.
    ///
    /// - Parameters:
    ///   - id: nil when the message had no readable id: there is no key to store its reply under.
    ///   - stored: the reply comes from the store, nothing needs to be kept again.
    ///   - deadLetter: why the message ends in the dead-letter queue, if it does.
    init(id: JobID?, replyTo: String?, stored: Bool, deadLetter: JobFailure?) {
        steps = []
        if let id, !stored { steps.append(.store(id)) }
        if let replyTo { steps.append(.publish(to: replyTo)) }
        if let deadLetter { steps.append(.deadLetter(deadLetter)) }
        steps.append(.acknowledge)
    }

    /// The job comes back later.
    ///
    /// - Parameter claimed: the id, when this worker has the claim on it. It is given up first: once the message is in
    ///   the delay queues another worker may get it.
    init(postponed: Postponement, claimed: JobID?) {
        steps = []
        if let claimed { steps.append(.release(claimed, keepingStarts: nil)) }
        steps += [.postpone(postponed), .acknowledge]
    }

    /// The step to perform now; nil when the delivery is settled.
    var next: Step? { done < steps.count ? steps[done] : nil }

    /// The current step has been done and confirmed.
    mutating func completed() {
        precondition(done < steps.count, "a settled delivery has no step to complete")
        done += 1
    }
}
