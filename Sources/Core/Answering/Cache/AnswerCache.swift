import ChatJobs
import Glibc
import ParleyPrimitives

/// Answers that may be given again: those of this worker in memory, those of all in a store (`cache.*`).
///
/// Not Sendable: it belongs to ``Answering``, on whose executor all of it runs.
final class AnswerCache {
    private let settings: CacheSettings
    private let store: (any AnswerStore)?
    private let clock: any PipelineClock
    private var memory: AnswerMemory
    private let metrics: CacheMetrics

    private var knowledge = Knowledge()
    private var passages: FoundPassages

    init(settings: CacheSettings, store: (any AnswerStore)?, clock: any PipelineClock) {
        self.settings = settings
        self.store = store
        self.clock = clock
        memory = AnswerMemory(capacity: settings.memory)
        passages = FoundPassages(capacity: settings.passages)
        metrics = CacheMetrics()
    }

    // MARK: - Keys

    /// The agents whose stores have to be looked at before jobs have keys that hold.
    func agentsToLookAt(for routes: [Route]) -> (old: [Agent], unknown: [Agent]) {
        var (old, unknown): ([Agent], [Agent]) = ([], [])
        var asked: Set<Dependency> = []
        for route in routes where route.retrieve != .never {
            let agent = route.agent
            switch knowledge.age(of: agent, now: clock.now) {
            case .fresh: continue
            case .old: if asked.insert(agent.vectors).inserted { old.append(agent) }
            case .unknown: if asked.insert(agent.vectors).inserted { unknown.append(agent) }
            }
        }
        return (old, unknown)
    }

    /// Looks at an agent's vector store, unless it is known to be away: then nothing that rests on it is shared.
    func look(at agent: Agent, isAway: Bool) async {
        knowledge.looks(at: agent)
        let state = isAway ? nil : await agent.passageSource?.state()
        knowledge.found(state, at: agent, now: clock.now)
    }

    /// Nil when the job's answer is not shared.
    func key(of job: Job, _ route: Route) -> AnswerKey? {
        settings.keys.key(of: job, route, knowledge: knowledge.state(of: route.agent))
    }

    // MARK: - Passages

    /// The state of an agent's knowledge; nil when it is not known, or was looked at too long ago.
    func state(of agent: Agent) -> KnowledgeState? {
        knowledge.age(of: agent, now: clock.now) == .unknown ? nil : knowledge.state(of: agent)
    }

    /// What was found for a question before; nil when it has to be looked for.
    func passages(for question: PassageFinder.Question, _ agent: Agent) -> [Source]? {
        guard settings.passages > 0, let state = state(of: agent),
            let found = passages.sources(for: question, agent, state, now: clock.now)
        else { return nil }
        agent.metrics.retrievalsReused.increment()
        return found
    }

    /// Keeps what a search has found.
    ///
    /// - Parameter state: of the knowledge when it began: what was found while that changed is not kept.
    func keep(
        _ found: WindowSearch.Passages, for question: PassageFinder.Question, _ agent: Agent, _ state: KnowledgeState
    ) {
        guard settings.passages > 0, case .success(let sources) = found, state == self.state(of: agent) else { return }
        passages.keep(sources, for: question, agent, state, now: clock.now)
    }

    // MARK: - Finding

    /// What is in memory, and counts as asked for.
    func inMemory(_ key: AnswerKey) -> Found? {
        guard settings.memory > 0, let (answer, isFresh) = memory.answer(to: key, now: clock.now) else { return nil }
        return Found(answer: answer, tier: .memory, isFresh: isFresh)
    }

    /// Whether the store is asked for what is not in memory.
    var hasStore: Bool { store != nil }

    /// What is in the store, in one round trip, and who makes what is not. Nothing of what the store does not know.
    ///
    /// - Parameter heard: of those that somebody wants in pieces, what has been heard.
    func inStore(_ keys: [AnswerKey], heard: [AnswerKey: HeardPieces] = [:]) async -> [AnswerKey: Standing] {
        guard let store, !keys.isEmpty else { return [:] }
        let standings = await store.look(for: keys, stale: settings.stale, heard: heard)
        let wall = clock.wall
        return standings.mapValues { standing in
            Standing(
                found: standing.kept.map { Found(answer: $0, tier: .redis, isFresh: $0.freshUntil > wall) },
                maker: standing.maker, pieces: standing.pieces)
        }
    }

    struct Standing: Sendable {
        let found: Found?
        let maker: AnswerStanding.Maker
        let pieces: SaidPieces?
    }

    /// Others may make these answers.
    func giveUp(_ keys: [AnswerKey]) async {
        if !keys.isEmpty { await store?.giveUp(keys) }
    }

    /// An answer that was found.
    struct Found: Sendable {
        let answer: KeptAnswer
        let tier: Reply.Cached
        /// If not, it may stand in while the model is away.
        let isFresh: Bool
    }

    /// - Parameter source: when it is not where it was found.
    func reuse(_ found: Found, as source: Reply.Cached? = nil) -> Reuse {
        let source = source ?? found.tier
        metrics.hit(source, found.answer.answer.usage)
        return Reuse(source, age: max(.zero, clock.wall.since(found.answer.made)), isStale: !found.isFresh)
    }

    func missed() { metrics.misses.increment() }
    func joined(_ usage: Usage) { metrics.hit(.coalesced, usage) }

    /// Whether the store has an answer for so long, at least.
    func keepsInStore(for time: Duration) -> Bool { store != nil && settings.life(random: 0) > time }

    // MARK: - Renewing

    /// Whether a fresh answer is to be made anew: the more likely the nearer its end and the longer it takes to make. So one
    /// that is asked for often is renewed before it expires, by one of many who ask, and one that is not is let go (Vattani,
    /// Chierichetti and Lowenstein, Optimal Probabilistic Cache Stampede Prevention, VLDB 2015).
    func isDue(_ found: Found) -> Bool {
        guard settings.renewsAhead, found.isFresh, found.answer.took > .zero else { return false }
        let left = found.answer.freshUntil.since(clock.wall)
        // Beyond that the odds are one in ten million.
        guard left < found.answer.took * 16 else { return false }
        return left < found.answer.took * -log(max(clock.random(), .leastNonzeroMagnitude))
    }

    /// Whether this worker is to make the answer. One that another has made meanwhile is kept in memory.
    func renew(_ found: Found, as key: AnswerKey) async -> Bool {
        guard let store, settings.storeLife > .zero else { return true }
        let left = found.answer.freshUntil.since(clock.wall) + settings.stale
        switch await store.renew(key, left: left) {
        case .thisWorker: return true
        case .another: return false
        case .nobody(let kept):
            remember(kept, as: key, kept.freshUntil.since(clock.wall))
            return false
        }
    }

    func renewed() { metrics.renewals.increment() }

    // MARK: - Keeping

    /// Keeps in memory what was found in the store.
    func remember(_ found: Found, as key: AnswerKey) {
        remember(found.answer, as: key, found.answer.freshUntil.since(clock.wall))
    }

    /// Keeps an answer that was just made in memory.
    ///
    /// - Parameters:
    ///   - took: how long it took to make.
    ///   - isStandIn: a fallback made it: it is kept for `cache.memory_ttl` at most, in the store too. The agent's own
    ///     model may be back soon.
    /// - Returns: what is to be done for it to be in the store, too.
    func keep(
        _ answer: Answer, took: Duration, as key: AnswerKey, isStandIn: Bool = false
    ) -> (@Sendable () async -> Void)? {
        let random = settings.life(random: clock.random())
        let life = isStandIn ? min(random, settings.memoryLife) : random
        let longest = max(life, settings.memoryLife)
        let wall = clock.wall
        let kept = KeptAnswer(
            answer, took: took, made: wall,
            freshUntil: Timestamp(milliseconds: wall.milliseconds + Int64(longest / .milliseconds(1))))
        remember(kept, as: key, longest)
        guard let store, life > .zero else { return nil }
        let whole = life + settings.stale
        return { await store.keep(kept, as: key, for: whole) }
    }

    private func remember(_ answer: KeptAnswer, as key: AnswerKey, _ left: Duration) {
        guard settings.memory > 0 else { return }
        memory.keep(answer, as: key, now: clock.now, life: min(left, settings.memoryLife), stale: settings.stale)
        metrics.bytes.record(memory.bytes)
        metrics.entries.record(memory.count)
    }
}

/// That an answer was not made for the job that it is given to.
package struct Reuse: Sendable, Equatable {
    package let from: Reply.Cached
    package let age: Duration
    /// It stands in while the model is away.
    package let isStale: Bool

    init(_ from: Reply.Cached, age: Duration = .zero, isStale: Bool = false) {
        self.from = from
        self.age = age
        self.isStale = isStale
    }
}

/// `cache.*`
package struct CacheSettings: Sendable {
    package var keys: AnswerKeys
    /// `cache.memory`: bytes. 0: none is kept in memory.
    package var memory: Int
    /// `cache.memory_ttl`.
    package var memoryLife: Duration
    /// `cache.ttl`: in the store. 0: none is kept there.
    package var storeLife: Duration
    /// `cache.ttl_jitter`: the fraction by which each life varies either way, so that what was asked together does not
    /// expire together.
    package var jitter: Double
    /// `cache.stale`: for so long an expired answer may stand in while the model is away.
    package var stale: Duration
    /// `cache.passages`: bytes. 0: every question is looked for.
    package var passages: Int
    /// `cache.refresh_ahead`: what is asked for often is made anew before it expires.
    package var renewsAhead: Bool

    package init(
        keys: AnswerKeys, memory: Int, memoryLife: Duration, storeLife: Duration, jitter: Double, stale: Duration,
        passages: Int = 0, renewsAhead: Bool = true
    ) {
        self.keys = keys
        self.memory = memory
        // What Redis lets go is not given from memory.
        self.memoryLife = storeLife > .zero ? min(memoryLife, storeLife) : memoryLife
        self.storeLife = storeLife
        self.jitter = jitter
        self.stale = stale
        self.passages = passages
        self.renewsAhead = renewsAhead
    }

    /// - Parameter random: 0 ..< 1.
    func life(random: Double) -> Duration { storeLife * (1 + jitter * (2 * random - 1)) }
}
