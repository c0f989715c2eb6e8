import Answering
import ChatJobs
import Logging

/// Takes windows of jobs, answers them, and settles each as soon as it is answered.
///
/// The actor runs on the executor it is given: the I/O loop in a worker, so that a job passes from socket to socket
/// without changing threads; a seeded scheduler in the tests, so that every interleaving can be replayed. It knows its
/// surroundings through ports only.
package actor Pipeline {
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
    /// Nothing that jobs need is asked of a service: answering one twice costs nothing.
    let isLocal: Bool
    let metrics = PipelineMetrics()

    nonisolated let executor: any SerialExecutor & TaskExecutor
    package nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    var scheduler: ModelScheduler
    /// A start is held back, and a timer will let it go.
    var isModelHeld = false
    var modelWaiters: [UInt64: CheckedContinuation<ModelEntry, Never>] = [:]
    /// Ids being worked on here.
    var flights: [JobID: Flight] = [:]
    /// Those of them that have been revoked: mostly none, so that to look costs nothing.
    var revoked: Set<JobID> = []
    var chunkStreams: [UInt64: ChunkStream] = [:]
    var health = ServiceHealth()
    var suspects = Suspects()
    private var arrivals: UInt64 = 0
    private var tasks: [UInt64: Task<Void, Never>] = [:]
    private var nextTask: UInt64 = 0
    private(set) var isAbandoned = false
    private(set) var isFinished = false
    private var idleWaiters: [CheckedContinuation<Void, Never>] = []

    /// Deliveries taken and not yet settled.
    package private(set) var inFlight = 0
    /// Jobs that have ended here since the start.
    package internal(set) var settled: UInt64 = 0

    /// - Parameters:
    ///   - passageSource: nil when no vector store is configured; `retrieve: always` then fails.
    ///   - inflate: undoes gzip, giving at most the number of bytes asked for.
    package init(
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
        isLocal = model.isLocal && passageSource?.isLocal ?? true
        scheduler = ModelScheduler(limit: configuration.modelConcurrency, maxWait: configuration.priorityMaxWait)
    }

    /// Works until the intake stops and every job taken is settled.
    package func run() async { await withTaskExecutorPreference(executor) { await self.takeWindows() } }

    private func takeWindows() async {
        while true {
            await untilNobodyIsAlone()
            guard let messages = await intake.nextWindow(atMost: configuration.window) else { break }
            inFlight += messages.count
            metrics.inFlight.record(inFlight)
            metrics.windowSize.record(messages.count)
            start { await $0.process(messages) }
        }
        await withCheckedContinuation { continuation in
            if inFlight == 0 { continuation.resume() } else { idleWaiters.append(continuation) }
        }
        isFinished = true
        // What is left watches services for jobs that will not come any more.
        for id in tasks.keys.sorted() { tasks[id]?.cancel() }
    }

    /// Gives up what is in flight: transfers are aborted, deliveries handed back. ``run()`` then returns soon.
    package func abandon() {
        isAbandoned = true
        // In order, so that a simulated run can be replayed.
        for id in tasks.keys.sorted() { tasks[id]?.cancel() }
        withdrawModelWaiters(.abandoned)
        abandonSuspects()
    }

    /// Unstructured on purpose: a child task of a group would start on the global pool and change threads twice, where
    /// this one starts on the pipeline's executor. `tasks` is what a group would be. Detached, because the starter's
    /// task locals would be copied one by one, for nobody.
    ///
    /// The executor preference is what keeps the task there: a continuation resumes its task on the preferred executor,
    /// and without one on the global pool, whose thread then only passes it on (27 µs a time instead of 1.6).
    ///
    /// - Returns: names the task, for ``cancel(_:)``.
    @discardableResult
    func start(_ body: @escaping @Sendable (isolated Pipeline) async -> Void) -> UInt64 {
        let id = nextTask
        nextTask += 1
        let task = Task.detached(executorPreference: executor) { await self.perform(body, id) }
        tasks[id] = task
        if isAbandoned || isFinished { task.cancel() }
        return id
    }

    func cancel(_ task: UInt64) { tasks[task]?.cancel() }

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

    /// Back to the queue: only when this worker is leaving.
    func handBack(_ incoming: Incoming) async {
        await intake.handBack(incoming.receipt)
        metrics.handedBack.increment()
        departed(incoming)
    }

    /// The same for a job that work has begun on: others need not take its worker for dead.
    ///
    /// - Parameter hasStreamed: its attempt counts, since subscribers have seen of it.
    func handBack(begun assignment: Assignment, hasStreamed: Bool = false) async {
        let id = assignment.job.id
        // Another delivery of the id may be in work here: then the claim is that one's.
        if assignment.isClaimed, flights[id].map({ $0.arrival == assignment.arrival }) ?? true {
            try? await results.release(id, keepingStarts: hasStreamed ? assignment.starts : nil)
        }
        await handBack(assignment.incoming)
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
                let assignment = Assignment(incoming: incoming, job: job, arrival: arrivals)
                if let wait = untilDue(job) {
                    start { await $0.postpone(assignment, wait) }
                } else {
                    assignments.append(assignment)
                }
            } catch {
                let refusal = error
                start { await $0.refuse(incoming, refusal) }
            }
        }
        return assignments
    }

    /// From decoded jobs to their answers; also for a job that waited for another delivery of its id.
    ///
    /// - Parameter anew: a failure that is stored for them does not count.
    func work(_ assignments: [Assignment], started: Duration, anew: Bool = false) async {
        guard let (asked, standings) = await begin(assignments, started, anew) else { return }
        var fresh: [Assignment] = []
        for (assignment, standing) in zip(asked, standings) {
            if let assignment = place(assignment, standing, started) { fresh.append(assignment) }
        }
        settledClaims()
        await answer(fresh, started: started)
    }

    /// Retrieves for all in one go, then answers each by itself.
    func answer(_ fresh: [Assignment], started: Duration) async {
        guard !fresh.isEmpty else { return }
        let (passages, spent) = await retrieve(fresh)
        for (assignment, passages) in zip(fresh, passages) {
            let task = start { await $0.answer(assignment, passages, started: started, retrieving: spent) }
            flights[assignment.job.id]?.task = task
        }
    }
}
