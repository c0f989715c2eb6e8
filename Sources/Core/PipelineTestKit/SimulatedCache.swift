import Answering
import ChatJobs
import Pipeline
import Synchronization

/// The answer cache's second tier: forgets what has expired, loses what was kept while it was away, and knows who makes what.
package final class SimulatedCache: Sendable {
    private struct State {
        var kept: [AnswerKey: (bytes: [UInt8], until: Duration)] = [:]
        var makers: [AnswerKey: ProcessLife] = [:]
        /// What makers have said.
        var said: [AnswerKey: (life: ProcessLife, pieces: SaidPieces)] = [:]
        /// Whom somebody wants to hear.
        var wanted: [AnswerKey: ProcessLife] = [:]
        var relayed = 0
        var timesSaid = 0
        var awayUntil: Duration = .zero
        var asked = 0
    }

    private let state = Mutex(State())
    private let executor: SimulatedExecutor
    private let latencies: Latencies
    /// A worker's death is noticed so late.
    private static let noticed = Duration.milliseconds(1600)

    package init(executor: SimulatedExecutor, latencies: Latencies) {
        self.executor = executor
        self.latencies = latencies
    }

    /// How often answers were looked for.
    package var asked: Int { state.withLock { $0.asked } }
    /// The answers that somebody is to make.
    package var beingMade: Int { state.withLock { $0.makers.count } }

    /// How often pieces went from one worker to another.
    package var relayed: Int { state.withLock { $0.relayed } }
    /// How often a maker has said something.
    package var said: Int { state.withLock { $0.timesSaid } }
    /// The answers of which something is said.
    package var beingSaid: Int { state.withLock { $0.said.count } }

    /// Whether the worker is to make an answer.
    func isMaker(_ worker: SimulatedWorker) -> Bool {
        state.withLock { $0.makers.values.contains { $0 === worker.life } }
    }

    package func goAway(for duration: Duration) {
        let until = executor.now + duration
        state.withLock { $0.awayUntil = max($0.awayUntil, until) }
    }

    /// All that is kept is what this makes of it.
    package func damage(_ change: ([UInt8]) -> [UInt8]) {
        state.withLock { state in
            state.kept = state.kept.mapValues { (change($0.bytes), $0.until) }
        }
    }

    /// All is forgotten, who makes what included.
    package func lose() {
        state.withLock { state in
            state.kept = [:]
            state.makers = [:]
            state.said = [:]
            state.wanted = [:]
        }
    }

    /// As a worker sees it.
    func of(_ life: ProcessLife) -> SimulatedAnswerStore { SimulatedAnswerStore(cache: self, life: life) }

    fileprivate func look(
        for keys: [AnswerKey], stale: Duration, _ heard: [AnswerKey: HeardPieces], _ life: ProcessLife
    ) async -> [AnswerKey: AnswerStanding] {
        await executor.sleep(executor.draw(latencies.store))
        guard life.isAlive else { return [:] }
        let now = executor.now
        return state.withLock { state in
            state.asked += 1
            guard now >= state.awayUntil else { return [:] }
            return keys.reduce(into: [:]) { found, key in
                let held = state.kept[key].flatMap { $0.until > now ? $0 : nil }
                let kept = held.flatMap { KeptAnswer(decoding: $0.bytes) }
                if kept != nil, let held, stale == .zero || held.until - now > stale {
                    found[key] = AnswerStanding(kept: kept, maker: .nobody)
                    return
                }
                if let maker = state.makers[key], maker !== life, !maker.isOver(at: now, noticedAfter: Self.noticed) {
                    found[key] = AnswerStanding(
                        kept: kept, maker: .another,
                        pieces: heard[key].flatMap { Self.hear(key, maker, $0, &state) })
                    return
                }
                state.makers[key] = life
                found[key] = AnswerStanding(kept: kept, maker: .thisWorker)
            }
        }
    }

    private static func hear(
        _ key: AnswerKey, _ maker: ProcessLife, _ heard: HeardPieces, _ state: inout State
    ) -> SaidPieces? {
        state.wanted[key] = maker
        guard let (life, said) = state.said[key], life === maker else { return nil }
        let rest = said.text.utf8.dropFirst(heard.call == said.call ? heard.bytes : 0)
        guard !rest.isEmpty else { return nil }
        state.relayed += 1
        return SaidPieces(call: said.call, text: String(decoding: rest, as: UTF8.self))
    }

    fileprivate func followed(among keys: [AnswerKey], _ life: ProcessLife) async -> Set<AnswerKey> {
        await executor.sleep(executor.draw(latencies.store))
        let now = executor.now
        return state.withLock { state in
            guard life.isAlive, now >= state.awayUntil else { return [] }
            return Set(keys.filter { state.wanted[$0] === life })
        }
    }

    fileprivate func say(_ pieces: SaidPieces, as key: AnswerKey, isFirst: Bool, _ life: ProcessLife) async -> Bool {
        await executor.sleep(executor.draw(latencies.store))
        let now = executor.now
        return state.withLock { state in
            guard life.isAlive, now >= state.awayUntil, state.makers[key] === life else { return false }
            state.timesSaid += 1
            if isFirst {
                state.said[key] = (life, pieces)
                return true
            }
            guard let said = state.said[key], said.life === life, said.pieces.call == pieces.call else { return false }
            state.said[key] = (life, SaidPieces(call: pieces.call, text: said.pieces.text + pieces.text))
            return true
        }
    }

    fileprivate func hush(_ key: AnswerKey, _ life: ProcessLife) async {
        await executor.sleep(executor.draw(latencies.store))
        let now = executor.now
        state.withLock { state in
            guard life.isAlive, now >= state.awayUntil else { return }
            state.said[key] = nil
        }
    }

    fileprivate func renew(_ key: AnswerKey, left: Duration, _ life: ProcessLife) async -> AnswerRenewal {
        await executor.sleep(executor.draw(latencies.store))
        guard life.isAlive else { return .another }
        let now = executor.now
        return state.withLock { state in
            guard now >= state.awayUntil, state.makers[key] == nil else { return .another }
            if let held = state.kept[key], held.until - now > left + .seconds(1) {
                return KeptAnswer(decoding: held.bytes).map { .nobody($0) } ?? .another
            }
            state.makers[key] = life
            return .thisWorker
        }
    }

    fileprivate func keep(_ answer: KeptAnswer, as key: AnswerKey, for life: Duration, _ worker: ProcessLife) async {
        await executor.sleep(executor.draw(latencies.store))
        guard worker.isAlive else { return }
        let now = executor.now
        state.withLock { state in
            guard now >= state.awayUntil else { return }
            state.kept[key] = (answer.encoded(), now + life)
            state.makers[key] = nil
        }
    }

    fileprivate func giveUp(_ keys: [AnswerKey], _ worker: ProcessLife) async {
        await executor.sleep(executor.draw(latencies.store))
        guard worker.isAlive else { return }
        let now = executor.now
        state.withLock { state in
            guard now >= state.awayUntil else { return }
            for key in keys where state.makers[key] === worker { state.makers[key] = nil }
        }
    }
}

struct SimulatedAnswerStore: AnswerStore {
    let cache: SimulatedCache
    let life: ProcessLife

    func look(
        for keys: [AnswerKey], stale: Duration, heard: [AnswerKey: HeardPieces]
    ) async -> [AnswerKey: AnswerStanding] {
        await cache.look(for: keys, stale: stale, heard, life)
    }

    func followed(among keys: [AnswerKey]) async -> Set<AnswerKey> { await cache.followed(among: keys, life) }

    func say(_ pieces: SaidPieces, as key: AnswerKey, isFirst: Bool) async -> Bool {
        await cache.say(pieces, as: key, isFirst: isFirst, life)
    }

    func hush(_ key: AnswerKey) async { await cache.hush(key, life) }

    func renew(_ key: AnswerKey, left: Duration) async -> AnswerRenewal { await cache.renew(key, left: left, life) }

    func keep(_ answer: KeptAnswer, as key: AnswerKey, for life: Duration) async {
        await cache.keep(answer, as: key, for: life, self.life)
    }

    func giveUp(_ keys: [AnswerKey]) async { await cache.giveUp(keys, life) }
}
