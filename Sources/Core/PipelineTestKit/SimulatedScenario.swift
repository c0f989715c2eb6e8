import Answering
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
        /// How many batches were made at the provider.
        package var batches = 0
        /// How often pieces of an answer went from one worker to another.
        package var relayed = 0

        /// All that a person needs to see why a run failed, and to run it again.
        package var story: String {
            "PARLEY_SEED=\(seed) replays it; \(outcome)\n" + violations.joined(separator: "\n") + "\n"
                + events.map { "  \($0)" }.joined(separator: "\n")
        }

        package var isGood: Bool { outcome == .finished && violations.isEmpty }
    }

    let seed: UInt64

    package init(seed: UInt64) { self.seed = seed }

    private static func failure(_ executor: SimulatedExecutor) -> JobFailure {
        let kinds: [(ErrorCode, JobFailure.Blame)] = [
            (.modelRejected, .job), (.modelUnavailable, .job), (.modelTimeout, .job), (.internal, .job),
            (.rateLimited, .overload), (.modelUnavailable, .gateway), (.modelUnavailable, .absence),
        ]
        let (code, blame) = kinds[executor.draw(0...(kinds.count - 1))]
        return JobFailure(
            code, "the model failed", retryAfter: executor.chance(30) ? .milliseconds(executor.draw(0...9000)) : nil,
            blame: blame)
    }

    /// How each call of the model for a job without hope fails; what is not its own doing at once, since a time-out before that
    /// would be an attempt.
    private static func hopelessReaction(_ draw: inout SeededGenerator) -> SimulatedModel.Reaction {
        switch Int.random(in: 0..<4, using: &draw) {
        case 0: .failsAtOnce(JobFailure(.modelUnavailable, "502", blame: .gateway))
        case 1: .failsAtOnce(JobFailure(.rateLimited, "429", blame: .overload))
        default: .fails(JobFailure(.modelUnavailable, "500"))
        }
    }

    /// One seed in so many is a crowd.
    private static let crowdEvery: UInt64 = 50

    package func run() -> Report { seed % Self.crowdEvery == 7 ? SimulatedCrowd(seed: seed).run() : runDay() }

    private func runDay() -> Report {
        var draw = SeededGenerator(seed: seed ^ 0x5EED)
        let executor = SimulatedExecutor(seed: seed)
        let ledger = Ledger()
        let failing = [0, 20, 60].randomElement(using: &draw) ?? 0
        // Of a generator of its own, so that the other draws of a seed are as they were.
        var shares = SeededGenerator(seed: seed ^ 0x5A4E)
        let isSharing = shares.chance(40)
        var agency = SeededGenerator(seed: seed ^ 0xA6E7)
        let agents = agency.chance(30) ? ["sales", "returns"] : []
        // Likewise. So slow that those who wait in another worker are given pieces.
        var slowness = SeededGenerator(seed: seed ^ 0x570)
        let isSlow = isSharing && slowness.chance(40)
        let modelTimeout = Duration.milliseconds(isSlow ? 1500 : 300)
        var messages = SimulatedMessages.draw(&draw, sharing: isSharing, alike: isSlow, agents: isSlow ? [] : agents)
        ledger.sharesCalls = isSharing
        // Likewise.
        var another = SeededGenerator(seed: seed ^ 0x10CA1)
        var fullQueues = SeededGenerator(seed: seed ^ 0xF011)
        let poison = Set(messages.flatMap(\.messages).filter(\.isPoison).compactMap(\.id))
        let hopeless = Set(messages.flatMap(\.messages).filter(\.isHopeless).compactMap(\.id))
        let isLocal = another.chance(15) && poison.isEmpty
        let hopelessReaction = Self.hopelessReaction(&another)
        let jobs = messages.flatMap(\.messages).filter { $0.refusal == nil }.compactMap(\.id)
        let unreadable = another.chance(10) ? jobs.randomElement(using: &another) : nil
        // Once in 60,000 schedules such a call outlives its job's delivery, and a second one begins (seed 1027988): not looked into.
        ledger.hedgesCalls = isSlow
        var latencies = Latencies.wild
        if isSlow { latencies.model = .milliseconds(1) ... .seconds(2) }
        let model = SimulatedModel(
            executor: executor, ledger: ledger, latencies: latencies, isLocal: isLocal,
            isConstant: isSlow && slowness.chance(50)
        ) { job in
            if poison.contains(job.id) { return .kills }
            if hopeless.contains(job.id) { return hopelessReaction }
            return executor.chance(failing) ? .fails(Self.failure(executor)) : .answers
        }
        // Likewise.
        var nights = SeededGenerator(seed: seed ^ 0xBA7C4)
        let isNight = nights.chance(25) && poison.isEmpty && !isLocal && !isSharing
        var bulk: Set<JobID> = []
        if isNight { bulk = SimulatedMessages.makeBulk(of: &messages, &nights) }
        let provider =
            isNight
            ? SimulatedProvider(
                executor: executor, ledger: ledger, failing: failing, mostLines: nights.chance(30) ? 2 : 1000
            ) { job in
                guard hopeless.contains(job.id) else { return nil }
                switch hopelessReaction {
                case .fails(let failure), .failsAtOnce(let failure): return failure
                case .answers, .kills: return nil
                }
            } : nil
        var all = SimulatedWorker.Services(
            executor: executor, ledger: ledger,
            broker: SimulatedBroker(executor: executor, ledger: ledger, latencies: .wild, givesAll: false),
            store: SimulatedStore(executor: executor, ledger: ledger, latencies: .wild), model: model,
            passages: draw.chance(80)
                ? SimulatedPassages(
                    executor: executor, latencies: .wild, ready: draw.chance(80), failing: draw.chance(30) ? 20 : 0)
                : nil,
            answers: isSharing && shares.chance(70) ? SimulatedCache(executor: executor, latencies: .wild) : nil,
            agents: agents)
        all.provider = provider
        ledger.isIncomplete = isNight || isLocal
        all.batches = isNight ? SimulatedBatchBook(executor: executor, latencies: .wild) : nil
        // Likewise.
        var places = SeededGenerator(seed: seed ^ 0xE4D5)
        if places.chance(30), !isLocal {
            all.endpoints = .draw(&places, executor: executor, timeout: modelTimeout)
        }
        let services = all
        var configuration = PipelineConfiguration()
        configuration.window = Int.random(in: 1...8, using: &draw)
        configuration.answering.agent.modelConcurrency = Int.random(in: 1...6, using: &draw)
        configuration.answering.agent.modelTimeout = modelTimeout
        configuration.answering.agent.retrievalTimeout = .milliseconds(500)
        configuration.answering.breakerThreshold = Int.random(in: 1...6, using: &draw)
        configuration.answering.priorityMaxWait = .milliseconds(Int.random(in: 50...2000, using: &draw))
        configuration.retry.maxAttempts = Int.random(in: 1...4, using: &draw)
        configuration.retry.base = .milliseconds(100)
        configuration.retry.max = .seconds(2)
        configuration.retry.maxDeliveries = Int.random(in: 1...3, using: &draw)
        if isSharing { configuration.answering.cache = .draw(&shares) }
        // What is started over is found again.
        if isSlow { configuration.answering.cache?.storeLife = .seconds(600) }
        ledger.startsOver = !isSharing || isSlow
        var ceilings = SeededGenerator(seed: seed ^ 0xCE11)
        if ceilings.chance(30) {
            configuration.inFlight = TenantCeiling(everybody: .random(in: 1...3, using: &ceilings))
        }
        if ceilings.chance(30) {
            configuration.chunksPerSecond = TenantCeiling(everybody: .random(in: 1...30, using: &ceilings))
        }
        let workers = draw.chance(50) || isSlow ? 2 : 1
        let day = SimulatedDay(
            services: services, configuration: configuration, workers: workers,
            prefetch: Int.random(in: 1...12, using: &draw), messages: messages,
            faults: SimulatedFault.draw(workers: workers, &draw) + SimulatedFault.drawFullQueues(&fullQueues)
                + (isNight ? SimulatedFault.drawNight(&nights) : []))
        let outcome = executor.run {
            if let unreadable { await services.store.seed(unreadable, unreadable: Array("{".utf8), .succeeded) }
            await day.run()
            await services.store.noteAllLostCalls()
        }
        if executor.strays > 0 {
            ledger.violation("\(executor.strays) jobs left the executor: the run cannot be replayed")
        }
        for violation in provider?.violations(asked: model.calls, bulk: bulk) ?? [] { ledger.violation(violation) }
        ledger.checkEnd(configuration, searchesFail: services.passages?.failing ?? 0 > 0 || isSharing)
        return Report(
            seed: seed, outcome: outcome, violations: ledger.violations, events: ledger.events,
            batches: provider?.made ?? 0, relayed: services.answers?.relayed ?? 0)
    }
}

extension CacheSettings {
    static func draw(_ draw: inout SeededGenerator) -> CacheSettings {
        CacheSettings(
            keys: AnswerKeys(scope: .tenant),
            memory: draw.chance(80) ? 1 << 20 : 0,
            memoryLife: .milliseconds(Int.random(in: 1...1000, using: &draw)),
            storeLife: .milliseconds(Int.random(in: 1...3000, using: &draw)), jitter: 0.1,
            stale: draw.chance(50) ? .seconds(2) : .zero, passages: draw.chance(50) ? 1 << 16 : 0)
    }
}

extension Ledger {
    func checkEnd(_ configuration: PipelineConfiguration, searchesFail: Bool = false) {
        state.withLock { $0.checkEnd(configuration, searchesFail: searchesFail) }
    }
}
