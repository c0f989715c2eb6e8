import ChatJobs
import Metrics
import ParleyPrimitives

/// Lets calls go ahead as the limits of their model, agent and tenant allow (`limits.*`), over all workers.
///
/// Not Sendable: it belongs to ``Answering``, on whose executor all of it runs.
final class ModelLimits {
    private let rules: LimitRules
    private let areNone: Bool
    private let store: (any LimitStore)?
    private let clock: any PipelineClock
    private let executor: any TaskExecutor
    /// Runs on the executor: has ``perform(_:)`` called.
    private let perform: @Sendable (Work) async -> Void

    private var lanes: [[LimitBucket]: LimitLane] = [:]
    private var waiters: [UInt64: (lane: [LimitBucket], continuation: CheckedContinuation<Admission, Never>)] = [:]
    private var local = LocalLimits()
    /// As the store last said.
    private var workers = 1
    private var calls: UInt64 = 0
    /// Names this worker's calls.
    private let worker = String(UInt64.random(in: 0...UInt64.max), radix: 36)
    /// What answers took, for those that name no `max_tokens`.
    private var usualAnswer = 256.0

    private let waits = ModelLimits.counters("parley_limit_waits_total")
    private let delays = ModelLimits.counters("parley_limit_delays_total")

    /// What is done in a task of its own.
    enum Work: Sendable {
        case ask([LimitBucket], turn: UInt64)
        case end(Permit, tokens: Int, wasMade: Bool)
    }

    /// - Parameter perform: has ``perform(_:)`` called, on the executor.
    init(
        _ rules: LimitRules, store: (any LimitStore)?, clock: any PipelineClock, executor: any TaskExecutor,
        perform: @escaping @Sendable (Work) async -> Void
    ) {
        self.rules = rules
        areNone = rules.areNone
        self.store = store
        self.clock = clock
        self.executor = executor
        self.perform = perform
    }

    private static func counters(_ label: String) -> [LimitBucket.Scope: Counter] {
        Dictionary(
            uniqueKeysWithValues: LimitBucket.Scope.allCases.map {
                ($0, Counter(label: label, dimensions: [("limit", $0.rawValue)]))
            })
    }

    /// A call that may be made, to be given back with ``end(_:usage:)``.
    struct Permit: Sendable {
        let buckets: [LimitBucket]
        let call: String
        let tokens: Int
        /// The shared buckets do not know of it.
        let isLocal: Bool
    }

    enum Admission: Sendable {
        case granted(Permit)
        /// - isModels: it is the model that has no room, not who asks.
        case later(Duration, isModels: Bool)
        /// The waiter was withdrawn.
        case withdrawn
    }

    /// Waits while that is short. Whoever is let in gives the permit back.
    func enter(_ flight: Flight, _ sources: [Source]) async -> Admission {
        let buckets = buckets(of: flight)
        guard !buckets.isEmpty else {
            return .granted(Permit(buckets: [], call: "", tokens: 0, isLocal: true))
        }
        let (rank, now) = (flight.rank, clock.now)
        if let delay = lanes[buckets, default: LimitLane()].enter(
            rank, tokens: tokens(of: flight, sources), now: now)
        {
            return .later(delay, isModels: delayed(buckets, lanes[buckets]?.place ?? 0))
        }
        return await withCheckedContinuation { continuation in
            waiters[rank.arrival] = (buckets, continuation)
            wakeUp(buckets)
        }
    }

    private func buckets(of flight: Flight) -> [LimitBucket] {
        if areNone { return [] }
        var buckets: [LimitBucket] = []
        if !rules.model.areNone { buckets.append(LimitBucket(.model, flight.choice.limitName, rules.model)) }
        if let agent = flight.route.agent.name, let limits = rules.agents[agent], !limits.areNone {
            buckets.append(LimitBucket(.agent, agent, limits))
        }
        if let tenant = flight.lead.job.tenant, let limits = rules.tenants[tenant], !limits.areNone {
            buckets.append(LimitBucket(.tenant, tenant, limits))
        }
        return buckets
    }

    /// Corrected when the call has ended.
    private func tokens(of flight: Flight, _ sources: [Source]) -> Int {
        let job = flight.lead.job
        return PromptSize.tokens(of: job, sources) + min(job.options.maxTokens ?? .max, Int(usualAnswer))
    }

    /// What it counts for where tenants take turns.
    func share(of flight: Flight, _ sources: [Source]) -> FairQueue.Share {
        FairQueue.Share(tenant: flight.lead.job.tenant, cost: tokens(of: flight, sources))
    }

    private func delayed(_ buckets: [LimitBucket], _ place: Int) -> Bool {
        guard buckets.indices.contains(place) else { return false }
        delays[buckets[place].scope]?.increment()
        return buckets[place].scope == .model
    }

    // MARK: - Asking

    func perform(_ work: Work) async {
        switch work {
        case .ask(let buckets, let turn): await ask(buckets, turn)
        case .end(let permit, let tokens, let wasMade):
            await giveBack(permit, by: tokens, wasMade: wasMade)
            for bucket in permit.buckets where bucket.limits.concurrent != nil { hurry(bucket) }
        }
    }

    private func wakeUp(_ buckets: [LimitBucket], after rest: Duration? = nil) {
        guard let turn = lanes[buckets]?.turn, lanes[buckets]?.isAsking == false else { return }
        lanes[buckets]?.isAsking = true
        Task.detached(executorPreference: executor) { [perform, clock] in
            if let rest { await clock.sleep(for: rest) }
            await perform(.ask(buckets, turn: turn))
        }
    }

    /// A call has ended: who rests before asking again need not.
    private func hurry(_ bucket: LimitBucket) {
        for (buckets, lane) in lanes where !lane.isEmpty && buckets.contains(bucket) {
            lanes[buckets]?.turn += 1
            lanes[buckets]?.isAsking = false
            wakeUp(buckets)
        }
        if lanes.count > 1024 { lanes = lanes.filter { !$0.value.isOver(now: clock.now) } }
    }

    /// Asks the buckets for those who wait in the lane, one after the other.
    private func ask(_ buckets: [LimitBucket], _ turn: UInt64) async {
        while lanes[buckets]?.turn == turn, let best = lanes[buckets]?.best {
            let (answer, permit) = await take(buckets, best.tokens)
            let now = clock.now
            switch answer {
            case .granted:
                lanes[buckets]?.granted(best.rank.arrival, now: now)
                if !resume(best.rank.arrival, .granted(permit)) {
                    await giveBack(permit, by: -permit.tokens, wasMade: false)
                }
            case .refused(let wait, let interval, let place, let intervalTokens):
                let wait = max(.milliseconds(5), wait)
                if buckets.indices.contains(place) { waits[buckets[place].scope]?.increment() }
                let away =
                    lanes[buckets]?.refused(
                        wait: wait, interval: interval, intervalTokens: intervalTokens, bucket: place, workers: workers,
                        now: now)
                    ?? []
                for (token, delay) in away { resume(token, .later(delay, isModels: delayed(buckets, place))) }
                guard lanes[buckets]?.turn == turn else { return }
                lanes[buckets]?.isAsking = false
                if lanes[buckets]?.isEmpty == false { wakeUp(buckets, after: min(wait, LimitLane.short)) }
                return
            }
        }
        if lanes[buckets]?.turn == turn { lanes[buckets]?.isAsking = false }
    }

    private func take(_ buckets: [LimitBucket], _ tokens: Int) async -> (LimitAnswer, Permit) {
        calls += 1
        let call = "\(worker).\(calls)"
        if let store, let said = await store.take(buckets, tokens: tokens, call: call, life: Self.life) {
            workers = said.workers
            return (said.answer, Permit(buckets: buckets, call: call, tokens: tokens, isLocal: false))
        }
        let answer = local.take(buckets, tokens: tokens, workers: workers, now: clock.now)
        return (answer, Permit(buckets: buckets, call: call, tokens: tokens, isLocal: true))
    }

    /// The longest call, and its wait at the gate.
    private static let life = Duration.seconds(1800)

    /// - Returns: whether it still waited.
    @discardableResult
    private func resume(_ token: UInt64, _ admission: Admission) -> Bool {
        guard let waiter = waiters.removeValue(forKey: token) else { return false }
        waiter.continuation.resume(returning: admission)
        return true
    }

    // MARK: - Leaving

    /// The waiter gives up.
    func withdraw(_ token: UInt64) {
        guard let waiter = waiters[token] else { return }
        lanes[waiter.lane]?.remove(token)
        resume(token, .withdrawn)
    }

    /// A call has ended, or was not made after all.
    ///
    /// - Parameter usage: what it took; nil when that is not known.
    func end(_ permit: Permit, usage: Usage?, wasMade: Bool = true) {
        guard !permit.buckets.isEmpty else { return }
        var more = wasMade ? 0 : -permit.tokens
        if let usage {
            usualAnswer += (Double(min(usage.completionTokens, 100_000)) - usualAnswer) / 16
            more = min(usage.promptTokens, 10_000_000) + min(usage.completionTokens, 10_000_000) - permit.tokens
        }
        let tokens = more
        Task.detached(executorPreference: executor) { [perform] in
            await perform(.end(permit, tokens: tokens, wasMade: wasMade))
        }
    }

    private func giveBack(_ permit: Permit, by tokens: Int, wasMade: Bool) async {
        if permit.isLocal {
            local.end(permit.buckets, tokens: tokens, wasMade: wasMade)
        } else {
            await store?.end(permit.buckets, tokens: tokens, call: permit.call, wasMade: wasMade)
        }
    }
}
