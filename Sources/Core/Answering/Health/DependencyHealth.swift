/// How jobs are taken.
package enum IntakeMode: Sendable, Equatable {
    case open
    /// Some jobs could not be answered now: they are put aside, the others go on. Jobs are taken a window a second, so
    /// that a backlog is not turned over for nothing.
    case restricted
    /// No job could be answered.
    case paused
}

/// What is known of the services that jobs need: which are down, since when and why, and what that stops. A value; the
/// ``HealthMonitor`` performs.
struct DependencyHealth: Sendable {
    /// Why a service is not to be asked.
    struct Down: Sendable, Equatable {
        /// What was last heard of it.
        let reason: String
        /// It answers, and wants to be left alone until then.
        let pausedUntil: Duration?
        /// Nobody is there, or what answers is ill.
        let failure: Breaker.Failure
    }

    private struct Entry {
        var breaker: Breaker
        var down: Down?
        /// When it was last lost or found to be back.
        var changed: Duration?
        /// How often in a row it was lost again soon after its return.
        var flaps = 0
    }

    /// A service that is lost again so soon after its return was not really back.
    static let steady = Duration.seconds(10)

    private let threshold: Int
    /// The models of each agent, any of which will do; the default agent's first.
    private let chains: [[Dependency]]
    private var entries: [Dependency: Entry] = [:]
    /// How many are down: mostly none, so that to look costs nothing.
    private var downCount = 0

    /// - Parameter threshold: failures in a row after which a service counts as down.
    init(threshold: Int, chains: [[Dependency]] = [[.model]]) {
        self.threshold = threshold
        self.chains = chains
    }

    private func entry(_ dependency: Dependency) -> Entry {
        entries[dependency] ?? Entry(breaker: Breaker(threshold: threshold))
    }

    // MARK: - Questions

    func down(_ dependency: Dependency) -> Down? { downCount == 0 ? nil : entries[dependency]?.down }

    /// Those that are down, with the reasons.
    var allDown: [Dependency: String] { downCount == 0 ? [:] : entries.compactMapValues { $0.down?.reason } }

    /// It comes and goes.
    func flaps(_ dependency: Dependency) -> Int { entries[dependency]?.flaps ?? 0 }

    /// How long to leave it alone before the next probe.
    func rest(_ dependency: Dependency) -> Duration { entry(dependency).breaker.rest }

    /// Broker, store and a model of the default agent's are needed by every job; passages are not, nor is a model of another
    /// agent's. A model that is away stops nobody while another stands in for it.
    var intake: IntakeMode {
        guard downCount > 0 else { return .open }
        var mode = IntakeMode.open
        for (dependency, entry) in entries where entry.down != nil {
            switch dependency.kind {
            case .rabbitMQ, .redis: return .paused
            case .embeddings, .vectors: mode = .restricted
            case .model: continue
            }
        }
        for (place, chain) in chains.enumerated() where chain.allSatisfy({ down($0) != nil }) {
            if place == 0 { return .paused }
            mode = .restricted
        }
        return mode
    }

    // MARK: - Events

    /// True when it was up until now.
    mutating func markDown(
        _ dependency: Dependency, _ reason: String, _ failure: Breaker.Failure = .absent,
        pausedUntil: Duration? = nil, now: Duration
    ) -> Bool {
        var entry = entry(dependency)
        guard entry.down == nil else { return false }
        entry.down = Down(reason: reason, pausedUntil: pausedUntil, failure: failure)
        entry.flaps = entry.changed.map { now - $0 < Self.steady ? entry.flaps + 1 : 0 } ?? 0
        entry.changed = now
        if pausedUntil != nil { entry.breaker.open() }
        entries[dependency] = entry
        downCount += 1
        return true
    }

    /// What it was down with; nil when it was not.
    mutating func markUp(_ dependency: Dependency, now: Duration) -> Down? {
        guard var entry = entries[dependency], let down = entry.down else { return nil }
        entry.down = nil
        entry.changed = now
        entry.breaker.recovered()
        entries[dependency] = entry
        downCount -= 1
        return down
    }

    /// A call was answered with something of use.
    mutating func succeeded(_ dependency: Dependency) {
        // The common case costs a look-up.
        guard entries[dependency] != nil else { return }
        entries[dependency]?.breaker.succeeded()
    }

    /// A call has failed. True when the service counts as down by it.
    mutating func failed(
        _ dependency: Dependency, _ reason: String, _ failure: Breaker.Failure, now: Duration
    ) -> Bool {
        var entry = entry(dependency)
        let opens = entry.breaker.failed(failure)
        entries[dependency] = entry
        return opens && markDown(dependency, reason, failure, now: now)
    }

    mutating func probeFailed(_ dependency: Dependency) { entries[dependency]?.breaker.probeFailed() }
}
