import Answering
import ChatJobs
import Logging
import Pipeline

/// A worker process on simulated ports: it can be stopped, abandoned, and killed at any step.
package struct SimulatedWorker: Sendable {
    /// The services that a worker talks to.
    package struct Services: Sendable {
        package let executor: SimulatedExecutor
        package let ledger: Ledger
        package let broker: SimulatedBroker
        package let store: SimulatedStore
        package let model: SimulatedModel
        package let passages: SimulatedPassages?
        package let answers: SimulatedCache?
        /// Beside the one without a name: all of them ask the same model.
        package let agents: [String]
        /// Where bulk goes; nil: it goes like the rest.
        var provider: SimulatedProvider?
        var batches: SimulatedBatchBook?
        /// Where the model is; nil: in one place.
        var endpoints: SimulatedEndpoints?

        package init(
            executor: SimulatedExecutor, ledger: Ledger, broker: SimulatedBroker, store: SimulatedStore,
            model: SimulatedModel, passages: SimulatedPassages?, answers: SimulatedCache? = nil, agents: [String] = []
        ) {
            self.agents = agents
            self.answers = answers
            self.executor = executor
            self.ledger = ledger
            self.broker = broker
            self.store = store
            self.model = model
            self.passages = passages
        }
    }

    package let number: Int
    package let pipeline: Pipeline
    let life = ProcessLife()
    private let services: Services
    private let prefetch: Int

    /// - Parameter crashed: called when a job has killed the worker.
    package init(
        number: Int, services: Services, configuration: PipelineConfiguration = PipelineConfiguration(),
        prefetch: Int = 512, crashed: @escaping @Sendable () -> Void = {}
    ) {
        self.number = number
        self.services = services
        self.prefetch = prefetch
        let standard = SimulatedAnswers(model: services.model, life: life) { [life] in
            life.end(at: services.executor.now)
            crashed()
        }
        let pool = services.endpoints.map { [life] in $0.pool(of: life, services.model) }
        let way = { (answers: SimulatedAnswers) -> any AnswerModel in
            guard let endpoints = services.endpoints, let pool else { return answers }
            return endpoints.answers(answers, of: pool, services.ledger)
        }
        let office = { [life] (name: String) -> BatchOffice? in
            guard let provider = services.provider, let batches = services.batches else { return nil }
            return BatchOffice(
                name: name, service: provider.of(life), records: batches.of(number, life),
                clock: SimulatedClock(services.executor),
                logger: Logger(label: "simulated") { _ in SwiftLogNoOpLogHandler() })
        }
        pipeline = Pipeline(
            intake: SimulatedIntake(broker: services.broker, worker: number, life: life),
            results: SimulatedResults(store: services.store, life: life),
            outbox: SimulatedOutbox(broker: services.broker, worker: number, life: life),
            passageSource: services.passages,
            model: way(standard),
            batches: office(""),
            agents: services.agents.map { name in
                Agent(
                    name: name, passageSource: services.passages, model: way(standard.of(name)), batches: office(name),
                    configuration: configuration.answering.agent)
            },
            answers: services.answers?.of(life),
            decoder: JobDecoder(maxQuery: SimulatedMessages.maxQuery),
            inflate: { (_, _) throws(JobFailure) in throw JobFailure(.unsupportedMediaType, "no gzip here") },
            clock: SimulatedClock(services.executor), configuration: configuration, executor: services.executor,
            logger: Logger(label: "simulated") { _ in SwiftLogNoOpLogHandler() })
    }

    /// Opens its consumer: the broker begins to push.
    package func connect() async {
        await services.broker.connect(worker: number, prefetch: prefetch, life: life)
    }

    /// Works until ``stop()`` or ``kill()``.
    package func run() async {
        await pipeline.run()
        let left = await pipeline.inFlight
        if left != 0 { services.ledger.violation("worker \(number) ended with \(left) deliveries in flight") }
        await services.store.farewell(life)
    }

    /// SIGTERM: no more jobs are taken.
    package func stop() async { await services.broker.stop(worker: number) }

    /// The grace period is over.
    package func abandon() async { await pipeline.abandon() }

    /// SIGKILL: from now on nothing that the worker does reaches anyone. Its tasks are cancelled so that they end.
    package func kill() async {
        life.end(at: services.executor.now)
        await services.broker.kill(worker: number)
        await pipeline.abandon()
    }
}
