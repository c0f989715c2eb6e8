import ChatJobs
import Pipeline

/// Redis, as the pipeline sees it: the first success of an id stays; it can be away for a while, and an answer can be
/// lost on the way back although the command was done.
public actor SimulatedStore {
    private nonisolated let executor: SimulatedExecutor
    public nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    private let ledger: Ledger
    private let latencies: Latencies
    private var results: [JobID: (body: [UInt8], status: Reply.Status)] = [:]
    private var awayUntil: Duration = .zero
    private var outages = 0
    private var lastEffect: Duration = .zero
    private var lastAnswer: Duration = .zero

    public init(executor: SimulatedExecutor, ledger: Ledger, latencies: Latencies) {
        self.executor = executor
        self.ledger = ledger
        self.latencies = latencies
    }

    /// Not reachable for `duration` from now; what is under way is lost.
    public func goAway(for duration: Duration) {
        awayUntil = max(awayUntil, executor.now + duration)
        outages += 1
    }

    /// What is stored under `id`.
    public func stored(_ id: JobID) -> Reply? { results[id].flatMap { try? Reply(decoding: $0.body) } }

    /// Stores a reply before the run.
    public func seed(_ id: JobID, _ reply: Reply) {
        results[id] = (reply.encoded(), reply.status)
        ledger.stored(id, reply.encoded(), reply.status)
    }

    func lookup(_ ids: [JobID], _ life: ProcessLife) async throws(Outage) -> [[UInt8]?] {
        try await perform(life) { ids.map { self.results[$0]?.body } }
    }

    func store(
        _ id: JobID, _ reply: [UInt8], _ status: Reply.Status, _ life: ProcessLife
    ) async throws(Outage) -> [UInt8]? {
        try await perform(life) {
            if let kept = self.results[id], kept.status == .succeeded { return kept.body }
            self.results[id] = (reply, status)
            self.ledger.stored(id, reply, status)
            return nil
        }
    }

    func untilAvailable() async {
        await executor.sleep(.milliseconds(50))
        await executor.sleep(until: awayUntil)
    }

    /// Commands are done, and answered, in the order in which they were sent, as on one connection.
    private func perform<T>(_ life: ProcessLife, _ command: () -> T) async throws(Outage) -> T {
        let outagesBefore = outages
        let away = Outage(service: "store", reason: "away")
        lastEffect = max(lastEffect + .microseconds(1), executor.now + executor.draw(latencies.store))
        let effect = lastEffect
        lastAnswer = max(lastAnswer + .microseconds(1), effect + executor.draw(latencies.store))
        let answer = lastAnswer
        await executor.sleepUncancelled(until: effect)
        guard life.isAlive, outages == outagesBefore, executor.now >= awayUntil else { throw away }
        let result = command()
        await executor.sleepUncancelled(until: answer)
        guard life.isAlive, outages == outagesBefore else { throw away }
        return result
    }
}

/// One worker's connection to a ``SimulatedStore``.
public struct SimulatedResults: ResultStore {
    let store: SimulatedStore
    let life: ProcessLife

    public init(store: SimulatedStore, life: ProcessLife) {
        self.store = store
        self.life = life
    }

    nonisolated(nonsending) public func lookup(_ ids: [JobID]) async throws(Outage) -> [[UInt8]?] {
        try await store.lookup(ids, life)
    }

    nonisolated(nonsending) public func store(
        _ id: JobID, _ reply: [UInt8], status: Reply.Status
    ) async throws(Outage) -> [UInt8]? {
        try await store.store(id, reply, status, life)
    }

    nonisolated(nonsending) public func untilAvailable() async {
        if life.isAlive { await store.untilAvailable() }
    }
}
