import ChatJobs
import Logging
import Pipeline

/// A worker process on simulated ports: it can be stopped, abandoned, and killed at any step.
public struct SimulatedWorker: Sendable {
    /// The services that a worker talks to.
    public struct Services: Sendable {
        public let executor: SimulatedExecutor
        public let ledger: Ledger
        public let broker: SimulatedBroker
        public let store: SimulatedStore
        public let model: SimulatedModel
        public let passages: SimulatedPassages?

        public init(
            executor: SimulatedExecutor, ledger: Ledger, broker: SimulatedBroker, store: SimulatedStore,
            model: SimulatedModel, passages: SimulatedPassages?
        ) {
            self.executor = executor
            self.ledger = ledger
            self.broker = broker
            self.store = store
            self.model = model
            self.passages = passages
        }
    }

    public let number: Int
    public let pipeline: Pipeline
    private let life = ProcessLife()
    private let services: Services
    private let prefetch: Int

    /// - Parameter crashed: called when a job has killed the worker.
    public init(
        number: Int, services: Services, configuration: PipelineConfiguration = PipelineConfiguration(),
        prefetch: Int = 512, crashed: @escaping @Sendable () -> Void = {}
    ) {
        self.number = number
        self.services = services
        self.prefetch = prefetch
        pipeline = Pipeline(
            intake: SimulatedIntake(broker: services.broker, worker: number, life: life),
            results: SimulatedResults(store: services.store, life: life),
            outbox: SimulatedOutbox(broker: services.broker, worker: number, life: life),
            passageSource: services.passages,
            model: SimulatedAnswers(model: services.model, life: life) { [life] in
                life.end(at: services.executor.now)
                crashed()
            },
            decoder: JobDecoder(maxQuery: SimulatedMessages.maxQuery),
            inflate: { (_, _) throws(JobFailure) in throw JobFailure(.unsupportedMediaType, "no gzip here") },
            clock: SimulatedClock(services.executor), configuration: configuration, executor: services.executor,
            logger: Logger(label: "simulated") { _ in SwiftLogNoOpLogHandler() })
    }

    /// Opens its consumer: the broker begins to push.
    public func connect() async {
        await services.broker.connect(worker: number, prefetch: prefetch, life: life)
    }

    /// Works until ``stop()`` or ``kill()``.
    public func run() async {
        await pipeline.run()
        let left = await pipeline.inFlight
        if left != 0 { services.ledger.violation("worker \(number) ended with \(left) deliveries in flight") }
        await services.store.farewell(life)
    }

    /// SIGTERM: no more jobs are taken.
    public func stop() async { await services.broker.stop(worker: number) }

    /// The grace period is over.
    public func abandon() async { await pipeline.abandon() }

    /// SIGKILL: from now on nothing that the worker does reaches anyone. Its tasks are cancelled so that they end.
    public func kill() async {
        life.end(at: services.executor.now)
        await services.broker.kill(worker: number)
        await pipeline.abandon()
    }
}
