import ChatJobs

/// Answers that may be given again: those of this worker in memory, those of all in a store (`cache.*`).
///
/// Not Sendable: it belongs to ``Answering``, on whose executor all of it runs.
final class AnswerCache {
    private let settings: CacheSettings
    private let store: (any AnswerStore)?
    private let passageSource: (any PassageSource)?
    private let clock: any PipelineClock
    private var memory: AnswerMemory
    private let metrics: CacheMetrics

    /// Which state of the vector store is answered from, and when that was looked at last.
    private var knowledge: String?
    private var looked: Duration?
    private var isLooking = false

    /// Looked at again when it is older, and relied on until then.
    private static let lookAfter = Duration.seconds(1)
    /// When it is older, nothing is shared before it has been looked at.
    private static let trustFor = Duration.seconds(3)

    init(
        settings: CacheSettings, store: (any AnswerStore)?, passageSource: (any PassageSource)?,
        clock: any PipelineClock
    ) {
        self.settings = settings
        self.store = store
        self.passageSource = passageSource
        self.clock = clock
        memory = AnswerMemory(capacity: settings.memory)
        metrics = CacheMetrics()
    }

    // MARK: - Keys

    /// How well the state of the vector store is known.
    enum Knowledge { case fresh, old, unknown }

    func needsKnowledge(_ job: Job) -> Bool { passageSource != nil && settings.keys.needsKnowledge(job) }

    /// - Parameter isNeeded: jobs need it before they have keys.
    func knowledge(isNeeded: Bool) -> Knowledge {
        guard isNeeded else { return .fresh }
        guard let age = looked.map({ clock.now - $0 }), age < Self.trustFor else { return .unknown }
        return age < Self.lookAfter || isLooking ? .fresh : .old
    }

    /// Looks at the vector store, unless it is known to be away: then nothing that rests on it is shared.
    func look(isAway: Bool) async {
        isLooking = true
        let found = isAway ? nil : await passageSource?.version()
        knowledge = found
        looked = clock.now
        isLooking = false
    }

    /// Nil when the job's answer is not shared.
    func key(of job: Job) -> AnswerKey? {
        settings.keys.key(of: job, knowledge: passageSource == nil ? "none" : knowledge)
    }

    // MARK: - Finding

    /// What is in memory, and counts as asked for.
    func inMemory(_ key: AnswerKey) -> Found? {
        guard settings.memory > 0, let (answer, isFresh) = memory.answer(to: key, now: clock.now) else { return nil }
        return Found(answer: answer, tier: .memory, isFresh: isFresh)
    }

    /// Whether the store is asked for what is not in memory.
    var hasStore: Bool { store != nil }

    /// What is in the store, in one round trip.
    func inStore(_ keys: [AnswerKey]) async -> [AnswerKey: Found] {
        guard let store, !keys.isEmpty else { return [:] }
        let kept = await store.answers(to: keys)
        let wall = clock.wall
        return kept.mapValues { Found(answer: $0, tier: .redis, isFresh: $0.freshUntil > wall) }
    }

    /// An answer that was found.
    struct Found: Sendable {
        let answer: KeptAnswer
        let tier: Reply.Cached
        /// If not, it may stand in while the model is away.
        let isFresh: Bool
    }

    func reuse(_ found: Found) -> Reuse {
        metrics.hit(found.tier, found.answer.answer.usage)
        return Reuse(found.tier, age: max(.zero, clock.wall.since(found.answer.made)), isStale: !found.isFresh)
    }

    func missed() { metrics.misses.increment() }
    func joined(_ usage: Usage) { metrics.hit(.coalesced, usage) }

    // MARK: - Keeping

    /// Keeps in memory what was found in the store.
    func remember(_ found: Found, as key: AnswerKey) {
        remember(found.answer, as: key, found.answer.freshUntil.since(clock.wall))
    }

    /// Keeps an answer that was just made in memory.
    ///
    /// - Returns: what is to be done for it to be in the store, too.
    func keep(_ answer: Answer, as key: AnswerKey) -> (@Sendable () async -> Void)? {
        let life = settings.life(random: clock.random())
        let longest = max(life, settings.memoryLife)
        let wall = clock.wall
        let kept = KeptAnswer(
            answer, made: wall,
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

    package init(
        keys: AnswerKeys, memory: Int, memoryLife: Duration, storeLife: Duration, jitter: Double, stale: Duration
    ) {
        self.keys = keys
        self.memory = memory
        self.memoryLife = memoryLife
        self.storeLife = storeLife
        self.jitter = jitter
        self.stale = stale
    }

    /// - Parameter random: 0 ..< 1.
    func life(random: Double) -> Duration { storeLife * (1 + jitter * (2 * random - 1)) }
}
