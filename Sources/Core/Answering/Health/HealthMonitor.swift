import Logging
import Metrics
import Synchronization

/// Looks after the services that jobs need: an outage is not an error of any job. What needs a service asks here whether it
/// is there, and reports here what came of a call; while it is down somebody looks whether it has come back.
///
/// It runs on the executor of the parts that ask it, so that they can ask without waiting.
package actor HealthMonitor {
    /// How one finds out whether a service is back.
    package protocol Probe: Sendable {
        /// Returns when the broker or the store may be asked again, or the task is cancelled.
        func untilAvailable(_ dependency: Dependency) async
        /// Whether the embedder, vector store or model answers.
        func isThere(_ dependency: Dependency) async -> Bool
    }

    /// Told, on the executor, of each change.
    package typealias Observer = @Sendable (_ dependency: Dependency, _ change: Change) -> Void

    package enum Change: Sendable, Equatable {
        /// - waitsHere: it is a pause so short that what needs the service waits for its end.
        case down(waitsHere: Bool)
        /// - slowly: after an outage, not after a pause.
        case up(slowly: Bool)
    }

    private nonisolated let executor: any SerialExecutor & TaskExecutor
    package nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    private let probe: any Probe
    private let clock: any PipelineClock
    private let longestPause: Duration
    private let logger: Logger
    private var health: DependencyHealth {
        didSet { isSpotless.store(false, ordering: .relaxed) }
    }
    /// Nothing has failed yet, which holds for most of most workers' lives: then to ask costs nothing.
    private nonisolated let isSpotless = Atomic(true)
    private var observers: [Observer] = []
    private var watches: [Dependency: Task<Void, Never>] = [:]
    private var isStopped = false

    /// Pauses up to this are waited out where the work is; for a longer one the broker is the better place.
    private static let shortPause = Duration.seconds(5)
    private static let longestFlap = Duration.seconds(5)

    /// - Parameter chains: the models of each agent, any of which will do; the default agent's first.
    package init(
        probe: any Probe, chains: [[Dependency]], clock: any PipelineClock, configuration: AnsweringConfiguration,
        executor: any SerialExecutor & TaskExecutor, logger: Logger
    ) {
        self.probe = probe
        self.clock = clock
        self.executor = executor
        self.logger = logger
        longestPause = configuration.longestPause
        health = DependencyHealth(threshold: configuration.breakerThreshold, chains: chains)
    }

    package func observe(_ observer: @escaping Observer) { observers.append(observer) }

    /// Nothing is looked after any more: the worker is leaving.
    package func stop() {
        isStopped = true
        for dependency in watches.keys.sorted() { watches[dependency]?.cancel() }
    }

    // MARK: - Questions, from code on the same executor

    /// How jobs are to be taken.
    package nonisolated var intake: IntakeMode { assumeIsolated { $0.health.intake } }

    package nonisolated func isDown(_ dependency: Dependency) -> Bool {
        if isSpotless.load(ordering: .relaxed) { return false }
        return assumeIsolated { $0.health.down(dependency) != nil }
    }

    /// What a job that needs the service is told while it is down; nil when it is not.
    nonisolated func absence(of dependency: Dependency) -> (reason: String, retryAfter: Duration?)? {
        if isSpotless.load(ordering: .relaxed) { return nil }
        return assumeIsolated { monitor in
            monitor.health.down(dependency).map { down in
                (down.reason, down.pausedUntil.map { max(.zero, $0 - monitor.clock.now) })
            }
        }
    }

    /// The services that are down, with the reasons.
    package var allDown: [Dependency: String] { health.allDown }

    // MARK: - Reports

    nonisolated func succeeded(_ dependency: Dependency) {
        if isSpotless.load(ordering: .relaxed) { return }
        assumeIsolated { $0.health.succeeded(dependency) }
    }

    /// - Parameter failure: what the failed call shows of the service.
    nonisolated func failed(_ dependency: Dependency, _ reason: String, _ failure: Breaker.Failure) {
        assumeIsolated { monitor in
            guard monitor.health.failed(dependency, reason, failure, now: monitor.clock.now) else { return }
            monitor.wentDown(dependency, reason, waitsHere: false)
        }
    }

    /// The service wants to be left alone. Whatever it asks for, it is asked again before long.
    nonisolated func pause(_ dependency: Dependency, _ reason: String, for wish: Duration?) {
        assumeIsolated { monitor in
            let pause = min(wish ?? .seconds(1), max(monitor.longestPause, .seconds(60)))
            let now = monitor.clock.now
            guard monitor.health.markDown(dependency, reason, pausedUntil: now + pause, now: now) else { return }
            monitor.wentDown(dependency, reason, waitsHere: pause <= Self.shortPause)
        }
    }

    /// Performs `step` until it succeeds, waiting while what it needs is down; false when the task is cancelled first.
    ///
    /// For broker and store: at their first failure nothing more can be done without them.
    package nonisolated(nonsending) func insist(_ step: () async throws(Outage) -> Void) async -> Bool {
        while true {
            do throws(Outage) {
                try await step()
                return true
            } catch {
                if Task.isCancelled { return false }
                await waitOut(error)
            }
        }
    }

    /// Waits until what was away may be asked again, or the task is cancelled.
    package nonisolated(nonsending) func waitOut(_ outage: Outage) async {
        markDown(outage.dependency, outage.reason)
        await probe.untilAvailable(outage.dependency)
    }

    private nonisolated func markDown(_ dependency: Dependency, _ reason: String) {
        assumeIsolated { monitor in
            guard monitor.health.markDown(dependency, reason, now: monitor.clock.now) else { return }
            monitor.wentDown(dependency, reason, waitsHere: true)
        }
    }

    // MARK: - Down and up again

    private func wentDown(_ dependency: Dependency, _ reason: String, waitsHere: Bool) {
        record(dependency, isDown: true)
        logger.log(
            level: health.flaps(dependency) == 0 ? .warning : .debug,
            health.intake == .paused
                ? "a service is away: no more jobs are taken until it is back"
                : "a service is away: jobs that need it are put off until it is back",
            metadata: ["service": "\(dependency)", "reason": "\(reason)"])
        watches[dependency] = Task.detached(executorPreference: executor) { await self.watch(dependency) }
        if isStopped { watches[dependency]?.cancel() }
        for observer in observers { observer(dependency, .down(waitsHere: waitsHere)) }
    }

    /// In one step with its breaker: a call that fails at once must find the service either down or up, or nobody would
    /// look after it any more.
    private func cameBack(_ dependency: Dependency) {
        watches[dependency] = nil
        guard let down = health.markUp(dependency, now: clock.now) else { return }
        record(dependency, isDown: false)
        logger.log(
            level: health.flaps(dependency) == 0 ? .notice : .debug, "a service is back",
            metadata: ["service": "\(dependency)"])
        let isAfterOutage = down.pausedUntil == nil && down.failure == .absent
        for observer in observers { observer(dependency, .up(slowly: isAfterOutage)) }
    }

    private func watch(_ dependency: Dependency) async {
        if let end = health.down(dependency)?.pausedUntil {
            await clock.sleep(for: end - clock.now)
        } else if dependency.kind == .redis || dependency.kind == .rabbitMQ {
            // One that can be reached and refuses all the same would come and go several times a second.
            let flaps = health.flaps(dependency)
            if flaps > 0 { await clock.sleep(for: min(Self.longestFlap, .milliseconds(250) * (1 << min(flaps, 10)))) }
            await probe.untilAvailable(dependency)
        } else {
            await untilItAnswers(dependency)
        }
        if !Task.isCancelled { cameBack(dependency) }
    }

    private func untilItAnswers(_ dependency: Dependency) async {
        while !Task.isCancelled {
            // Spread, so that the workers of a service do not all knock at once.
            await clock.sleep(for: health.rest(dependency) * (0.75 + clock.random() / 2))
            if Task.isCancelled { return }
            if await probe.isThere(dependency) { return }
            health.probeFailed(dependency)
        }
    }

    private func record(_ dependency: Dependency, isDown: Bool) {
        Gauge(label: "parley_service_away", dimensions: [("service", dependency.description)]).record(isDown ? 1 : 0)
    }
}
