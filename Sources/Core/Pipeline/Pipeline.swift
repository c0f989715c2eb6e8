import Answering
import ChatJobs
import Logging
import Routing

/// Takes windows of jobs from the broker, and has each answered and settled.
///
/// *Delivery* is what this target is about: what the broker gave, and must get back. Its rules are values (``Admission``,
/// ``InFlightJobs``, ``Suspects``, ``RetryPolicy``, ``Settlement``); ``Deliveries`` performs what they say; how a question
/// is answered is ``Answering``'s, and which services are there ``HealthMonitor``'s.
///
/// All of them run on the executor given here: the I/O loop in a worker, so that a job passes from socket to socket
/// without changing threads; a seeded scheduler in the tests, so that every interleaving can be replayed. They know their
/// surroundings through ports only.
package actor Pipeline {
    private let intake: any Intake
    private let deliveries: Deliveries
    private let answering: Answering
    private let health: HealthMonitor
    private let clock: any PipelineClock
    private let configuration: PipelineConfiguration

    private nonisolated let executor: any SerialExecutor & TaskExecutor
    package nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    private var isIntakePaused = false
    private var isAdjustingIntake = false

    /// While some jobs cannot be answered, so long between two windows.
    private static let restrictedRest = Duration.seconds(1)

    /// - Parameters:
    ///   - passageSource: of the default agent, as are `model`, `rewriter` and `fallbacks`.
    ///   - batches: those of the default agent's model.
    ///   - agents: the others.
    ///   - router: tells which agent a question is for, and whether it needs passages; nil: nobody does.
    ///   - answers: the answer cache's second tier.
    ///   - questions: counts what is asked; nil: nobody does.
    ///   - chunks: keeps those of streams; nil: nobody does.
    ///   - limits: what all workers share of `limits.*`.
    ///   - objects: keeps answers that are too long for replies, and bodies that are for messages.
    ///   - inflate: undoes gzip, giving at most the number of bytes asked for.
    package init(
        intake: any Intake, results: any ResultStore, outbox: any Outbox, passageSource: (any PassageSource)?,
        model: any AnswerModel, rewriter: (any AnswerModel)? = nil, fallbacks: [ModelChoice] = [],
        batches: BatchOffice? = nil, agents: [Agent] = [], router: Router? = nil,
        answers: (any AnswerStore)? = nil, questions: (any QuestionLog)? = nil, chunks: (any ChunkLog)? = nil,
        objects: (any ObjectStore)? = nil, limits: (any LimitStore)? = nil, decoder: JobDecoder,
        inflate: @escaping @Sendable ([UInt8], Int) throws(JobFailure) -> [UInt8], clock: any PipelineClock,
        configuration: PipelineConfiguration, executor: any SerialExecutor & TaskExecutor, logger: Logger
    ) {
        self.intake = intake
        self.clock = clock
        self.configuration = configuration
        self.executor = executor
        let agents = Agents(
            Agent(
                passageSource: passageSource, model: model, rewriter: rewriter, fallbacks: fallbacks,
                batches: batches, configuration: configuration.answering.agent),
            named: agents, router: router)
        health = HealthMonitor(
            probe: DependencyProbes(results: results, outbox: outbox, agents: agents.all),
            chains: agents.all.map(\.modelServices), clock: clock, configuration: configuration.answering,
            executor: executor, logger: logger)
        answering = Answering(
            agents: agents, answers: answers, expenses: Expenses(results: results, clock: clock), limits: limits,
            health: health, clock: clock, configuration: configuration.answering, executor: executor)
        let metrics = PipelineMetrics()
        let settler = Settler(
            intake: intake, results: results, outbox: outbox, health: health, clock: clock,
            ownQueues: decoder.replies.ownQueues, metrics: metrics, logger: logger)
        var decoder = decoder
        decoder.takesReferences = objects != nil
        let claimCheck = ClaimCheck(
            objects, maxInline: configuration.maxInline, life: configuration.objectLife, clock: clock, logger: logger)
        deliveries = Deliveries(
            intake: intake, results: results, outbox: outbox, answering: answering, health: health,
            decoder: WindowDecoder(decoder: decoder, inflate: inflate),
            concluder: Concluder(
                settler: settler, retry: configuration.retry, health: health, clock: clock, claimCheck: claimCheck,
                resultLife: configuration.resultLife),
            clock: clock, maxDeliveries: configuration.retry.maxDeliveries, inFlight: configuration.inFlight,
            streams: ChunkStreams(
                pace: ChunkPace(configuration.chunksPerSecond), flush: configuration.flush, log: chunks),
            questions: questions.map { QuestionCount(log: $0, perUser: configuration.recordsUsers) },
            executor: executor, metrics: metrics, logger: logger)
    }

    /// Works until the intake stops and every job taken is settled.
    package func run() async { await withTaskExecutorPreference(executor) { await self.takeWindows() } }

    private func takeWindows() async {
        await health.observe { [weak self, answering] dependency, change in
            answering.assumeIsolated { $0.changed(dependency, change) }
            self?.assumeIsolated { $0.adjustIntake() }
        }
        while true {
            await deliveries.untilTrialsEnd()
            if health.intake == .restricted { await clock.sleep(for: Self.restrictedRest) }
            guard let messages = await intake.nextWindow(atMost: configuration.window) else { break }
            await deliveries.take(messages)
        }
        await deliveries.finish()
        await health.stop()
    }

    /// Makes the intake do as the services' state says.
    private func adjustIntake() {
        guard !isAdjustingIntake else { return }
        isAdjustingIntake = true
        Task.detached(executorPreference: executor) { await self.followHealth() }
    }

    /// One call after another: a pause and a resumption must not overtake each other.
    private func followHealth() async {
        while isIntakePaused != (health.intake == .paused) {
            isIntakePaused.toggle()
            if isIntakePaused { await intake.pause() } else { await intake.resume() }
        }
        isAdjustingIntake = false
    }

    // MARK: - From outside

    /// The services that are down, with the reasons.
    package var dependenciesDown: [Dependency: String] { get async { await health.allDown } }

    /// Deliveries taken and not yet settled.
    package var inFlight: Int { get async { await deliveries.inFlight } }

    /// Jobs that have ended here since the start.
    package var settled: UInt64 { get async { await deliveries.settled } }

    /// Looks which of the jobs in work have been revoked and stops them: the model's call is aborted.
    package func checkRevocations() async { await deliveries.checkRevocations() }

    /// Lets the claims on jobs that take long live on. To be called every now and then.
    package func renewClaims() async { await deliveries.renewClaims() }

    /// Gives up what is in flight: transfers are aborted, deliveries handed back. ``run()`` then returns soon.
    package func abandon() async { await deliveries.abandon() }
}
