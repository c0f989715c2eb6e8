import ChatJobs
import ParleyPrimitives

/// From a question to its answer: the search that it needs, then the agent's models in their order. What it waits for lets it
/// go when its flight is ended.
///
/// Not Sendable: it belongs to ``Answering``, on whose executor all of it runs.
final class QuestionWay {
    private let flights: Flights
    private let asker: ModelAsker
    private let cache: AnswerCache?
    private let health: HealthMonitor
    private let clock: any PipelineClock
    private let executor: any TaskExecutor
    private let hooks: Hooks
    /// Ends the inquiry of this token: its deadline has passed.
    private let expired: (UInt64) -> Void

    /// How tasks of their own come back to the executor: each has the function of its name called.
    struct Hooks: Sendable {
        let found: @Sendable (_ passages: [WindowSearch.Passages], _ leads: [UInt64]) async -> Void
        /// Gives a piece of its answer to those who wait for a flight.
        let pass: @Sendable (_ piece: String, _ lead: UInt64) async -> Void
    }

    init(
        flights: Flights, asker: ModelAsker, cache: AnswerCache?, health: HealthMonitor, clock: any PipelineClock,
        executor: any TaskExecutor, hooks: Hooks, expired: @escaping (UInt64) -> Void
    ) {
        self.flights = flights
        self.asker = asker
        self.cache = cache
        self.health = health
        self.clock = clock
        self.executor = executor
        self.hooks = hooks
        self.expired = expired
    }

    func landing(of flight: Flight) async -> Landing {
        let started = clock.now
        if flight.route.isToBeRewritten { await rewrite(flight) }
        let passages = await passages(of: flight)
        let retrieved = clock.now
        let result = await result(of: flight, passages)
        switch result {
        // Its answer accounts for it, now or when its batch has ended.
        case .answered(_, nil): break
        case .later: asker.leaveRewriting(of: flight)
        default: asker.noteRewriting(of: flight)
        }
        return Landing(route: flight.route, result: result, started: started, retrieved: retrieved, ended: clock.now)
    }

    private func result(of flight: Flight, _ passages: WindowSearch.Passages) async -> AnswerOutcome.Result {
        if let ending = ending(of: flight) { return .ended(ending) }
        switch passages {
        case .failure(let failure): return .failed(failure)
        case .success(let sources):
            if sources.isEmpty, let answer = await refusal(of: flight) { return .answered(answer, reuse: nil) }
            let asked = await asker.ask(flight, sources) {
                self.sink(of: flight)
            } hasEnded: {
                self.ending(of: flight) != nil
            }
            return result(of: asked, flight, sources)
        }
    }

    @inline(never)
    private func result(of asked: ModelAsker.Asked, _ flight: Flight, _ sources: [Source]) -> AnswerOutcome.Result {
        switch asked {
        case .answered(let answer):
            if !sources.isEmpty, Citations.places(in: answer.text, of: answer.sources.count).isEmpty {
                flight.route.agent.metrics.ungrounded.increment()
            }
            return .answered(answer, reuse: nil)
        case .failed(let failure): return standIn(for: failure, flight)
        case .later(let delay): return .later(delay)
        }
    }

    /// What is said when passages were looked for in vain and the model is not to be asked then; nil when it is.
    private func refusal(of flight: Flight) async -> Answer? {
        let agent = flight.route.agent
        guard flight.search != nil, let refusal = agent.configuration.refusal else { return nil }
        agent.metrics.refused.increment()
        let text = refusal(flight.lead.job.query)
        var usage = Usage(promptTokens: 0, completionTokens: 0, calls: 0)
        usage.cost = agent.configuration.prices?.cost(of: usage)
        if let rewriting = flight.rewriting { usage.add(rewriting.usage) }
        // Who shares the answer has it in one piece at the end.
        if !flight.isShared, let onDelta = flight.lead.onDelta { await onDelta(text) }
        return Answer(
            text: text, model: "builtin:refusal", usage: usage, sources: [],
            openCalls: flight.rewriting?.openCalls ?? [])
    }

    /// Has the model make the question stand alone, then begins the search. When it cannot, the search is made without.
    private func rewrite(_ flight: Flight) async {
        let text = await asker.rewrite(flight) { self.ending(of: flight) != nil }
        flight.route = flight.route.rewritten(text)
        guard ending(of: flight) == nil else { return }
        beginSearches(of: [flight])
    }

    /// Deadlines that have passed meanwhile say more than what the time was spent on.
    private func ending(of flight: Flight) -> AnswerOutcome.Ending? {
        for member in flight.members where member.inquiry.job.deadline.map({ $0 <= clock.wall }) ?? false {
            expired(member.inquiry.token)
        }
        return flight.ending
    }

    /// While the model is away, an expired answer is better than none.
    @inline(never)
    private func standIn(for failure: JobFailure, _ flight: Flight) -> AnswerOutcome.Result {
        if let ending = ending(of: flight) { return .ended(ending) }
        let isAway = failure.blame != .job || failure.code != .modelRejected && flight.text.had.isEmpty
        guard let cache, let found = flight.standIn, isAway || health.isDown(flight.route.agent.service) else {
            return .failed(failure)
        }
        return .answered(found.answer.answer, reuse: cache.reuse(found))
    }

    /// Nil when nobody wants pieces.
    private func sink(of flight: Flight) -> DeltaSink? {
        guard flight.isShared || flight.route.agent.choices.count > 1 else { return flight.lead.onDelta }
        guard flight.members.contains(where: { $0.inquiry.onDelta != nil }) else { return nil }
        let token = flight.lead.token
        return { [hooks] piece in await hooks.pass(piece, token) }
    }

    // MARK: - Passages

    private func passages(of flight: Flight) async -> WindowSearch.Passages {
        guard let (search, place) = flight.search else { return .success([]) }
        if search.passages == nil, flight.ending == nil { await withCheckedContinuation { flight.waiter = $0 } }
        // Nil when it was ended before the search.
        return search.passages?[place] ?? .success([])
    }

    /// Looks for the passages of a window's questions that are not known.
    func beginSearches(of flights: [Flight]) {
        for search in WindowSearch.forming(flights.filter { !isKnown($0) }) { begin(search) }
    }

    private func isKnown(_ flight: Flight) -> Bool {
        guard let cache, WindowSearch.isFor(flight), flight.lead.job.options.cache == .use,
            let sources = cache.passages(for: PassageFinder.Question(flight), flight.route.agent)
        else { return false }
        _ = WindowSearch(of: flight, finding: sources)
        return true
    }

    private func begin(_ search: WindowSearch) {
        search.state = cache?.state(of: search.agent)
        let finder = PassageFinder(agent: search.agent, health: health, clock: clock)
        let (leads, questions) = (search.leads, search.questions)
        Task.detached(executorPreference: executor) { [hooks] in
            let passages = await finder.passages(for: questions)
            await hooks.found(passages, leads)
        }
    }

    /// What a search has come to.
    func found(_ passages: [WindowSearch.Passages], for tokens: [UInt64]) {
        // All of them have the same search; those that have ended meanwhile do not hold it any more.
        let search = tokens.lazy.compactMap { self.flights[$0]?.search?.search }.first
        search?.end(passages)
        if let search, let state = search.state {
            for (question, found) in zip(search.questions, passages) {
                cache?.keep(found, for: question, search.agent, state)
            }
        }
        for token in tokens {
            flights[token]?.waiter?.resume()
            flights[token]?.waiter = nil
        }
    }
}
