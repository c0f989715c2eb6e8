import ChatJobs
import Pipeline

/// A random day in the life of some workers, all of it drawn from one seed: jobs good and bad, services that fail and
/// come back, connections that are cut, workers that are stopped and killed. ``run()`` says what broke the contract.
package struct SimulatedScenario: Sendable {
    /// What came of a run.
    package struct Report: Sendable {
        package let seed: UInt64
        package let outcome: SimulatedExecutor.Outcome
        /// Empty after a good run.
        package let violations: [String]
        package let events: [Ledger.Event]

        /// All that a person needs to see why a run failed, and to run it again.
        package var story: String {
            "PARLEY_SEED=\(seed) replays it; \(outcome)\n" + violations.joined(separator: "\n") + "\n"
                + events.map { "  \($0)" }.joined(separator: "\n")
        }

        package var isGood: Bool { outcome == .finished && violations.isEmpty }
    }

    let seed: UInt64

    package init(seed: UInt64) { self.seed = seed }

    package func run() -> Report {
        var draw = SeededGenerator(seed: seed ^ 0x5EED)
        let executor = SimulatedExecutor(seed: seed)
        let ledger = Ledger()
        let failing = [0, 20, 60].randomElement(using: &draw) ?? 0
        let messages = SimulatedMessages.draw(&draw)
        // Of a generator of its own, so that the other draws of a seed are as they were.
        var another = SeededGenerator(seed: seed ^ 0x10CA1)
        let poison = Set(messages.flatMap(\.messages).filter(\.isPoison).compactMap(\.id))
        let isLocal = another.chance(15) && poison.isEmpty
        let model = SimulatedModel(executor: executor, ledger: ledger, latencies: .wild, isLocal: isLocal) { job in
            if poison.contains(job.id) { return .kills }
            guard executor.chance(failing) else { return .answers }
            let codes: [ErrorCode] = [.modelRejected, .modelUnavailable, .modelTimeout, .rateLimited, .internal]
            let code = codes[executor.draw(0...(codes.count - 1))]
            return .fails(
                JobFailure(
                    code, "the model failed",
                    retryAfter: executor.chance(30) ? .milliseconds(executor.draw(0...9000)) : nil,
                    blame: code == .modelUnavailable && executor.chance(50) ? .absence : .job))
        }
        let services = SimulatedWorker.Services(
            executor: executor, ledger: ledger,
            broker: SimulatedBroker(executor: executor, ledger: ledger, latencies: .wild, givesAll: false),
            store: SimulatedStore(executor: executor, ledger: ledger, latencies: .wild), model: model,
            passages: draw.chance(80)
                ? SimulatedPassages(
                    executor: executor, latencies: .wild, ready: draw.chance(80), failing: draw.chance(30) ? 20 : 0)
                : nil)
        var configuration = PipelineConfiguration()
        configuration.window = Int.random(in: 1...8, using: &draw)
        configuration.answering.modelConcurrency = Int.random(in: 1...6, using: &draw)
        configuration.answering.modelTimeout = .milliseconds(300)
        configuration.answering.breakerThreshold = Int.random(in: 1...6, using: &draw)
        configuration.answering.priorityMaxWait = .milliseconds(Int.random(in: 50...2000, using: &draw))
        configuration.retry.maxAttempts = Int.random(in: 1...4, using: &draw)
        configuration.retry.base = .milliseconds(100)
        configuration.retry.max = .seconds(2)
        configuration.retry.maxDeliveries = Int.random(in: 1...3, using: &draw)
        let workers = draw.chance(50) ? 2 : 1
        let day = SimulatedDay(
            services: services, configuration: configuration, workers: workers,
            prefetch: Int.random(in: 1...12, using: &draw), messages: messages,
            faults: SimulatedFault.draw(workers: workers, &draw))
        let outcome = executor.run { await day.run() }
        if executor.strays > 0 {
            ledger.violation("\(executor.strays) jobs left the executor: the run cannot be replayed")
        }
        ledger.checkEnd(configuration.retry)
        return Report(seed: seed, outcome: outcome, violations: ledger.violations, events: ledger.events)
    }
}

extension Ledger {
    func checkEnd(_ retry: RetryPolicy) { state.withLock { $0.checkEnd(retry) } }
}

/// The actors of a ``SimulatedScenario`` and the order of its events.
actor SimulatedDay {
    private nonisolated let executor: SimulatedExecutor
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    nonisolated let faults: [SimulatedFault]
    private let services: SimulatedWorker.Services
    private let configuration: PipelineConfiguration
    private let workers: Int
    private let prefetch: Int
    private let messages: [(at: Duration, messages: [SimulatedMessage])]
    private var living: [Int: SimulatedWorker] = [:]
    private var everyone: [Int: SimulatedWorker] = [:]
    private var running = 0
    private var endWaiter: CheckedContinuation<Void, Never>?
    private var nextWorker = 0

    init(
        services: SimulatedWorker.Services, configuration: PipelineConfiguration, workers: Int, prefetch: Int,
        messages: [(at: Duration, messages: [SimulatedMessage])], faults: [SimulatedFault]
    ) {
        executor = services.executor
        self.services = services
        self.configuration = configuration
        self.workers = workers
        self.prefetch = prefetch
        self.messages = messages
        self.faults = faults
    }

    func run() async {
        for _ in 0..<workers { await startWorker() }
        let events = messages.map { ($0.at, nil as SimulatedFault?, $0.messages) } + faults.map { ($0.at, $0, []) }
        for (at, fault, messages) in events.sorted(by: { $0.0 < $1.0 }) {
            await executor.sleep(until: at)
            if let fault { await perform(fault) } else { await services.broker.publish(messages) }
        }
        await drain()
        // A worker on its way out may have put aside a delivery that had come again meanwhile: its copy comes back.
        while await !services.broker.isDrained {
            await startWorker()
            await drain()
        }
    }

    private func drain() async {
        await services.broker.untilDrained()
        for number in living.keys.sorted() { await living.removeValue(forKey: number)?.stop() }
        if running > 0 { await withCheckedContinuation { endWaiter = $0 } }
    }

    private func startWorker() async {
        let number = nextWorker
        let worker = SimulatedWorker(
            number: number, services: services, configuration: configuration, prefetch: prefetch
        ) { [executor] in
            Task(executorPreference: executor) { await self.replace(number) }
        }
        living[nextWorker] = worker
        everyone[nextWorker] = worker
        nextWorker += 1
        running += 1
        await worker.connect()
        Task(executorPreference: executor) { await self.run(worker) }
    }

    private func run(_ worker: SimulatedWorker) async {
        await worker.run()
        running -= 1
        guard running == 0 else { return }
        endWaiter?.resume()
        endWaiter = nil
    }

    private func perform(_ fault: SimulatedFault) async {
        switch fault.kind {
        case .storeAway(let duration): await services.store.goAway(for: duration)
        case .outboxLost(let duration): await services.broker.loseOutbox(for: duration)
        case .connectionCut(let duration):
            if let worker = oldest { await services.broker.cut(worker: worker.number, for: duration) }
        case .killed(let pause):
            guard let worker = oldest else { return }
            living[worker.number] = nil
            await worker.kill()
            await executor.sleep(pause)
            await startWorker()
        case .modelAway(let duration): services.model.goAway(for: duration)
        case .revoked(let noticed):
            let ids = messages.flatMap(\.messages).compactMap(\.id)
            guard !ids.isEmpty else { return }
            await services.store.revoke(ids[executor.draw(0...(ids.count - 1))])
            await executor.sleep(noticed)
            for number in living.keys.sorted() { await living[number]?.pipeline.checkRevocations() }
        case .stopped(let grace):
            guard let worker = oldest else { return }
            living[worker.number] = nil
            await worker.stop()
            await executor.sleep(grace)
            await worker.abandon()
            await startWorker()
        }
    }

    /// A job has killed the worker: the supervisor starts another.
    private func replace(_ number: Int) async {
        guard let worker = everyone[number] else { return }
        await worker.kill()
        // One that was being stopped is replaced by whoever stops it.
        guard living.removeValue(forKey: number) != nil else { return }
        await executor.sleep(.milliseconds(executor.draw(1...500)))
        await startWorker()
    }

    private var oldest: SimulatedWorker? { living.min { $0.key < $1.key }?.value }
}
