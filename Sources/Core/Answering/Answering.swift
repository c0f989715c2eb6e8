import ChatJobs
import ParleyPrimitives
import Routing

/// Answers questions: gives what was answered before, joins equal questions, retrieves for a window in one go, then asks
/// the model for each by itself.
///
/// A question is a task of its own from its first moment (``Flight``). Its deadline, its revocation or the worker's end
/// ends an inquiry wherever it is: what it waits for (its window's search, a place at the model) lets it go, and the
/// model's call is aborted unless others wait for it.
package actor Answering {
    private let agents: Agents
    private let health: HealthMonitor
    private let cache: AnswerCache?
    private let expenses: (any ExpenseLog)?
    private let clock: any PipelineClock
    private let configuration: AnsweringConfiguration

    /// Nothing that answers need is asked of a service: making one twice costs nothing.
    package nonisolated let isLocal: Bool

    private nonisolated let executor: any SerialExecutor & TaskExecutor
    package nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    private let flights = Flights()
    private let renewals: Renewals
    private let limits: (any LimitStore)?
    private lazy var asker = ModelAsker(
        configuration, limits: limits, health: health, expenses: expenses, clock: clock, executor: executor
    ) { [unowned self] work in await self.perform(work) }
    private lazy var way = QuestionWay(
        flights: flights, asker: asker, cache: cache, health: health, clock: clock, executor: executor,
        hooks: QuestionWay.Hooks(
            found: { [unowned self] in await self.found($0, for: $1) },
            pass: { [unowned self] in await self.pass($0, $1) }
        )
    ) { [unowned self] token in self.assumeIsolated { $0.end(token, .expired) } }
    private let answers: (any AnswerStore)?
    private lazy var elsewhere = makeElsewhere()
    private lazy var followers = makeFollowers()
    private var isAbandoned = false

    /// - Parameters:
    ///   - answers: the second tier of the answer cache; nil when there is none.
    ///   - limits: what all workers share of the limits; nil: each has its own.
    package init(
        agents: Agents, answers: (any AnswerStore)?, expenses: (any ExpenseLog)? = nil,
        limits: (any LimitStore)? = nil, health: HealthMonitor, clock: any PipelineClock,
        configuration: AnsweringConfiguration, executor: any SerialExecutor & TaskExecutor
    ) {
        self.agents = agents
        self.expenses = expenses
        self.health = health
        self.clock = clock
        renewals = Renewals(clock: clock)
        self.configuration = configuration
        self.executor = executor
        isLocal = agents.isLocal
        self.limits = limits
        // What is made here in no time is not asked for elsewhere.
        let answers = isLocal ? nil : answers
        self.answers = answers
        cache = configuration.cache.map { AnswerCache(settings: $0, store: answers, clock: clock) }
    }

    private func makeElsewhere() -> AnswersElsewhere? {
        guard let cache else { return nil }
        return AnswersElsewhere(flights: flights, cache: cache, clock: clock)
    }

    private func makeFollowers() -> Followers? {
        guard let answers else { return nil }
        return Followers(
            flights: flights, store: answers, clock: clock, executor: executor,
            hooks: Followers.Hooks(
                look: { [unowned self] in await self.lookWhoFollows() }, tell: { [unowned self] in await self.tell($0) }
            ))
    }

    /// A service went down, or came back.
    package func changed(_ dependency: Dependency, _ change: HealthMonitor.Change) {
        let choices = agents.all.lazy.flatMap(\.choices)
        if let choice = choices.first(where: { $0.service == dependency }) { asker.changed(choice, change) }
    }

    // MARK: - Beginning

    /// Decides on the ways of jobs, and begins to look for answers that were given before. That goes on while the jobs are
    /// claimed, and takes no time of its own.
    ///
    /// - Parameter jobs: with the tokens of their inquiries.
    package func foresee(_ jobs: [(token: UInt64, job: Job)]) async -> Foreseen {
        let routes = jobs.map { agents.route(of: $0.job) }
        var foreseen = Foreseen()
        for (job, route) in zip(jobs, routes) { foreseen.routes[job.token] = route }
        guard let cache else { return foreseen }
        await lookAtKnowledge(for: routes)
        var sought: Set<AnswerKey> = []
        for (job, route) in zip(jobs, routes) {
            guard let key = cache.key(of: job.job, route) else { continue }
            foreseen.keys[job.token] = key
            guard job.job.options.cache == .use, flights.joinable(key) == nil, foreseen.inMemory[key] == nil else {
                continue
            }
            if let found = cache.inMemory(key), found.isFresh {
                foreseen.inMemory[key] = found
            } else if cache.hasStore {
                sought.insert(key)
            }
        }
        guard !sought.isEmpty else { return foreseen }
        let missing = Array(sought)
        let look = StoreLook()
        foreseen.look = look
        Task.detached(executorPreference: executor) { await self.carryOut(look, missing) }
        return foreseen
    }

    /// What is a little old is looked at while it is relied on; what is not known, before anything else.
    private func lookAtKnowledge(for routes: [Route]) async {
        guard let (old, unknown) = cache?.agentsToLookAt(for: routes) else { return }
        for agent in old { _ = look(at: agent) }
        for look in unknown.map({ look(at: $0) }) { await look.value }
    }

    private func look(at agent: Agent) -> Task<Void, Never> {
        Task.detached(executorPreference: executor) { await self.lookAtKnowledge(of: agent) }
    }

    private func lookAtKnowledge(of agent: Agent) async {
        await cache?.look(at: agent, isAway: agent.passageServices.contains(where: health.isDown))
    }

    private func carryOut(_ look: StoreLook, _ keys: [AnswerKey]) async {
        let standings = await cache?.inStore(keys) ?? [:]
        if let leads = look.end(standings) { goOn(leads, standings) }
    }

    /// Begins with the inquiries of a window. Each one's `conclude` is called once.
    ///
    /// - Parameter foreseen: of these jobs and others; nil: all are answered anew.
    package func answer(_ inquiries: [Inquiry], _ foreseen: Foreseen? = nil) {
        let begun = inquiries.compactMap { inquiry in
            let key = foreseen?.keys[inquiry.token]
            return enter(
                inquiry, foreseen?.routes[inquiry.token] ?? agents.route(of: inquiry.job), key,
                key.flatMap { foreseen?.inMemory[$0] })
        }
        if let look = foreseen?.look {
            let leads = begun.filter(\.isShared).map(\.lead.token)
            start(begun.filter { !$0.isShared })
            if let found = look.found(orWaitWith: leads) { goOn(leads, found) }
        } else {
            start(begun)
        }
        if isAbandoned { for inquiry in inquiries { end(inquiry.token, .abandoned) } }
    }

    /// - Parameter foreseen: what was in memory a moment ago.
    /// - Returns: the inquiry's flight, when it begins one.
    private func enter(
        _ inquiry: Inquiry, _ route: Route, _ key: AnswerKey?, _ foreseen: AnswerCache.Found?
    ) -> Flight? {
        let flight = Flight(inquiry, route, key: key)
        if let key, flight.isShared {
            if let other = flights.joinable(key) {
                add(inquiry, to: other).backlog = other.streamed
                asker.promote(other)
                return nil
            }
            flight.standIn = foreseen ?? cache?.inMemory(key)
            if let found = flight.standIn, found.isFresh {
                add(inquiry, to: flight)
                give(found, to: flight)
                renewIfDue(found, key, inquiry.job, route)
                return nil
            }
        }
        flights.begin(flight)
        add(inquiry, to: flight)
        return flight
    }

    @discardableResult
    private func add(_ inquiry: Inquiry, to flight: Flight) -> Flight.Member {
        let member = Flight.Member(inquiry, of: flight, begun: clock.now)
        flights.add(member)
        if let deadline = inquiry.job.deadline {
            let left = deadline.since(clock.wall)
            member.deadline = Task.detached(executorPreference: executor) { await self.expire(inquiry, after: left) }
        }
        return member
    }

    /// The store has said what it knows.
    private func goOn(_ leads: [UInt64], _ standings: [AnswerKey: AnswerCache.Standing]) {
        var ready: [Flight] = []
        // None when all its members were ended meanwhile.
        for flight in leads.compactMap({ flights[$0] }) {
            guard let key = flight.key else { continue }
            if goOn(flight, key, standings[key]) { ready.append(flight) }
        }
        start(ready)
        // What was to be made for jobs that were not begun after all.
        giveUp(standings.filter { $1.maker == .thisWorker && flights.joinable($0) == nil }.map(\.key))
    }

    /// - Returns: whether the answer is to be made here.
    private func goOn(_ flight: Flight, _ key: AnswerKey, _ standing: AnswerCache.Standing?) -> Bool {
        if let found = standing?.found, found.isFresh {
            cache?.remember(found, as: key)
            give(found, to: flight)
            renewIfDue(found, key, flight.lead.job, flight.route)
            return false
        }
        flight.standIn = flight.standIn ?? standing?.found
        guard standing?.maker != .another else {
            waitElsewhere(flight)
            return false
        }
        flight.isMaker = standing != nil
        return true
    }

    // MARK: - Waiting for another worker

    /// The answer is being made by another worker.
    private func waitElsewhere(_ flight: Flight) {
        guard let elsewhere else { return start([flight]) }
        elsewhere.add(flight)
        guard !elsewhere.isLookedAfter else { return }
        elsewhere.isLookedAfter = true
        Task.detached(executorPreference: executor) { await self.lookElsewhere() }
    }

    private func lookElsewhere() async {
        guard let elsewhere else { return }
        while !elsewhere.isEmpty, !isAbandoned {
            await clock.sleep(for: AnswersElsewhere.lookAfter)
            var said: [(SaidPieces, Flight)] = []
            var ready: [Flight] = []
            for event in await elsewhere.look() {
                switch event {
                case .found(let found, let flight):
                    if let key = flight.key { cache?.remember(found, as: key) }
                    give(found, to: flight, as: .coalesced)
                case .ownTurn(let flight): ready.append(flight)
                case .unwanted(let key): if flights.joinable(key) == nil { giveUp([key]) }
                case .said(let pieces, let flight): said.append((pieces, flight))
                }
            }
            start(ready)
            for (pieces, flight) in said { await elsewhere.pass(pieces, to: flight) }
        }
        elsewhere.isLookedAfter = false
    }

    /// - Parameter source: when it is not where it was found.
    private func give(_ found: AnswerCache.Found, to flight: Flight, as source: Reply.Cached? = nil) {
        guard let cache else { return }
        flights.close(flight)
        for member in flight.takeMembers() {
            conclude(member, .answered(found.answer.answer, reuse: cache.reuse(found, as: source)))
        }
    }

    private func start(_ begun: [Flight]) {
        let begun = begun.filter { !joinsRenewal($0) }
        let bulk = begun.filter { asker.desk.office(of: $0) != nil }.map(\.lead.token)
        guard !bulk.isEmpty else { return setOut(begun) }
        Task.detached(executorPreference: executor) { await self.lookAtBatches(bulk) }
        setOut(begun.filter { !bulk.contains($0.lead.token) })
    }

    /// Bulk jobs may be in a batch of their model's already.
    private func lookAtBatches(_ leads: [UInt64]) async {
        let known = await asker.desk.look(for: leads.compactMap { flights[$0] })
        var rest: [Flight] = []
        for flight in leads.compactMap({ flights[$0] }) {
            guard let result = known[flight.lead.token] else {
                rest.append(flight)
                continue
            }
            if case .failed(let failure) = result { asker.noteLine(failure, of: flight) }
            let landing = Landing(of: flight, result, at: clock.now)
            keep(landing, of: flight)
            flights.close(flight)
            for (place, member) in flight.takeMembers().enumerated() {
                conclude(member, landing.outcome(for: member, isFirst: place == 0))
            }
        }
        setOut(rest)
    }

    private func setOut(_ begun: [Flight]) {
        guard !begun.isEmpty else { return }
        way.beginSearches(of: begun.filter { !$0.route.isToBeRewritten })
        for flight in begun {
            if flight.route.isSpared { flight.route.agent.metrics.retrievalsSpared.increment() }
            if flight.isShared, !flight.isRenewal { cache?.missed() }
            let token = flight.lead.token
            // Detached: the starter's task locals would be copied one by one, for nobody. The preference keeps the task on
            // the executor: a continuation resumes its task there, and without one on the global pool, whose thread then
            // only passes it on (27 µs a time instead of 1.6).
            flight.task = Task.detached(executorPreference: executor) { await self.carryOut(token) }
        }
    }

    // MARK: - Renewing

    private func renewIfDue(_ found: AnswerCache.Found, _ key: AnswerKey, _ job: Job, _ route: Route) {
        guard let cache, !isAbandoned, !isLocal, cache.isDue(found), !health.isDown(route.agent.service),
            renewals.begin(key)
        else { return }
        Task.detached(executorPreference: executor) { await self.renew(found, key, job, route) }
    }

    /// Makes an answer anew that is still given, unless another worker does.
    private func renew(_ found: AnswerCache.Found, _ key: AnswerKey, _ job: Job, _ route: Route) async {
        guard await cache?.renew(found, as: key) == true, !isAbandoned else { return renewals.end(key) }
        let inquiry = renewals.inquiry(like: job) { outcome in await self.renewed(key, job, outcome) }
        let flight = Flight(inquiry, route, key: key)
        flight.isRenewal = true
        flight.isMaker = true
        renewals.add(flight)
        flights.begin(flight)
        add(inquiry, to: flight)
        start([flight])
    }

    private func renewed(_ key: AnswerKey, _ job: Job, _ outcome: AnswerOutcome) async {
        renewals.end(key)
        guard case .answered(let answer, nil) = outcome.result else { return }
        cache?.renewed()
        await expenses?.note(answer, to: job, by: outcome.route.agent)
    }

    /// The old answer has expired: who asks for it waits for the new one, if that is being made here.
    private func joinsRenewal(_ flight: Flight) -> Bool {
        guard let key = flight.key, flight.isShared, !flight.isRenewal, !flight.isRelayed, let renewal = renewals[key],
            renewal.ending == nil, flights[renewal.lead.token] != nil
        else { return false }
        flights.close(flight)
        for member in flight.takeMembers() {
            renewal.add(member)
            member.backlog = renewal.streamed
        }
        asker.promote(renewal)
        return true
    }

    // MARK: - Ending

    /// Ends an inquiry, wherever it is; one that is answered or unknown stays as it is. Its flight goes on for the others
    /// that wait for it.
    package func end(_ token: UInt64, _ ending: AnswerOutcome.Ending) {
        guard let member = flights.member(token), !member.isConcluded else { return }
        let flight = member.flight
        guard flight.members.count == 1, let task = flight.task else {
            flight.remove(member)
            if flight.members.isEmpty { flights.close(flight) }
            return conclude(member, .ended(ending))
        }
        guard flight.ending == nil else { return }
        flight.ending = ending
        flights.close(flight)
        task.cancel()
        flight.waiter?.resume()
        flight.waiter = nil
        asker.withdraw(flight)
    }

    /// The worker is leaving: all end at once, and nothing that waits in their conclusions waits any more.
    package func abandon() {
        isAbandoned = true
        for token in flights.tokens {
            end(token, .abandoned)
            flights.member(token)?.flight.task?.cancel()
            flights.member(token)?.conclusion?.cancel()
        }
    }

    private func expire(_ inquiry: Inquiry, after left: Duration) async {
        await clock.sleep(for: left)
        if !Task.isCancelled { end(inquiry.token, .expired) }
    }

    private func carryOut(_ token: UInt64) async {
        guard let flight = flights[token] else { return }
        let landing = await way.landing(of: flight)
        if let (first, outcome) = land(flight, landing) { await carryOut(first, outcome) }
    }

    /// - Returns: what the flight's own task is to conclude.
    @inline(never)
    private func land(_ flight: Flight, _ landing: Landing) -> (UInt64, AnswerOutcome)? {
        flights.end(flight)
        keep(landing, of: flight)
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
        guard isOurs, let first = waiting.first else { return nil }
        return (first.inquiry.token, landing.outcome(for: first, isFirst: true))
    }

    private func keep(_ landing: Landing, of flight: Flight) {
        guard let key = flight.key else { return }
        if case .answered(let answer, nil) = landing.result,
            let store = cache?.keep(
                answer, took: landing.ended - landing.started, as: key, isStandIn: flight.choice.isFallback)
        {
            Task.detached(executorPreference: executor) { await store() }
        } else if flight.isMaker {
            giveUp([key])
        }
    }

    private func giveUp(_ keys: [AnswerKey]) {
        guard !keys.isEmpty else { return }
        Task.detached(executorPreference: executor) { await self.tellThatGivenUp(keys) }
    }

    private func tellThatGivenUp(_ keys: [AnswerKey]) async { await cache?.giveUp(keys) }

    private func conclude(_ member: Flight.Member, _ result: AnswerOutcome.Result) {
        conclude(
            member,
            AnswerOutcome(
                result: result, route: member.flight.route, retrieving: .zero, generating: clock.now - member.begun))
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
        guard let member = flights.member(token) else { return }
        var outcome = outcome
        member.deadline?.cancel()
        // What is in a batch comes again and again.
        if case .later = outcome.result {} else { outcome.route.agent.metrics.questions.increment() }
        if case .answered(let answer, let reuse) = outcome.result, member.flight.isShared,
            let onDelta = member.inquiry.onDelta
        {
            if let rest = member.rest(of: answer.text, reuse) {
                if !rest.isEmpty { await onDelta(rest) }
            } else if mayStartOver(member.inquiry, reuse) {
                // As with any stream that breaks off. The answer is kept, and what it cost is in no reply.
                outcome = outcome.failed(.otherwiseStreamed)
                if reuse == nil { await expenses?.note(answer, to: member.inquiry.job, by: outcome.route.agent) }
            }
        }
        await member.inquiry.conclude(outcome)
        flights.end(member)
    }

    /// Another attempt has its time, and finds the answer, if it was made for this one. If not, the reply alone says what the
    /// answer is.
    private func mayStartOver(_ inquiry: Inquiry, _ reuse: Reuse?) -> Bool {
        let left = inquiry.job.deadline?.since(clock.wall) ?? .seconds(3600)
        let isFound = reuse != nil || cache?.keepsInStore(for: Self.timeToStartOver) == true
        return !inquiry.isLastTry && left > Self.timeToStartOver && isFound
    }

    private static let timeToStartOver = Duration.seconds(10)

    // MARK: - What ends in tasks of its own

    private func pass(_ piece: String, _ token: UInt64) async {
        guard let flight = flights[token] else { return }
        await flight.pass(piece)
        followers?.spoke(flight)
    }

    private func lookWhoFollows() async { await followers?.look() }

    private func tell(_ token: UInt64) async { await followers?.tell(token) }

    private func perform(_ work: ModelAsker.Work) async { await asker.perform(work) }

    private func found(_ passages: [WindowSearch.Passages], for leads: [UInt64]) { way.found(passages, for: leads) }
}
