import Answering
import ChatJobs

/// What is settled before any work: what was answered before, revoked, expired, in work elsewhere, or not yet due.
extension Pipeline {
    /// How long a delivery waits in the broker whose job another worker is answering.
    static let waitForOther = Duration.seconds(1)

    /// Asks where each job stands, but for those that are in work here: they join.
    ///
    /// A claim is asked for only while no job of that id is in work here, so that it is held, and given up, by that job
    /// alone.
    /// - Returns: nil when nobody is left, or the pipeline was abandoned; the deliveries are then handed back. Otherwise
    ///   the caller places them, then calls ``settledClaims()``.
    func begin(
        _ assignments: [Assignment], _ started: Duration, _ anew: Bool
    ) async -> ([Assignment], [Standing])? {
        var asking = assignments
        while true {
            await untilNobodyIsAlone()
            asking.removeAll { join($0, started) }
            guard !asking.isEmpty else { return nil }
            suspects.unsettled += 1
            do throws(Outage) {
                let standings = try await standings(of: asking, anew)
                if !isSomebodyAlone { return (asking, standings) }
                // Whoever has to wait asks again: what was true before may not be after. Its claim is given back first:
                // it is not in work, and must not be counted when the one that is takes the worker down.
                for (assignment, standing) in zip(asking, standings) {
                    if case .claimed(let starts, _, _) = standing { await giveBack(assignment.job.id, starts) }
                }
                settledClaims()
            } catch {
                settledClaims()
                guard !Task.isCancelled else {
                    // Redis may have granted what it could not say.
                    for assignment in asking { await handBack(begun: assignment.claimed(starts: 1, losses: 0)) }
                    return nil
                }
                await waitOut(error)
            }
        }
    }

    /// Claims are for what is paid for: an answer made here, of nothing but the question and an index on disk, may as well
    /// be made twice. Claimed all the same is what was delivered before, since it may be what its worker died of, and what
    /// streams, since its attempts are counted.
    private func standings(of asking: [Assignment], _ anew: Bool) async throws(Outage) -> [Standing] {
        let ids = asking.map(\.job.id)
        let isFree = isLocal && !anew && !asking.contains { $0.incoming.redelivered || $0.job.stream }
        return isFree ? try await results.look(ids) : try await results.begin(ids, anew: anew)
    }

    /// Has the delivery wait for the one of its id that is in work here, if there is one.
    private func join(_ assignment: Assignment, _ started: Duration) -> Bool {
        guard flights[assignment.job.id] != nil else { return false }
        start { await $0.follow(assignment, started: started) }
        return true
    }

    /// Settles the job when its standing says how, else puts it on its way.
    /// - Returns: the assignment, when it is to be answered with its window.
    func place(_ assignment: Assignment, _ standing: Standing, _ started: Duration) -> Assignment? {
        switch standing {
        case .stored(let stored):
            guard let reply = replay(stored, for: assignment) else {
                // By itself: what is known of the others of its window must not grow old meanwhile.
                start { await $0.work([assignment], started: started, anew: true) }
                return nil
            }
            metrics.replayed.increment()
            // The worker that stored a failure may have died before the dead letter: it is written again.
            let failure =
                reply.status == .failed
                ? reply.error.flatMap { error in
                    ErrorCode(rawValue: error.code).map { JobFailure($0, error.message) }
                } : nil
            let outcome = Outcome(reply, id: assignment.job.id, stored: stored, deadLetter: failure)
            start { await $0.settle(assignment, outcome) }
        case .revoked:
            start { await $0.fail(assignment, .revoked, started: started) }
        case .elsewhere:
            metrics.elsewhere.increment()
            start { await $0.postpone(assignment, Self.waitForOther) }
        case .free: return place(assignment, started)
        case .claimed(let starts, let losses, _):
            return place(assignment.claimed(starts: starts, losses: losses), started)
        }
        return nil
    }

    private func place(_ assignment: Assignment, _ started: Duration) -> Assignment? {
        if join(assignment, started) { return nil }
        flights[assignment.job.id] = Flight(arrival: assignment.arrival)
        if let failure = expiry(assignment.job) ?? loss(assignment) {
            start {
                await $0.fail(assignment, failure, started: started) { reply in
                    // The start that found the losses was no attempt.
                    if failure.code == .workerLost { reply.attempts -= 1 }
                }
                $0.landed(assignment.job.id)
            }
        } else if isSuspect(assignment) {
            workAlone(assignment, started)
        } else {
            return assignment
        }
        return nil
    }

    /// The stored reply, when it is this job's: a message that was no job left one under an id that it only named. A
    /// requeued job that failed starts afresh.
    private func replay(_ stored: [UInt8], for assignment: Assignment) -> Reply? {
        guard let reply = try? Reply(decoding: stored) else { return nil }
        switch reply.status {
        case .succeeded, .expired, .revoked: return reply
        case .failed:
            guard assignment.incoming.envelope.requeues == 0,
                let code = reply.error.flatMap({ ErrorCode(rawValue: $0.code) })
            else { return nil }
            switch code {
            case .invalidJob, .unsupportedMediaType, .tooLarge: return nil
            default: return reply
            }
        }
    }

    func expiry(_ job: Job) -> JobFailure? {
        guard let deadline = job.deadline, deadline <= clock.wall else { return nil }
        return JobFailure(.expired, "the deadline \(deadline.rfc3339) has passed")
    }

    /// How long the job has to wait for its `not_before`; nil when it is due. A deadline before that ends the wait.
    func untilDue(_ job: Job) -> Duration? {
        guard let notBefore = job.notBefore else { return nil }
        let due = min(notBefore, job.deadline ?? notBefore)
        let wall = clock.wall
        return due > wall ? due.since(wall) : nil
    }

    /// Waits for the delivery of the same id that is being worked on, then does as it did, or looks for its result.
    private func follow(_ assignment: Assignment, started: Duration) async {
        let landing = await withCheckedContinuation { continuation in
            if flights[assignment.job.id] == nil {
                continuation.resume(returning: Flight.Landing.settled)
            } else {
                flights[assignment.job.id]?.join(
                    Flight.Follower(epoch: assignment.incoming.receipt.epoch, landing: continuation))
            }
        }
        if Task.isCancelled { return await handBack(assignment.incoming) }
        switch landing {
        case .settled: await work([assignment], started: started)
        case .postponed(let delay): await postpone(assignment, delay + Self.waitForOther)
        case .void: departed(assignment.incoming)
        }
    }

    /// The job is not worked on here any more.
    func landed(_ id: JobID, _ landing: Flight.Landing = .settled) {
        guard let flight = flights.removeValue(forKey: id) else { return }
        if !revoked.isEmpty { revoked.remove(id) }
        for follower in flight.followers { follower.landing.resume(returning: landing) }
        nextSuspect(after: id)
    }
}

extension JobFailure {
    static let revoked = JobFailure(.revoked, "the job was revoked before it was answered")
}
