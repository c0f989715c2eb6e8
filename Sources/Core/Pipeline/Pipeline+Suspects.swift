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
    /// Claims that are being asked for or given back: until that is through nobody's turn comes.
    var unsettled = 0
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

    /// Has the job answered when nothing else is in work here; until then no further window is begun, and its claim is
    /// given back: who waits is not in work, and must not be counted out with the one that is.
    func workAlone(_ assignment: Assignment, _ started: Duration) {
        suspects.waiting.append(Suspects.Suspect(assignment: assignment, started: started))
        suspects.unsettled += 1
        start {
            await $0.giveBack(assignment.job.id, assignment.starts)
            $0.settledClaims()
        }
    }

    /// Gives back a claim that no work was begun under. Not while a delivery of the id is in work here that has it.
    func giveBack(_ id: JobID, _ starts: Int) async {
        guard flights[id] == nil || suspects.waiting.contains(where: { $0.assignment.job.id == id }) else { return }
        _ = await insist { () throws(Outage) in try await self.results.release(id, keepingStarts: starts - 1) }
    }

    /// Claims that were asked for have been placed or given back.
    func settledClaims() {
        suspects.unsettled -= 1
        nextSuspect()
    }

    /// Begins with the next suspect when its turn has come.
    ///
    /// - Parameter id: the job that has just landed.
    func nextSuspect(after id: JobID? = nil) {
        if let id, suspects.alone == id { suspects.alone = nil }
        guard suspects.alone == nil else { return }
        guard let suspect = suspects.waiting.first else { return endSuspicion() }
        // Only the suspects themselves are left.
        guard suspects.unsettled == 0, flights.count == suspects.waiting.count else { return }
        suspects.waiting.removeFirst()
        suspects.alone = suspect.assignment.job.id
        start { await $0.takeTurn(suspect) }
    }

    private func takeTurn(_ suspect: Suspects.Suspect) async {
        let id = suspect.assignment.job.id
        var standing: Standing?
        let isAsked = await insist { () throws(Outage) in
            standing = try await self.results.begin([id], anew: true).first
        }
        guard isAsked else {
            await handBack(begun: suspect.assignment)
            return landed(id)
        }
        guard case .claimed(let starts, let losses, _)? = standing else {
            if standing == .elsewhere {
                metrics.elsewhere.increment()
                await postpone(suspect.assignment, Self.waitForOther)
                return landed(id, .postponed(Self.waitForOther))
            }
            landed(id)
            return await work([suspect.assignment], started: suspect.started)
        }
        logger.warning(
            "a job whose workers died is worked on alone", metadata: ["id": "\(id.text)", "losses": "\(losses)"])
        await answer([suspect.assignment.claimed(starts: starts, losses: losses)], started: suspect.started)
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
