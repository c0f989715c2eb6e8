import ChatJobs
import Pipeline
import PipelineTestKit
import Testing

/// One worker on simulated services with constant latencies (``Latencies/constant``).
struct Workbench: Sendable {
    let executor = SimulatedExecutor(seed: 1)
    let ledger = Ledger()
    let broker: SimulatedBroker
    let store: SimulatedStore
    let model: SimulatedModel
    let passages: SimulatedPassages?
    let answers: SimulatedCache
    let worker: SimulatedWorker
    /// It takes part when it is connected.
    let another: SimulatedWorker

    /// - Parameter index: whether there is a vector store, and whether it has an index.
    init(
        _ configuration: PipelineConfiguration = PipelineConfiguration(), latencies: Latencies = .constant,
        index: Bool? = nil, failingSearches: Int = 0, isLocal: Bool = false,
        reaction: @escaping @Sendable (Job) -> SimulatedModel.Reaction = { _ in .answers }
    ) {
        broker = SimulatedBroker(executor: executor, ledger: ledger, latencies: latencies)
        store = SimulatedStore(executor: executor, ledger: ledger, latencies: latencies)
        model = SimulatedModel(
            executor: executor, ledger: ledger, latencies: latencies, isLocal: isLocal, reaction: reaction)
        passages = index.map { [executor] in
            SimulatedPassages(executor: executor, latencies: latencies, ready: $0, failing: failingSearches)
        }
        answers = SimulatedCache(executor: executor, latencies: latencies)
        let services = SimulatedWorker.Services(
            executor: executor, ledger: ledger, broker: broker, store: store, model: model, passages: passages,
            answers: answers)
        worker = SimulatedWorker(number: 0, services: services, configuration: configuration)
        another = SimulatedWorker(number: 1, services: services, configuration: configuration)
    }

    /// Runs the worker while `scenario` goes on, then until the queue is empty.
    func run(
        draining: Bool = true, _ scenario: @escaping @Sendable (Workbench) async -> Void,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let outcome = executor.run {
            await worker.connect()
            async let work: Void = worker.run()
            await scenario(self)
            if draining {
                await broker.untilDrained()
                await worker.stop()
            }
            await work
        }
        #expect(outcome == .finished, sourceLocation: sourceLocation)
        #expect(ledger.violations == [], sourceLocation: sourceLocation)
        #expect(executor.strays == 0, sourceLocation: sourceLocation)
    }

    /// Publishes messages in one go and waits until they are settled.
    func answer(_ messages: SimulatedMessage..., sourceLocation: SourceLocation = #_sourceLocation) {
        run({ await $0.broker.publish(messages) }, sourceLocation: sourceLocation)
    }

    /// The replies with their bodies read.
    var replies: [Reply] {
        ledger.replies.filter { $0.kind == .reply }.compactMap { try? Reply(decoding: $0.body) }
    }
}

func job(_ id: String, _ change: (inout Job) -> Void = { _ in }) throws -> Job {
    var job = Job(id: try #require(JobID(id)), query: "What about \(id)?")
    change(&job)
    return job
}

func later(_ milliseconds: Int64) -> Timestamp {
    Timestamp(milliseconds: SimulatedClock.start.milliseconds + milliseconds)
}
