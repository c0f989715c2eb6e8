import ChatJobs
import ParleyPrimitives

/// Answers questions: gives what was answered before, joins equal questions, retrieves for a window in one go, then asks
/// the model for each by itself.
///
/// A question is a task of its own from its first moment (``Flight``). Its deadline, its revocation or the worker's end
/// ends an inquiry wherever it is: what it waits for (its window's search, a place at the model) lets it go, and the
/// model's call is aborted unless others wait for it.
package actor Answering {
    private let passageSource: (any PassageSource)?
    private let health: HealthMonitor
    private let finder: PassageFinder
    private let caller: ModelCaller
    private let cache: AnswerCache?
    private let clock: any PipelineClock
    private let configuration: AnsweringConfiguration

    /// Nothing that answers need is asked of a service: making one twice costs nothing.
    package nonisolated let isLocal: Bool

    private nonisolated let executor: any SerialExecutor & TaskExecutor
    package nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// The inquiries that are not over, by their tokens.
    private var members: [UInt64: Flight.Member] = [:]
    /// By their leads' tokens.
    private var flights: [UInt64: Flight] = [:]
    /// Those that equal questions may join.
    private var joinable: [AnswerKey: Flight] = [:]
    private var isAbandoned = false
    private lazy var gate = ModelGate(
        ceiling: configuration.modelConcurrency, maxWait: configuration.priorityMaxWait, clock: clock,
        metrics: caller.metrics
    ) { [unowned self] hold in self.wakeGate(after: hold) }

    /// - Parameters:
    ///   - passageSource: nil when no vector store is configured; `retrieve: always` then fails.
    ///   - answers: the second tier of the answer cache; nil when there is none.
    package init(
        passageSource: (any PassageSource)?, model: any AnswerModel, answers: (any AnswerStore)?,
        health: HealthMonitor, clock: any PipelineClock, configuration: AnsweringConfiguration,
        executor: any SerialExecutor & TaskExecutor
    ) {
        self.passageSource = passageSource
        self.health = health
        self.clock = clock
        self.configuration = configuration
        self.executor = executor
        let metrics = AnsweringMetrics()
        finder = PassageFinder(
            source: passageSource, health: health, clock: clock, configuration: configuration, metrics: metrics)
        caller = ModelCaller(
            model: model, health: health, clock: clock, timeout: configuration.modelTimeout,
            prices: configuration.prices, metrics: metrics)
        isLocal = model.isLocal && passageSource?.isLocal ?? true
        // What is made here in no time is not asked for elsewhere.
        let answers = isLocal ? nil : answers
        cache = configuration.cache.map {
            AnswerCache(settings: $0, store: answers, passageSource: passageSource, clock: clock)
        }
    }

    /// A service went down, or came back.
    package func changed(_ dependency: Dependency, _ change: HealthMonitor.Change) {
        guard dependency == .model else { return }
        switch change {
        case .down(let waitsHere): gate.close(sendingAway: !waitsHere)
        case .up(let slowly): gate.open(slowly: slowly)
        }
    }

    // MARK: - Beginning

    /// What is known, or being looked up, of jobs that are about to be asked about.
    package struct Foreseen: Sendable {
        /// Of the jobs whose answers are shared, by their tokens.
        let keys: [UInt64: AnswerKey]
        /// For those that are not in memory.
        let look: StoreLook?
    }

    /// Begins to look for answers that were given before. That goes on while the jobs are claimed, and takes no time of its
    /// own.
    ///
    /// - Parameter jobs: with the tokens of their inquiries.
    /// - Returns: nil when there is no answer cache.
    package func foresee(_ jobs: [(token: UInt64, job: Job)]) async -> Foreseen? {
        guard let cache else { return nil }
        var keys: [UInt64: AnswerKey] = [:]
        var sought: Set<AnswerKey> = []
        switch cache.knowledge(isNeeded: jobs.contains { cache.needsKnowledge($0.job) }) {
        case .fresh: break
        case .old: Task.detached(executorPreference: executor) { await self.lookAtKnowledge() }
        case .unknown: await lookAtKnowledge()
        }
        for place in jobs.indices {
            guard let key = cache.key(of: jobs[place].job) else { continue }
            keys[jobs[place].token] = key
            guard cache.hasStore, jobs[place].job.options.cache == .use, joinable[key] == nil else { continue }
            if cache.inMemory(key)?.isFresh != true { sought.insert(key) }
        }
        guard !sought.isEmpty else { return Foreseen(keys: keys, look: nil) }
        let missing = Array(sought)
        let look = StoreLook()
        Task.detached(executorPreference: executor) { await self.carryOut(look, missing) }
        return Foreseen(keys: keys, look: look)
    }

    private func lookAtKnowledge() async {
        await cache?.look(isAway: health.isDown(.vectors) || health.isDown(.embeddings))
    }

    private func carryOut(_ look: StoreLook, _ keys: [AnswerKey]) async {
        let found = await cache?.inStore(keys) ?? [:]
        goOn(look.end(found), found)
    }

    /// Begins with the inquiries of a window. Each one's `conclude` is called once.
    ///
    /// - Parameter foreseen: of these jobs and others; nil: all are answered anew.
    package func answer(_ inquiries: [Inquiry], _ foreseen: Foreseen? = nil) {
        let begun = inquiries.compactMap { enter($0, foreseen?.keys[$0.token]) }
        if let look = foreseen?.look {
            let leads = begun.filter(\.isShared).map(\.lead)
            start(begun.filter { !$0.isShared })
            if let found = look.found(orWaitWith: leads) { goOn(leads, found) }
        } else {
            start(begun)
        }
        if isAbandoned { for inquiry in inquiries { end(inquiry.token, .abandoned) } }
    }

    /// - Returns: the inquiry's flight, when it begins one.
    private func enter(_ inquiry: Inquiry, _ key: AnswerKey?) -> Flight? {
        let flight = Flight(inquiry, key: key)
        if let key, flight.isShared {
            if let other = joinable[key] {
                add(inquiry, to: other).backlog = other.streamed
                gate.promote(other.rank)
                return nil
            }
            flight.standIn = cache?.inMemory(key)
            if let found = flight.standIn, found.isFresh {
                add(inquiry, to: flight)
                give(found, to: flight)
                return nil
            }
            joinable[key] = flight
        }
        flights[inquiry.token] = flight
        add(inquiry, to: flight)
        return flight
    }

    @discardableResult
    private func add(_ inquiry: Inquiry, to flight: Flight) -> Flight.Member {
        let member = Flight.Member(inquiry, of: flight, begun: clock.now)
        members[inquiry.token] = member
        flight.add(member)
        if let deadline = inquiry.job.deadline {
            let left = deadline.since(clock.wall)
            member.deadline = Task.detached(executorPreference: executor) { await self.expire(inquiry, after: left) }
        }
        return member
    }

    /// The store has said what it knows.
    private func goOn(_ leads: [Inquiry], _ found: [AnswerKey: AnswerCache.Found]) {
        var left: [Flight] = []
        for lead in leads {
            // None when all its members were ended meanwhile.
            guard let flight = flights[lead.token], let key = flight.key else { continue }
            if let found = found[key], found.isFresh {
                cache?.remember(found, as: key)
                give(found, to: flight)
            } else {
                flight.standIn = flight.standIn ?? found[key]
                left.append(flight)
            }
        }
        start(left)
    }

    private func give(_ found: AnswerCache.Found, to flight: Flight) {
        guard let cache else { return }
        close(flight)
        for member in flight.takeMembers() {
            conclude(member, .answered(found.answer.answer, reuse: cache.reuse(found)))
        }
    }

    private func start(_ begun: [Flight]) {
        guard !begun.isEmpty else { return }
        let leads = begun.map(\.lead)
        if passageSource != nil || configuration.retrieve == .always || leads.contains(where: Self.wantsAlways) {
            for search in WindowSearch.forming(leads, mode: configuration.retrieve) { begin(search) }
        }
        for flight in begun {
            if flight.isShared { cache?.missed() }
            let token = flight.lead.token
            // Detached: the starter's task locals would be copied one by one, for nobody. The preference keeps the task on
            // the executor: a continuation resumes its task there, and without one on the global pool, whose thread then
            // only passes it on (27 µs a time instead of 1.6).
            flight.task = Task.detached(executorPreference: executor) { await self.carryOut(token) }
        }
    }

    private static func wantsAlways(_ inquiry: Inquiry) -> Bool { inquiry.job.options.retrieve == .always }

    // MARK: - Ending

    /// Ends an inquiry, wherever it is; one that is answered or unknown stays as it is. Its flight goes on for the others
    /// that wait for it.
    package func end(_ token: UInt64, _ ending: AnswerOutcome.Ending) {
        guard let member = members[token], !member.isConcluded else { return }
        let flight = member.flight
        guard flight.members.count == 1, let task = flight.task else {
            flight.remove(member)
            if flight.members.isEmpty { close(flight) }
            return conclude(member, .ended(ending))
        }
        guard flight.ending == nil else { return }
        flight.ending = ending
        close(flight)
        task.cancel()
        flight.waiter?.resume()
        flight.waiter = nil
        gate.withdraw(flight.lead.token)
    }

    /// Nobody joins it any more. One that has not begun is over.
    private func close(_ flight: Flight) {
        if let key = flight.key, joinable[key] === flight { joinable[key] = nil }
        if flight.task == nil { flights[flight.lead.token] = nil }
    }

    /// The worker is leaving: all end at once, and nothing that waits in their conclusions waits any more.
    package func abandon() {
        isAbandoned = true
        // In order, so that a simulated run can be replayed.
        for token in members.keys.sorted() {
            end(token, .abandoned)
            members[token]?.flight.task?.cancel()
            members[token]?.conclusion?.cancel()
        }
    }

    private func expire(_ inquiry: Inquiry, after left: Duration) async {
        await clock.sleep(for: left)
        if !Task.isCancelled { end(inquiry.token, .expired) }
    }

    private func carryOut(_ token: UInt64) async {
        guard let flight = flights[token] else { return }
        let landing = await landing(of: flight)
        close(flight)
        flights[token] = nil
        keep(landing, as: flight.key)
        let waiting = flight.takeMembers()
        for member in waiting { member.isConcluded = true }
        if case .answered(let answer, nil) = landing.result {
            for _ in waiting.dropFirst() { cache?.joined(answer.usage) }
        }
        // The first is concluded by this task, unless that was cancelled in the middle: then nothing can be waited for in it.
        let isOurs = flight.task?.isCancelled != true || isAbandoned
        for (place, member) in waiting.enumerated() where place > 0 || !isOurs {
            conclude(member, landing.outcome(for: member, isFirst: place == 0))
        }
        if isOurs, let first = waiting.first {
            await carryOut(first.inquiry.token, landing.outcome(for: first, isFirst: true))
        }
    }

    private func keep(_ landing: Landing, as key: AnswerKey?) {
        guard let key, case .answered(let answer, nil) = landing.result, let store = cache?.keep(answer, as: key)
        else { return }
        Task.detached(executorPreference: executor) { await store() }
    }

    private func conclude(_ member: Flight.Member, _ result: AnswerOutcome.Result) {
        conclude(member, AnswerOutcome(result: result, retrieving: .zero, generating: clock.now - member.begun))
    }

    private func conclude(_ member: Flight.Member, _ outcome: AnswerOutcome) {
        member.isConcluded = true
        let token = member.inquiry.token
        member.conclusion = Task.detached(executorPreference: executor) {
            await self.carryOut(token, outcome)
        }
        if isAbandoned { member.conclusion?.cancel() }
    }

    private func carryOut(_ token: UInt64, _ outcome: AnswerOutcome) async {
        guard let member = members[token] else { return }
        member.deadline?.cancel()
        if case .answered(let answer, _) = outcome.result, let onDelta = member.inquiry.onDelta {
            // Who has joined late, or is given what was answered before, has it in one piece.
            let rest = member.hasPieces ? member.backlog : answer.text
            if member.flight.isShared, !rest.isEmpty { await onDelta(rest) }
        }
        await member.inquiry.conclude(outcome)
        members[token] = nil
    }

    // MARK: - One question's way

    private func landing(of flight: Flight) async -> Landing {
        let started = clock.now
        let passages = await passages(of: flight)
        let retrieved = clock.now
        let result = await result(of: flight, passages)
        return Landing(result: result, started: started, retrieved: retrieved, ended: clock.now)
    }

    private func result(of flight: Flight, _ passages: WindowSearch.Passages) async -> AnswerOutcome.Result {
        if let ending = ending(of: flight) { return .ended(ending) }
        switch passages {
        case .failure(let failure): return .failed(failure)
        case .success(let sources):
            guard await gate.enter(flight.rank) else { return standIn(for: caller.absence, flight) }
            if let ending = ending(of: flight) {
                gate.leave(.unanswered)
                return .ended(ending)
            }
            return await ask(flight, sources)
        }
    }

    private func ask(_ flight: Flight, _ sources: [Source]) async -> AnswerOutcome.Result {
        // Who joins may have more time than the lead.
        let left = flight.isShared ? nil : flight.lead.job.deadline?.since(clock.wall)
        let call = await caller.call(flight.lead, sources, within: left, onDelta: sink(of: flight))
        if call.failure != nil, let ending = ending(of: flight) {
            gate.leave(.unanswered)
            return .ended(ending)
        }
        gate.leave(caller.judge(call, isFirstTry: flight.lead.isFirstTry))
        switch call.result {
        case .success(let answer): return .answered(answer, reuse: nil)
        case .failure(let failure): return standIn(for: failure, flight)
        }
    }

    /// Deadlines that have passed meanwhile say more than what the time was spent on.
    private func ending(of flight: Flight) -> AnswerOutcome.Ending? {
        for member in flight.members where member.inquiry.job.deadline.map({ $0 <= clock.wall }) ?? false {
            end(member.inquiry.token, .expired)
        }
        return flight.ending
    }

    /// While the model is away, an expired answer is better than none.
    @inline(never)
    private func standIn(for failure: JobFailure, _ flight: Flight) -> AnswerOutcome.Result {
        if let ending = ending(of: flight) { return .ended(ending) }
        guard let cache, let found = flight.standIn, failure.blame != .job || health.isDown(.model) else {
            return .failed(failure)
        }
        return .answered(found.answer.answer, reuse: cache.reuse(found))
    }

    /// Nil when nobody wants pieces.
    private func sink(of flight: Flight) -> DeltaSink? {
        guard flight.isShared else { return flight.lead.onDelta }
        guard flight.members.contains(where: { $0.inquiry.onDelta != nil }) else { return nil }
        let token = flight.lead.token
        return { piece in await self.pass(piece, token) }
    }

    private func pass(_ piece: String, _ token: UInt64) async {
        guard let flight = flights[token] else { return }
        flight.streamed += piece
        for member in flight.members {
            guard let onDelta = member.inquiry.onDelta else { continue }
            let pieces = member.backlog + piece
            member.backlog = ""
            member.hasPieces = true
            await onDelta(pieces)
        }
    }

    /// The gate holds starts back for a while.
    private nonisolated func wakeGate(after hold: Duration) {
        Task.detached(executorPreference: executor) {
            await self.clock.sleep(for: hold)
            await self.holdIsOver()
        }
    }

    private func holdIsOver() { gate.holdIsOver() }

    // MARK: - Passages

    private func passages(of flight: Flight) async -> WindowSearch.Passages {
        guard let (search, place) = flight.search else { return .success([]) }
        if search.passages == nil, flight.ending == nil { await withCheckedContinuation { flight.waiter = $0 } }
        // Nil when it was ended before the search.
        return search.passages?[place] ?? .success([])
    }

    private func begin(_ search: WindowSearch) {
        for (place, inquiry) in search.inquiries.enumerated() { flights[inquiry.token]?.search = (search, place) }
        let inquiries = search.inquiries
        Task.detached(executorPreference: executor) {
            let passages = await self.finder.passages(for: inquiries)
            await self.found(passages, for: inquiries)
        }
    }

    private func found(_ passages: [WindowSearch.Passages], for inquiries: [Inquiry]) {
        // All of them have the same search; those that have ended meanwhile do not hold it any more.
        inquiries.lazy.compactMap { self.flights[$0.token]?.search?.search }.first?.end(passages)
        for inquiry in inquiries {
            flights[inquiry.token]?.waiter?.resume()
            flights[inquiry.token]?.waiter = nil
        }
    }
}
