import ChatJobs
import ParleyPrimitives

/// Answers questions: retrieves for a window in one go, then asks the model for each by itself.
///
/// An inquiry is a task of its own from its first moment. Its deadline, its revocation or the worker's end ends it wherever
/// it is: what it waits for (its window's search, a place at the model) lets it go, and its call of the model is aborted.
package actor Answering {
    private let passageSource: (any PassageSource)?
    private let model: any AnswerModel
    private let health: HealthMonitor
    private let clock: any PipelineClock
    private let configuration: AnsweringConfiguration
    private let metrics = AnsweringMetrics()

    private nonisolated let executor: any SerialExecutor & TaskExecutor
    package nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// An inquiry on its way. Not Sendable: it belongs to the actor.
    private final class Running {
        let inquiry: Inquiry
        var search: (search: WindowSearch, place: Int)?
        var task: Task<Void, Never>?
        /// Ends it at its deadline.
        var deadline: Task<Void, Never>?
        /// Waits for the search.
        var waiter: CheckedContinuation<Void, Never>?
        /// Why it is to end now.
        var ending: AnswerOutcome.Ending?
        /// What came of it is known.
        var isConcluded = false

        init(_ inquiry: Inquiry) { self.inquiry = inquiry }
    }

    private var running: [UInt64: Running] = [:]
    private var isAbandoned = false
    private lazy var gate = ModelGate(
        ceiling: configuration.modelConcurrency, maxWait: configuration.priorityMaxWait, clock: clock,
        metrics: metrics
    ) { [unowned self] hold in self.wakeGate(after: hold) }

    /// - Parameter passageSource: nil when no vector store is configured; `retrieve: always` then fails.
    package init(
        passageSource: (any PassageSource)?, model: any AnswerModel, health: HealthMonitor, clock: any PipelineClock,
        configuration: AnsweringConfiguration, executor: any SerialExecutor & TaskExecutor
    ) {
        self.passageSource = passageSource
        self.model = model
        self.health = health
        self.clock = clock
        self.configuration = configuration
        self.executor = executor
    }

    /// Nothing that answers need is asked of a service: making one twice costs nothing.
    package nonisolated var isLocal: Bool { model.isLocal && passageSource?.isLocal ?? true }

    /// A service went down, or came back.
    package func changed(_ dependency: Dependency, _ change: HealthMonitor.Change) {
        guard dependency == .model else { return }
        switch change {
        case .down(let waitsHere): gate.close(sendingAway: !waitsHere)
        case .up(let slowly): gate.open(slowly: slowly)
        }
    }

    // MARK: - Beginning and ending

    /// Begins with the inquiries of a window. Each one's `conclude` is called once.
    package func answer(_ inquiries: [Inquiry]) {
        for inquiry in inquiries { running[inquiry.token] = Running(inquiry) }
        if passageSource != nil || configuration.retrieve == .always || inquiries.contains(where: Self.wantsAlways) {
            for search in WindowSearch.forming(inquiries, mode: configuration.retrieve) { begin(search) }
        }
        for inquiry in inquiries {
            guard let run = running[inquiry.token] else { continue }
            // Detached: the starter's task locals would be copied one by one, for nobody. The preference keeps the task on
            // the executor: a continuation resumes its task there, and without one on the global pool, whose thread then
            // only passes it on (27 µs a time instead of 1.6).
            run.task = Task.detached(executorPreference: executor) { await self.carryOut(inquiry) }
            if let deadline = inquiry.job.deadline {
                let left = deadline.since(clock.wall)
                run.deadline = Task.detached(executorPreference: executor) { await self.expire(inquiry, after: left) }
            }
            if isAbandoned { end(inquiry.token, .abandoned) }
        }
    }

    private static func wantsAlways(_ inquiry: Inquiry) -> Bool { inquiry.job.options.retrieve == .always }

    /// Ends an inquiry, wherever it is; one that is answered or unknown stays as it is.
    package func end(_ token: UInt64, _ ending: AnswerOutcome.Ending) {
        guard let run = running[token], !run.isConcluded, run.ending == nil else { return }
        run.ending = ending
        run.task?.cancel()
        run.waiter?.resume()
        run.waiter = nil
        gate.withdraw(token)
    }

    /// The worker is leaving: all end at once, and nothing that waits in their conclusions waits any more.
    package func abandon() {
        isAbandoned = true
        // In order, so that a simulated run can be replayed.
        for token in running.keys.sorted() {
            end(token, .abandoned)
            running[token]?.task?.cancel()
        }
    }

    private func expire(_ inquiry: Inquiry, after left: Duration) async {
        await clock.sleep(for: left)
        if !Task.isCancelled { end(inquiry.token, .expired) }
    }

    private func carryOut(_ inquiry: Inquiry) async {
        guard let run = running[inquiry.token] else { return }
        let outcome = await outcome(of: run)
        run.isConcluded = true
        run.deadline?.cancel()
        if run.task?.isCancelled == true, !isAbandoned {
            // Ended in the middle: this task is cancelled, and in it nothing can be waited for any more.
            run.task = Task.detached(executorPreference: executor) { await self.conclude(inquiry, outcome) }
        } else {
            await conclude(inquiry, outcome)
        }
    }

    private func conclude(_ inquiry: Inquiry, _ outcome: AnswerOutcome) async {
        await inquiry.conclude(outcome)
        running[inquiry.token] = nil
    }

    // MARK: - One inquiry's way

    private func outcome(of run: Running) async -> AnswerOutcome {
        let started = clock.now
        let passages = await passages(of: run)
        let retrieved = clock.now
        let result = await result(of: run, passages)
        return AnswerOutcome(result: result, retrieving: retrieved - started, generating: clock.now - retrieved)
    }

    private func result(of run: Running, _ passages: WindowSearch.Passages) async -> AnswerOutcome.Result {
        if let ending = ending(of: run) { return .ended(ending) }
        switch passages {
        case .failure(let failure): return .failed(failure)
        case .success(let sources):
            guard await gate.enter(run.inquiry.rank) else { return notEntered(run) }
            if let ending = ending(of: run) {
                gate.leave(.unanswered)
                return .ended(ending)
            }
            return await ask(run, sources)
        }
    }

    /// A deadline that has passed meanwhile says more than what it was spent on.
    private func ending(of run: Running) -> AnswerOutcome.Ending? {
        if let ending = run.ending { return ending }
        guard let deadline = run.inquiry.job.deadline, deadline <= clock.wall else { return nil }
        return .expired
    }

    @inline(never)
    private func notEntered(_ run: Running) -> AnswerOutcome.Result {
        if let ending = ending(of: run) { return .ended(ending) }
        let absence = health.absence(of: .model)
        return .failed(
            JobFailure(
                .modelUnavailable, absence?.reason ?? "the model is away", retryAfter: absence?.retryAfter,
                blame: .absence))
    }

    private func ask(_ run: Running, _ sources: [Source]) async -> AnswerOutcome.Result {
        let job = run.inquiry.job
        let started = clock.now
        metrics.modelCalls.increment()
        let limit = configuration.modelTimeout
        let left = job.deadline?.since(clock.wall) ?? limit
        do throws(JobFailure) {
            let answer = try await model.answer(
                job, passages: sources, timeout: min(left, limit), onDelta: run.inquiry.onDelta)
            let length = clock.now - started
            health.succeeded(.model)
            gate.leave(.answered(after: length))
            metrics.generation.recordNanoseconds(length.wholeNanoseconds)
            metrics.promptTokens.increment(by: answer.usage.promptTokens)
            metrics.completionTokens.increment(by: answer.usage.completionTokens)
            return .answered(answer)
        } catch {
            let length = clock.now - started
            metrics.generation.recordNanoseconds(length.wholeNanoseconds)
            return failed(run, error, after: length)
        }
    }

    /// What a failed call says of the model's service, and of the job.
    @inline(never)
    private func failed(_ run: Running, _ failure: JobFailure, after length: Duration) -> AnswerOutcome.Result {
        if let ending = ending(of: run) {
            gate.leave(.unanswered)
            return .ended(ending)
        }
        switch failure.blame {
        case .overload:
            gate.leave(.overloaded)
            health.pause(.model, failure.message, for: failure.retryAfter)
        case .absence:
            gate.leave(.unanswered)
            health.failed(.model, failure.message, .absent)
        case .gateway:
            gate.leave(.unanswered)
            if run.inquiry.isFirstTry { health.failed(.model, failure.message, .absent) }
        case .job:
            gate.leave(failure.code == .modelTimeout ? .unanswered : .answered(after: length))
            if failure.code == .modelRejected {
                health.succeeded(.model)
            } else if run.inquiry.isFirstTry, failure.code != .internal {
                health.failed(.model, failure.message, .ill)
            }
        }
        return .failed(failure)
    }

    /// The gate holds starts back for a while.
    private nonisolated func wakeGate(after hold: Duration) {
        Task.detached(executorPreference: executor) {
            await self.clock.sleep(for: hold)
            await self.holdIsOver()
        }
    }

    private func holdIsOver() { gate.holdIsOver() }

    // MARK: - Passages

    private func passages(of run: Running) async -> WindowSearch.Passages {
        guard let (search, place) = run.search else { return .success([]) }
        if search.passages == nil, run.ending == nil { await withCheckedContinuation { run.waiter = $0 } }
        // Nil when it was ended before the search.
        return search.passages?[place] ?? .success([])
    }

    private func begin(_ search: WindowSearch) {
        for (place, inquiry) in search.inquiries.enumerated() { running[inquiry.token]?.search = (search, place) }
        let inquiries = search.inquiries
        Task.detached(executorPreference: executor) {
            let passages = await self.passages(for: inquiries)
            await self.found(passages, for: inquiries)
        }
    }

    private func found(_ passages: [WindowSearch.Passages], for inquiries: [Inquiry]) {
        // All of them have the same search; those that have ended meanwhile do not hold it any more.
        inquiries.lazy.compactMap { self.running[$0.token]?.search?.search }.first?.end(passages)
        for inquiry in inquiries {
            running[inquiry.token]?.waiter?.resume()
            running[inquiry.token]?.waiter = nil
        }
    }

    private func passages(for inquiries: [Inquiry]) async -> [WindowSearch.Passages] {
        guard let passageSource, await passageSource.isReady() else {
            return inquiries.map { inquiry in
                (inquiry.job.options.retrieve ?? configuration.retrieve) == .always
                    ? .failure(
                        JobFailure(
                            .retrievalFailed, "there is no index to search; run parley ingest, or set vectors.url"))
                    : .success([])
            }
        }
        for dependency in [Dependency.embeddings, .vectors] {
            if let absence = health.absence(of: dependency) {
                let failure = JobFailure(
                    .retrievalFailed, absence.reason, retryAfter: absence.retryAfter, blame: .absence)
                return inquiries.map { _ in .failure(failure) }
            }
        }
        let started = clock.now
        let topK = inquiries.map { $0.job.options.topK ?? configuration.topK }
        let results = await passageSource.passages(
            for: inquiries.map(\.job.searchText), topK: topK.max() ?? configuration.topK,
            timeout: configuration.retrievalTimeout)
        metrics.retrieval.recordNanoseconds((clock.now - started).wholeNanoseconds)
        judge(results, isFirstTry: inquiries.contains(where: \.isFirstTry))
        return inquiries.indices.map { index in
            guard index < results.count else {
                return .failure(JobFailure(.retrievalFailed, "the vector store gave too few results"))
            }
            return results[index].map { Array($0.prefix(topK[index])) }.mapError(\.failure)
        }
    }

    /// What one call says of the services behind it: once, however many jobs shared it.
    private func judge(_ results: [Result<[Source], PassageFailure>], isFirstTry: Bool) {
        for result in results {
            // The first that says something says it all.
            switch result {
            case .success:
                health.succeeded(.embeddings)
                return health.succeeded(.vectors)
            case .failure(let passage):
                guard let dependency = passage.dependency else { continue }
                switch passage.failure.blame {
                case .job: continue
                case .overload:
                    return health.pause(dependency, passage.failure.message, for: passage.failure.retryAfter)
                case .absence, .gateway: return health.failed(dependency, passage.failure.message, .absent)
                }
            }
        }
    }
}
