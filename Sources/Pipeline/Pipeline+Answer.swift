import ChatJobs

extension Pipeline {
    /// One job's way from its passages to its settlement.
    func answer(
        _ assignment: Assignment, _ passages: Result<[Source], JobFailure>, started: Duration, retrieving: Duration
    ) async {
        defer { landed(assignment.job.id) }
        let generating = clock.now
        let outcome: Result<Answer, JobFailure>
        switch passages {
        case .success(let sources): outcome = await generate(assignment, sources)
        case .failure(let failure): outcome = .failure(failure)
        }
        if Task.isCancelled, case .failure = outcome { return await handBack(assignment.incoming) }
        var reply: Reply
        var failed: JobFailure?
        switch outcome {
        case .success(let answer):
            reply = Reply(id: assignment.job.id.text, status: .succeeded)
            reply.answer = answer.text
            reply.model = answer.model
            reply.usage = answer.usage
            reply.sources = answer.sources
            metrics.promptTokens.increment(by: answer.usage.promptTokens)
            metrics.completionTokens.increment(by: answer.usage.completionTokens)
        case .failure(let failure):
            reply = Reply(id: assignment.job.id.text, failure: failure)
            failed = reply.status == .failed ? failure : nil
        }
        finish(&reply, assignment, started: started)
        reply.timings.retrieve = retrieving.milliseconds
        reply.timings.generate = (clock.now - generating).milliseconds
        await settle(assignment, reply, encoded: reply.encoded(), deadLetter: failed)
    }

    private func generate(_ assignment: Assignment, _ sources: [Source]) async -> Result<Answer, JobFailure> {
        guard await enterModel(assignment) else {
            return .failure(JobFailure(.internal, "the worker is shutting down"))
        }
        defer { leaveModel() }
        if let failure = expiry(assignment.job) { return .failure(failure) }
        let started = clock.now
        metrics.modelCalls.increment()
        defer { metrics.generation.recordNanoseconds((clock.now - started).nanoseconds) }
        var timeout = configuration.modelTimeout
        var isBoundByDeadline = false
        if let deadline = assignment.job.deadline {
            let left = deadline.since(clock.wall)
            isBoundByDeadline = left < timeout
            timeout = min(timeout, left)
        }
        do throws(JobFailure) {
            let answer = try await model.answer(
                assignment.job, passages: sources, timeout: timeout, onDelta: deltaHandler(assignment))
            await endChunks(assignment)
            return .success(answer)
        } catch {
            await endChunks(assignment)
            if isBoundByDeadline, error.code == .modelTimeout, let expired = expiry(assignment.job) {
                return .failure(expired)
            }
            return .failure(error)
        }
    }

    // MARK: - In front of the model

    /// Waits for a place among the model's calls; false when the pipeline is abandoned.
    private func enterModel(_ assignment: Assignment) async -> Bool {
        let token = assignment.arrival
        // Decided inside the continuation, so that no place can be given to a waiter that is not registered yet.
        return await withCheckedContinuation { continuation in
            if scheduler.start(assignment.rank, token: token) {
                continuation.resume(returning: true)
            } else if isAbandoned {
                scheduler.withdraw(token)
                continuation.resume(returning: false)
            } else {
                modelWaiters[token] = continuation
            }
            // Here, not after the wait: the queue is seen while there is one.
            metrics.modelRunning.record(scheduler.running)
            metrics.modelQueued.record(scheduler.queued)
        }
    }

    /// The pipeline is abandoned: nobody waits for the model any more.
    func withdrawModelWaiters() {
        let waiters = modelWaiters
        modelWaiters = [:]
        for (token, waiter) in waiters.sorted(by: { $0.key < $1.key }) {
            scheduler.withdraw(token)
            waiter.resume(returning: false)
        }
    }

    private func leaveModel() {
        if let next = scheduler.finish() { modelWaiters.removeValue(forKey: next)?.resume(returning: true) }
        metrics.modelRunning.record(scheduler.running)
        metrics.modelQueued.record(scheduler.queued)
    }
}
