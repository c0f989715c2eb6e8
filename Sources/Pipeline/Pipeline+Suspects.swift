import ChatJobs

/// Jobs that have been in work when workers died, and may have killed them.
struct Suspects {
    struct Suspect {
        let assignment: Assignment
        let started: Duration
    }

    var waiting: [Suspect] = []
    /// The one that is being worked on, with nothing else.
    var alone: JobID?
    var waiters: [CheckedContinuation<Void, Never>] = []
}

extension Pipeline {
    /// A job's last chance before it is given up as `worker_lost` is taken alone, so that those who happen to be in work
    /// beside the one that kills are never counted out with it.
    func isSuspect(_ assignment: Assignment) -> Bool {
        assignment.losses >= max(1, configuration.retry.maxDeliveries - 1)
    }

    /// Why a job that too many workers died of is given up.
    func loss(_ assignment: Assignment) -> JobFailure? {
        guard assignment.losses >= configuration.retry.maxDeliveries else { return nil }
        metrics.workerLost.increment()
        return JobFailure(.workerLost, "\(assignment.losses) workers died while they worked on this job")
    }

    /// Has the job answered when nothing else is in work here; until then no further window is begun.
    func workAlone(_ assignment: Assignment, _ started: Duration) {
        logger.warning(
            "a job whose workers died is worked on alone",
            metadata: ["id": "\(assignment.job.id.text)", "losses": "\(assignment.losses)"])
        suspects.waiting.append(Suspects.Suspect(assignment: assignment, started: started))
    }

    /// Begins with the next suspect when its turn has come.
    ///
    /// - Parameter id: the job that has just landed.
    func nextSuspect(after id: JobID? = nil) {
        if let id, suspects.alone == id { suspects.alone = nil }
        guard suspects.alone == nil else { return }
        guard let suspect = suspects.waiting.first else { return endSuspicion() }
        // Only the suspects themselves are left.
        guard flights.count == suspects.waiting.count else { return }
        suspects.waiting.removeFirst()
        suspects.alone = suspect.assignment.job.id
        start { await $0.answer([suspect.assignment], started: suspect.started) }
    }

    /// Returns when no suspect waits for its turn or has it.
    func untilNobodyIsAlone() async {
        while isSomebodyAlone {
            await withCheckedContinuation { continuation in
                if isSomebodyAlone { suspects.waiters.append(continuation) } else { continuation.resume() }
            }
        }
    }

    var isSomebodyAlone: Bool { !isAbandoned && (suspects.alone != nil || !suspects.waiting.isEmpty) }

    /// The worker is leaving: nobody's turn comes any more.
    func abandonSuspects() {
        let waiting = suspects.waiting
        suspects.waiting = []
        for suspect in waiting {
            start {
                await $0.handBack(begun: suspect.assignment)
                $0.landed(suspect.assignment.job.id)
            }
        }
        endSuspicion()
    }

    private func endSuspicion() {
        let waiters = suspects.waiters
        suspects.waiters = []
        for waiter in waiters { waiter.resume() }
    }
}
