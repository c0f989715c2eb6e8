import ChatJobs
import Logging

/// Takes windows of jobs, answers them, and settles each as soon as it is answered.
///
/// The actor runs on the executor it is given: the I/O loop in a worker, so that a job passes from socket to socket
/// without changing threads; a seeded scheduler in the tests, so that every interleaving can be replayed. It knows its
/// surroundings through ports only.
public actor Pipeline {
    let intake: any Intake
    let results: any ResultStore
    let outbox: any Outbox
    let passageSource: (any PassageSource)?
    let model: any AnswerModel
    let decoder: JobDecoder
    let inflate: @Sendable ([UInt8], Int) throws(JobFailure) -> [UInt8]
    let clock: any PipelineClock
    let configuration: PipelineConfiguration
    let logger: Logger
    let metrics = PipelineMetrics()

    nonisolated let executor: any SerialExecutor & TaskExecutor
    public nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    var scheduler: ModelScheduler
    var modelWaiters: [UInt64: CheckedContinuation<Bool, Never>] = [:]
    /// Ids being worked on here, with those who wait for the outcome.
    var flights: [JobID: [CheckedContinuation<Void, Never>]] = [:]
    var chunkStreams: [UInt64: ChunkStream] = [:]
    private var arrivals: UInt64 = 0
    private var tasks: [UInt64: Task<Void, Never>] = [:]
    private var nextTask: UInt64 = 0
    private(set) var isAbandoned = false
    private var idleWaiters: [CheckedContinuation<Void, Never>] = []

    /// Deliveries taken and not yet settled.
    public private(set) var inFlight = 0

    /// - Parameters:
    ///   - passageSource: nil when no vector store is configured; `retrieve: always` then fails.
    ///   - inflate: undoes gzip, giving at most the number of bytes asked for.
    public init(
        intake: any Intake, results: any ResultStore, outbox: any Outbox, passageSource: (any PassageSource)?,
        model: any AnswerModel, decoder: JobDecoder,
        inflate: @escaping @Sendable ([UInt8], Int) throws(JobFailure) -> [UInt8], clock: any PipelineClock,
        configuration: PipelineConfiguration, executor: any SerialExecutor & TaskExecutor, logger: Logger
    ) {
        self.intake = intake
        self.results = results
        self.outbox = outbox
        self.passageSource = passageSource
        self.model = model
        self.decoder = decoder
        self.inflate = inflate
        self.clock = clock
        self.configuration = configuration
        self.executor = executor
        self.logger = logger
        scheduler = ModelScheduler(limit: configuration.modelConcurrency)
    }

    /// Works until the intake stops and every job taken is settled.
    public func run() async { await withTaskExecutorPreference(executor) { await self.takeWindows() } }

    private func takeWindows() async {
        while let messages = await intake.nextWindow(atMost: configuration.window) {
            inFlight += messages.count
            metrics.inFlight.record(inFlight)
            metrics.windowSize.record(messages.count)
            start { await $0.process(messages) }
        }
        await withCheckedContinuation { continuation in
            if inFlight == 0 { continuation.resume() } else { idleWaiters.append(continuation) }
        }
    }

    /// Gives up what is in flight: transfers are aborted, deliveries handed back. ``run()`` then returns soon.
    public func abandon() {
        isAbandoned = true
        // In order, so that a simulated run can be replayed.
        for id in tasks.keys.sorted() { tasks[id]?.cancel() }
        withdrawModelWaiters()
    }

    /// Unstructured on purpose: a child task of a group would start on the global pool and change threads twice, where
    /// this one starts on the pipeline's executor. `tasks` is what a group would be.
    ///
    /// The executor preference is what keeps the task there: a continuation resumes its task on the preferred executor,
    /// and without one on the global pool, whose thread then only passes it on (27 µs a time instead of 1.6).
    func start(_ body: @escaping @Sendable (isolated Pipeline) async -> Void) {
        let id = nextTask
        nextTask += 1
        let task = Task(executorPreference: executor) { await self.perform(body, id) }
        tasks[id] = task
        if isAbandoned { task.cancel() }
    }

    private func perform(_ body: @Sendable (isolated Pipeline) async -> Void, _ id: UInt64) async {
        await body(self)
        tasks[id] = nil
    }

    /// The delivery has left this worker.
    func departed(_ incoming: Incoming) {
        inFlight -= 1
        metrics.inFlight.record(inFlight)
        guard inFlight == 0 else { return }
        let waiters = idleWaiters
        idleWaiters = []
        for waiter in waiters { waiter.resume() }
    }

    func handBack(_ incoming: Incoming) async {
        await intake.handBack(incoming.receipt)
        metrics.handedBack.increment()
        departed(incoming)
    }

    // MARK: - One window

    private func process(_ messages: [Incoming]) async {
        let started = clock.now
        var assignments = decode(messages)
        assignments.sort { $0.rank < $1.rank }
        await work(assignments, started: started)
    }

    private func decode(_ messages: [Incoming]) -> [Assignment] {
        var assignments: [Assignment] = []
        assignments.reserveCapacity(messages.count)
        for incoming in messages {
            if incoming.redelivered { metrics.redelivered.increment() }
            arrivals += 1
            do throws(JobDecoder.Refusal) {
                let job = try decoder.decode(incoming.body, incoming.envelope, inflate: inflate)
                assignments.append(Assignment(incoming: incoming, job: job, arrival: arrivals))
            } catch {
                let refusal = error
                start { await $0.refuse(incoming, refusal) }
            }
        }
        return assignments
    }

    /// From decoded jobs to their answers; also for a job that waited for another delivery of its id.
    func work(_ assignments: [Assignment], started: Duration) async {
        guard let stored = await lookup(assignments) else { return }
        var fresh: [Assignment] = []
        for (assignment, stored) in zip(assignments, stored) {
            if let stored, let reply = replay(stored, for: assignment) {
                metrics.replayed.increment()
                // The worker that stored a failure may have died before the dead letter: it is written again.
                let failure = reply.error.flatMap { error in
                    ErrorCode(rawValue: error.code).map { JobFailure($0, error.message) }
                }
                start {
                    await $0.settle(assignment, reply, encoded: stored, stored: true, deadLetter: failure)
                }
            } else if let failure = expiry(assignment.job) {
                start { await $0.fail(assignment, failure, started: started) }
            } else if flights[assignment.job.id] != nil {
                start { await $0.follow(assignment, started: started) }
            } else {
                flights[assignment.job.id] = []
                fresh.append(assignment)
            }
        }
        guard !fresh.isEmpty else { return }
        let (passages, spent) = await retrieve(fresh)
        for (assignment, passages) in zip(fresh, passages) {
            start { await $0.answer(assignment, passages, started: started, retrieving: spent) }
        }
    }

    /// Nil when the pipeline was abandoned while the store was away; the deliveries are then handed back.
    private func lookup(_ assignments: [Assignment]) async -> [[UInt8]?]? {
        guard !assignments.isEmpty else { return [] }
        let ids = assignments.map(\.job.id)
        while true {
            do throws(Outage) {
                return try await results.lookup(ids)
            } catch {
                if Task.isCancelled {
                    for assignment in assignments { await handBack(assignment.incoming) }
                    return nil
                }
                await results.untilAvailable()
            }
        }
    }

    /// The stored reply, when it is this job's: any outcome that may have cost a model call is given again, one that was
    /// decided without (a malformed message, a deadline) is decided again. A requeued job starts afresh unless it succeeded.
    private func replay(_ stored: [UInt8], for assignment: Assignment) -> Reply? {
        guard let reply = try? Reply(decoding: stored) else { return nil }
        switch reply.status {
        case .succeeded: return reply
        case .expired, .revoked: return nil
        case .failed:
            guard assignment.incoming.envelope.requeues == 0, assignment.attempt == 1,
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

    /// Waits for the delivery of the same id that is being worked on, then looks for its result.
    private func follow(_ assignment: Assignment, started: Duration) async {
        await withCheckedContinuation { continuation in
            if flights[assignment.job.id] == nil {
                continuation.resume()
            } else {
                flights[assignment.job.id]?.append(continuation)
            }
        }
        if Task.isCancelled { return await handBack(assignment.incoming) }
        await work([assignment], started: started)
    }

    func landed(_ id: JobID) {
        guard let followers = flights.removeValue(forKey: id) else { return }
        for follower in followers { follower.resume() }
    }
}
