import Answering
import ChatJobs

/// What becomes of a job when its answer, or its failure, is there: it is settled, tried again later, or handed back.
struct Concluder: Sendable {
    let settler: Settler
    let retry: RetryPolicy
    let health: HealthMonitor
    let clock: any PipelineClock
    let claimCheck: ClaimCheck
    /// `results.ttl`: how long a failure is kept under its id, for messages.
    let resultLife: Duration

    /// What has become of it.
    enum Conclusion {
        /// Its outcome is safe, or it was handed back.
        case over(settled: Bool)
        /// It comes back after so long.
        case postponed(Duration)
        /// It is to be tried again, but the broker has taken the delivery back.
        case void(Postponement, JobFailure?)
    }

    /// - Parameter isAbandoned: the worker is leaving.
    func conclude(
        _ delivery: JobDelivery, _ outcome: AnswerOutcome, hasStreamed: Bool, isAbandoned: Bool
    ) async -> Conclusion {
        switch outcome.result {
        case .answered(let answer, let reuse):
            let reference = await claimCheck.reference(to: answer.text)
            return await settle(
                delivery,
                .answer(answer, reuse, at: reference, to: delivery, outcome, now: clock.now, wall: clock.wall))
        case .failed where isAbandoned, .later where isAbandoned, .ended(.abandoned):
            await settler.giveUp(delivery, countingAttempt: hasStreamed)
            await settler.handBack(delivery.incoming)
            return .over(settled: false)
        case .ended(.revoked): return await fail(delivery, .revoked, outcome)
        case .ended(.expired): return await fail(delivery, .expired(delivery.job), outcome)
        case .failed(let failure):
            let postponement: Postponement
            switch nextTry(of: delivery, failure, outcome.route.agent, hasStreamed) {
            case .later(let next): postponement = next
            case .tooLate: return await fail(delivery, failure, outcome)
            case .never:
                return await settle(
                    delivery,
                    .failure(
                        failure, of: delivery, outcome, now: clock.now,
                        last: failure.isRetryable ? LastWord(kept: resultLife) : nil))
            }
            return await putOff(delivery, postponement, because: failure)
        case .later(let delay):
            // At its deadline it is here, to end.
            let left = delivery.job.deadline?.since(clock.wall) ?? delay
            return await putOff(
                delivery, Postponement(unchanged: delivery.incoming.envelope, delay: max(.zero, min(delay, left))),
                because: nil)
        }
    }

    private func putOff(
        _ delivery: JobDelivery, _ postponement: Postponement, because failure: JobFailure?
    ) async -> Conclusion {
        if await settler.intake.isVoid(delivery.incoming.receipt) { return .void(postponement, failure) }
        let isDone = await settler.postpone(delivery, postponement, because: failure, releasing: delivery.isClaimed)
        return isDone ? .postponed(postponement.delay) : .over(settled: false)
    }

    private enum NextTry {
        case later(Postponement)
        /// Its deadline is nearer.
        case tooLate
        /// It has failed for good.
        case never
    }

    private func nextTry(
        of delivery: JobDelivery, _ failure: JobFailure, _ agent: Agent, _ hasStreamed: Bool
    ) -> NextTry {
        let needed = failure.code == .retrievalFailed ? agent.passageServices : [agent.service]
        let failed = RetryPolicy.Failure(
            failure: failure, attempt: delivery.attempt, deferrals: delivery.incoming.envelope.deferrals,
            outages: delivery.incoming.envelope.outages, hasStreamed: hasStreamed,
            isServiceDown: needed.contains(where: health.isDown))
        guard let next = retry.next(after: failed, random: clock.random()) else { return .never }
        if let deadline = delivery.job.deadline, deadline.since(clock.wall) <= next.delay { return .tooLate }
        return .later(next)
    }

    func fail(_ delivery: JobDelivery, _ failure: JobFailure, _ outcome: AnswerOutcome? = nil) async -> Conclusion {
        await settle(delivery, .failure(failure, of: delivery, outcome, now: clock.now))
    }

    func settle(_ delivery: JobDelivery, _ reply: FinalReply) async -> Conclusion {
        // Whoever gets a delivery that the broker took back finds the failure stored, and writes its dead letter.
        let isVoid = reply.deadLetter == nil ? false : await settler.intake.isVoid(delivery.incoming.receipt)
        return await settler.settle(delivery.incoming, reply, isVoid: isVoid)
    }

    /// A message that is no job: answered when it says where, dead-lettered with the reason.
    func refuse(_ incoming: Incoming, _ refusal: JobDecoder.Refusal) async -> Conclusion {
        let reply = FinalReply.refusal(refusal, of: incoming)
        settler.logger.info(
            "refused a message",
            metadata: [
                "id": "\(reply.replyID ?? "none")", "code": "\(refusal.failure.code.rawValue)",
                "reason": "\(refusal.failure.message)",
            ])
        return await settler.settle(incoming, reply)
    }

    /// Puts a delivery aside that no attempt has been made for.
    func putAside(_ delivery: JobDelivery, _ delay: Duration) async {
        let postponement = Postponement(unchanged: delivery.incoming.envelope, delay: delay)
        _ = await settler.postpone(delivery, postponement, because: nil, releasing: false)
    }

    /// Puts a message aside whose body, which it names, cannot be had at the moment. No attempt is made for it.
    ///
    /// - Returns: false when it was handed back.
    func putAside(_ incoming: Incoming, id: JobID, because reason: String) async -> Bool {
        var postponement = Postponement(unchanged: incoming.envelope, delay: .zero)
        let longest = Duration.seconds(min(30, 1 << min(5, postponement.outages)))
        postponement.delay = longest * (0.5 + clock.random() / 2)
        postponement.outages += 1
        let delivery = JobDelivery(
            incoming: incoming, job: Job(id: id, query: ""), arrival: 0, begun: incoming.arrived)
        return await settler.postpone(
            delivery, postponement, because: JobFailure(.retrievalFailed, reason, blame: .absence), releasing: false)
    }

    /// Gives up a delivery whose worker leaves.
    ///
    /// - Parameter givingUpClaim: no other delivery of the id is in work here.
    func handBack(_ delivery: JobDelivery, givingUpClaim: Bool) async {
        if givingUpClaim { await settler.giveUp(delivery, countingAttempt: false) }
        await settler.handBack(delivery.incoming)
    }
}
