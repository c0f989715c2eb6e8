import ChatJobs
import Pipeline

/// The actors of a ``SimulatedScenario`` and the order of its events.
actor SimulatedDay {
    private nonisolated let executor: SimulatedExecutor
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    nonisolated let faults: [SimulatedFault]
    nonisolated let services: SimulatedWorker.Services
    private let configuration: PipelineConfiguration
    private let workers: Int
    private let prefetch: Int
    private let messages: [(at: Duration, messages: [SimulatedMessage])]
    private var living: [Int: SimulatedWorker] = [:]
    private var everyone: [Int: SimulatedWorker] = [:]
    private var running = 0
    private var endWaiter: CheckedContinuation<Void, Never>?
    private var nextWorker = 0
    private var isEnding = false

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
        isEnding = true
        defer { isEnding = false }
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
        // It takes the place of one that has died, and comes when the others have been stopped.
        if isEnding, living.removeValue(forKey: number) != nil { await worker.stop() }
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
        case .storeAway(let duration):
            services.batches?.goAway(for: duration)
            await services.store.goAway(for: duration)
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
        case .passagesAway(let duration, let hanging): services.passages?.goAway(for: duration, hanging: hanging)
        case .replyQueuesFull(let duration): await services.broker.refuseReplies(for: duration)
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
