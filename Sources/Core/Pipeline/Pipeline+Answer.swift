import Answering
import ChatJobs

/// What came of a wait for a place among the model's calls.
enum ModelEntry {
    case granted
    /// The model is away, or the job was revoked: nobody is to wait.
    case away
    case abandoned
}

extension Pipeline {
    /// One job's way from its passages to its settlement.
    func answer(
        _ assignment: Assignment, _ passages: Result<[Source], JobFailure>, started: Duration, retrieving: Duration
    ) async {
        let id = assignment.job.id
        let generating = clock.now
        var call = ModelCall()
        let answer: Result<Answer, JobFailure>
        switch passages {
        case .success(let sources): answer = await generate(assignment, sources, &call)
        case .failure(let failure):
            // A deadline that has passed meanwhile says more than what it was spent on.
            answer = .failure(expiry(assignment.job) ?? failure)
            call.isCounted = failure.blame == .job
        }
        switch answer {
        case .success(let answer):
            await settle(
                assignment,
                outcome(of: assignment, answer, started: started, retrieving: retrieving, generating: generating))
        case .failure where isAbandoned:
            await handBack(begun: assignment, hasStreamed: call.hasStreamed)
        case .failure where isRevoked(id):
            // In a task of its own: this one has been cancelled.
            start {
                await $0.fail(assignment, .revoked, started: started)
                $0.landed(id)
            }
            return
        case .failure(let failure):
            if let postponement = retry(assignment, failure, call) {
                await postpone(assignment, postponement, because: failure)
                return landed(id, .postponed(postponement.delay))
            }
            await fail(assignment, failure, started: started) { reply in
                reply.timings.retrieve = retrieving.milliseconds
                reply.timings.generate = (self.clock.now - generating).milliseconds
            }
        }
        landed(id)
    }

    @inline(never)
    private func outcome(
        of assignment: Assignment, _ answer: Answer, started: Duration, retrieving: Duration, generating: Duration
    ) -> Outcome {
        var reply = Reply(id: assignment.job.id.text, answer)
        metrics.promptTokens.increment(by: answer.usage.promptTokens)
        metrics.completionTokens.increment(by: answer.usage.completionTokens)
        finish(&reply, assignment, started: started)
        reply.timings.retrieve = retrieving.milliseconds
        reply.timings.generate = (clock.now - generating).milliseconds
        return Outcome(reply, id: assignment.job.id)
    }

    /// What became of one call of the model.
    struct ModelCall {
        /// Subscribers have seen of it.
        var hasStreamed = false
        /// It counts as an attempt.
        var isCounted = true
    }

    /// When the job is tried again; nil when it has failed for good, or has no time left.
    private func retry(_ assignment: Assignment, _ failure: JobFailure, _ call: ModelCall) -> Postponement? {
        let next = configuration.retry.next(
            after: failure, attempt: assignment.attempt, deferrals: assignment.incoming.envelope.deferrals,
            isCounted: call.isCounted || call.hasStreamed, random: clock.random())
        guard let next else { return nil }
        if let deadline = assignment.job.deadline, deadline.since(clock.wall) <= next.delay { return nil }
        return next
    }

    private func generate(
        _ assignment: Assignment, _ sources: [Source], _ call: inout ModelCall
    ) async -> Result<Answer, JobFailure> {
        let entry = if let entry = enterAtOnce(assignment) { entry } else { await waitForModel(assignment) }
        if let failure = failure(of: entry, &call) { return .failure(failure) }
        defer { leaveModel() }
        if isRevoked(assignment.job.id) { return .failure(.revoked) }
        if let failure = expiry(assignment.job) { return .failure(failure) }
        let started = clock.now
        metrics.modelCalls.increment()
        defer { metrics.generation.recordNanoseconds((clock.now - started).nanoseconds) }
        let limit = configuration.modelTimeout
        let left = assignment.job.deadline?.since(clock.wall) ?? limit
        let wasTrusted = isTrusted(.model)
        do throws(JobFailure) {
            let answer = try await model.answer(
                assignment.job, passages: sources, timeout: min(left, limit),
                onDelta: deltaHandler(assignment))
            if assignment.job.stream { call.hasStreamed = await endChunks(assignment) }
            worked(.model)
            scheduler.answered(after: clock.now - started)
            return .success(answer)
        } catch {
            if assignment.job.stream { call.hasStreamed = await endChunks(assignment) }
            // The deadline was nearer than the model's own limit.
            if left < limit, error.code == .modelTimeout, let expired = expiry(assignment.job) {
                return .failure(expired)
            }
            if !Task.isCancelled { judge(error, wasTrusted, &call) }
            return .failure(error)
        }
    }

    @inline(never)
    private func failure(of entry: ModelEntry, _ call: inout ModelCall) -> JobFailure? {
        switch entry {
        case .granted: return nil
        case .away:
            call.isCounted = false
            let reason = health.away[.model] ?? "the model is away"
            return JobFailure(.modelUnavailable, reason, retryAfter: .seconds(1), blame: .absence)
        case .abandoned: return JobFailure(.internal, "the worker is shutting down")
        }
    }

    /// What a failed call says of the model's service, and whether it counts against the job.
    @inline(never)
    private func judge(_ failure: JobFailure, _ wasTrusted: Bool, _ call: inout ModelCall) {
        switch failure.code {
        case .rateLimited:
            call.isCounted = false
            slowDown(failure)
        case .modelRejected: worked(.model)
        case .modelTimeout: failed(.model, failure.message, isOutage: false)
        case .modelUnavailable:
            failed(.model, failure.message, isOutage: failure.blame != .job)
            if failure.blame != .job { call.isCounted = wasTrusted && isTrusted(.model) }
        default: break
        }
    }

    // MARK: - In front of the model

    /// Nil when there is no place among the model's calls.
    private func enterAtOnce(_ assignment: Assignment) -> ModelEntry? {
        if let refusal = refusal(assignment) { return refusal }
        guard scheduler.startAtOnce(now: clock.now) else { return nil }
        metrics.modelRunning.record(scheduler.running)
        return .granted
    }

    /// Waits for a place among the model's calls.
    private func waitForModel(_ assignment: Assignment) async -> ModelEntry {
        let token = assignment.arrival
        return await withCheckedContinuation { continuation in
            // Decided anew inside the continuation: the way here may be long, and no place may be given to a waiter that
            // is not registered yet.
            if let refusal = refusal(assignment) {
                continuation.resume(returning: refusal)
            } else if scheduler.start(assignment.rank, token: token, now: clock.now) {
                continuation.resume(returning: .granted)
            } else {
                modelWaiters[token] = continuation
            }
            // Here, not after the wait: the queue is seen while there is one.
            wakeModelWaiters()
        }
    }

    /// Why the job is not even to wait for a place.
    private func refusal(_ assignment: Assignment) -> ModelEntry? {
        if isAbandoned { return .abandoned }
        return isOpen(.model) || isRevoked(assignment.job.id) ? .away : nil
    }

    /// Nobody waits for the model any more.
    func withdrawModelWaiters(_ entry: ModelEntry) {
        for token in scheduler.withdrawAll() { modelWaiters.removeValue(forKey: token)?.resume(returning: entry) }
    }

    func withdrawModelWaiter(_ token: UInt64) {
        guard let waiter = modelWaiters.removeValue(forKey: token) else { return }
        scheduler.withdraw(token)
        waiter.resume(returning: .away)
    }

    /// Lets as many waiters go on as there is room for, unless the model is to be left alone.
    func wakeModelWaiters() {
        guard !isOpen(.model) else { return }
        while let next = scheduler.next(now: clock.now) {
            modelWaiters.removeValue(forKey: next)?.resume(returning: .granted)
        }
        if let hold = scheduler.hold(now: clock.now), !isModelHeld {
            isModelHeld = true
            start {
                await $0.clock.sleep(for: hold)
                $0.isModelHeld = false
                if !Task.isCancelled { $0.wakeModelWaiters() }
            }
        }
        metrics.modelRunning.record(scheduler.running)
        metrics.modelQueued.record(scheduler.queued)
    }

    private func leaveModel() {
        scheduler.finish()
        wakeModelWaiters()
    }
}

extension Reply {
    fileprivate init(id: String, _ answer: Answer) {
        self.init(id: id, status: .succeeded)
        self.answer = answer.text
        model = answer.model
        usage = answer.usage
        sources = answer.sources
    }
}
