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

    // What is still to do, in this order.
    private var store: JobID?
    private var publish: String?
    private var deadLetter: JobFailure?
    private var release: JobID?
    private var postpone: Postponement?
    private var isAcknowledged = false

    /// The job has ended, with a reply.
    ///
    /// - Parameters:
    ///   - id: nil when the message had no readable id: there is no key to store its reply under.
    ///   - stored: the reply comes from the store, nothing needs to be kept again.
    ///   - deadLetter: why the message ends in the dead-letter queue, if it does.
    init(id: JobID?, replyTo: String?, stored: Bool, deadLetter: JobFailure?) {
        store = stored ? nil : id
        publish = replyTo
        self.deadLetter = deadLetter
    }

    /// The job comes back later.
    ///
    /// - Parameter claimed: the id, when this worker has the claim on it. It is given up first: once the message is in
    ///   the delay queues another worker may get it.
    init(postponed: Postponement, claimed: JobID?) {
        release = claimed
        postpone = postponed
    }

    /// The step to perform now; nil when the delivery is settled.
    var next: Step? {
        if let store { return .store(store) }
        if let publish { return .publish(to: publish) }
        if let deadLetter { return .deadLetter(deadLetter) }
        if let release { return .release(release, keepingStarts: nil) }
        if let postpone { return .postpone(postpone) }
        return isAcknowledged ? nil : .acknowledge
    }

    /// The current step has been done and confirmed.
    mutating func completed() {
        if store != nil {
            store = nil
        } else if publish != nil {
            publish = nil
        } else if deadLetter != nil {
            deadLetter = nil
        } else if release != nil {
            release = nil
        } else if postpone != nil {
            postpone = nil
        } else {
            precondition(!isAcknowledged, "a settled delivery has no step to complete")
            isAcknowledged = true
        }
    }
}
