import ChatJobs
import Routing

/// Asks an agent's models for an answer, in their order: each as its limits, its gate and its health allow.
///
/// Not Sendable: it belongs to ``Answering``, on whose executor all of it runs.
final class ModelAsker {
    private let health: HealthMonitor
    let clock: any PipelineClock
    let executor: any TaskExecutor
    let gates: Gates
    private let limits: ModelLimits
    private let expenses: (any ExpenseLog)?
    private let perform: @Sendable (Work) async -> Void
    let desk: BatchDesk

    private var batches: [UInt64: PromptBatch] = [:]
    private var nextBatch: UInt64 = 0
    /// Of models that are asked twice when they are slow.
    var hedges: [Dependency: HedgeBook] = [:]

    /// What is done in a task of its own.
    enum Work: Sendable {
        /// A gate may let go on whom it has held back for a while.
        case wake(Dependency)
        case limits(ModelLimits.Work)
        /// Makes a call for several.
        case batch(UInt64)
        /// Makes batches of bulk jobs.
        case bulk(BatchOffice)
    }

    /// What came of asking.
    enum Asked {
        case answered(Answer)
        case failed(JobFailure)
        /// It is in a batch.
        case later(Duration)
    }

    /// - Parameters:
    ///   - limits: what all workers share of the limits.
    ///   - expenses: is told of calls that are in no reply.
    ///   - perform: has ``perform(_:)`` called, on the executor.
    init(
        _ configuration: AnsweringConfiguration, limits store: (any LimitStore)?, health: HealthMonitor,
        expenses: (any ExpenseLog)?, clock: any PipelineClock, executor: any TaskExecutor,
        perform: @escaping @Sendable (Work) async -> Void
    ) {
        self.health = health
        self.clock = clock
        self.executor = executor
        self.expenses = expenses
        self.perform = perform
        gates = Gates(maxWait: configuration.priorityMaxWait, clock: clock, executor: executor) { service in
            await perform(.wake(service))
        }
        limits = ModelLimits(configuration.limits, store: store, clock: clock, executor: executor) { work in
            await perform(.limits(work))
        }
        gates.weights = configuration.tenantWeights
        desk = BatchDesk(clock: clock, executor: executor) { office in await perform(.bulk(office)) }
    }

    func perform(_ work: Work) async {
        switch work {
        case .wake(let service): gates.holdIsOver(service)
        case .limits(let work): await limits.perform(work)
        case .batch(let number): await carryOut(number)
        case .bulk(let office): await desk.makeBatches(office)
        }
    }

    // MARK: - From outside

    /// A model went down, or came back.
    func changed(_ choice: ModelChoice, _ change: HealthMonitor.Change) {
        switch change {
        case .down(let waitsHere): gates[choice].close(sendingAway: !waitsHere)
        case .up(let slowly): gates[choice].open(slowly: slowly)
        }
    }

    /// Somebody of a better rank waits for the same answer.
    func promote(_ flight: Flight) {
        gates[flight.choice].promote(flight.rank)
        if desk.office(of: flight) == nil { desk.withdraw(flight.lead.token) }
    }

    /// The flight waits for nothing any more.
    func withdraw(_ flight: Flight) {
        gates[flight.choice].withdraw(flight.lead.token)
        limits.withdraw(flight.lead.token)
        desk.withdraw(flight.lead.token)
    }

    // MARK: - Asking

    private func caller(_ flight: Flight) -> ModelCaller {
        ModelCaller(
            agent: flight.route.agent, choice: flight.choice, health: health, expenses: expenses, clock: clock)
    }

    /// - Parameters:
    ///   - sink: takes the pieces; nil when nobody wants any by then.
    ///   - hasEnded: the flight was ended, whatever comes of this.
    func ask(
        _ flight: Flight, _ sources: [Source], sink: () -> DeltaSink?, hasEnded: () -> Bool
    ) async -> Asked {
        if flight.isForBatch, let asked = await joinBatch(flight, sources, hasEnded) { return asked }
        var trail = ModelTrail()
        for choice in flight.route.agent.choices {
            flight.choice = choice
            let failure: JobFailure
            switch await askChoice(flight, sources, sink, hasEnded) {
            case .success(let answer)?: return .answered(answer)
            case .failure(let said)?: failure = said
            case nil: failure = caller(flight).absence
            }
            if hasEnded() { break }
            guard !flight.isHeldBack, trail.failed(failure, hasStreamed: !flight.text.said.isEmpty) else { break }
        }
        return .failed(trail.failure ?? caller(flight).absence)
    }

    /// Bulk is patient: no other model is asked when there can be no batch at the moment.
    ///
    /// - Returns: nil when it is to be asked by itself, since somebody has joined who does not wait.
    @inline(never)
    private func joinBatch(_ flight: Flight, _ sources: [Source], _ hasEnded: () -> Bool) async -> Asked? {
        let standing = await desk.enrol(flight, sources)
        if hasEnded() { return .failed(caller(flight).absence) }
        // Who joined while the batch was made has it asked all the same.
        guard desk.office(of: flight) != nil else { return nil }
        switch standing {
        case .later(let delay)?:
            flight.route.agent.metrics.modelCalls.increment()
            return .later(delay)
        case .failed(let failure)?: return .failed(failure)
        case .absent?, .urgent?, .answered?, nil: return nil
        }
    }

    /// The question was made to stand alone in vain.
    func noteRewriting(of flight: Flight) {
        if let made = flight.rewriting { note(made.asLost, of: flight) }
    }

    /// What it took to make the question stand alone is the batch's to note.
    func leaveRewriting(of flight: Flight) {
        if let made = flight.rewriting { expenses?.close(made.openCalls) }
    }

    /// A line of a batch came to no answer.
    func noteLine(_ failure: JobFailure, of flight: Flight) {
        guard let call = failure.call else { return }
        var usage = call.usage
        usage.cost = flight.route.agent.choices[0].batches?.prices?.cost(of: usage)
        note(LostCall(model: call.model, usage: usage), of: flight)
    }

    /// Has a call noted that came to no answer, or whose answer is in no reply.
    func note(_ call: LostCall?, of flight: Flight) {
        guard let call, let expenses else { return }
        let (job, agent) = (flight.lead.job, flight.route.agent)
        Task.detached(executorPreference: executor) { await expenses.note(call, for: job, by: agent) }
    }

    /// Asks the flight's ``Flight/choice``.
    ///
    /// - Returns: nil when the model was not asked, or the flight has ended meanwhile.
    @inline(never)
    private func askChoice(
        _ flight: Flight, _ sources: [Source], _ sink: () -> DeltaSink?, _ hasEnded: () -> Bool
    ) async -> Result<Answer, JobFailure>? {
        switch await limits.enter(flight, sources) {
        case .withdrawn: return nil
        case .later(let delay, let isModels):
            flight.isHeldBack = !isModels
            return .failure(.heldBack(for: delay))
        case .granted(let permit):
            let (result, isMade) = await askAtGate(
                flight, sources, sink, hasEnded, isLimited: !permit.buckets.isEmpty)
            return finished(result, flight, permit, isMade)
        }
    }

    @inline(never)
    private func finished(
        _ result: Result<Answer, JobFailure>?, _ flight: Flight, _ permit: ModelLimits.Permit, _ isMade: Bool
    ) -> Result<Answer, JobFailure>? {
        guard case .success(let answer)? = result else {
            limits.end(permit, usage: nil, wasMade: isMade)
            return result
        }
        limits.end(permit, usage: answer.usage, wasMade: isMade)
        if flight.choice.isFallback { flight.route.agent.metrics.fallbacks.increment() }
        guard let rewriting = flight.rewriting else { return result }
        var usage = answer.usage
        usage.add(rewriting.usage)
        return .success(answer.spending(usage, answer.openCalls + rewriting.openCalls))
    }

    @inline(never)
    private func askAtGate(
        _ flight: Flight, _ sources: [Source], _ sink: () -> DeltaSink?, _ hasEnded: () -> Bool, isLimited: Bool
    ) async -> (Result<Answer, JobFailure>?, isMade: Bool) {
        let caller = caller(flight)
        if sink() == nil, let prompt = caller.prompt(flight.lead, sources) {
            return await askTogether(flight, prompt, hasEnded)
        }
        let gate = gates[flight.choice]
        guard await gate.enter(flight.rank, limits.share(of: flight, sources)) else { return (nil, false) }
        guard !hasEnded() else {
            gate.leave(.unanswered)
            return (nil, false)
        }
        // Who joins may have more time than the lead.
        let left = flight.isShared ? nil : flight.lead.job.deadline?.since(clock.wall)
        // No limit has been asked about a second call.
        if flight.choice.hedges, !isLimited {
            let call = await callHedged(flight, sources, caller, within: left, sink(), hasEnded: hasEnded)
            return (leave(gate, flight, call, hasEnded), true)
        }
        let call = await caller.call(flight.lead, sources, within: left, onDelta: sink())
        return (leave(gate, flight, call, hasEnded), true)
    }

    @inline(never)
    private func askTogether(
        _ flight: Flight, _ prompt: BatchPrompt, _ hasEnded: () -> Bool
    ) async -> (Result<Answer, JobFailure>?, isMade: Bool) {
        guard let seat = await gates[flight.choice].enter(flight, prompt, begin: { self.begin($0) })
        else { return (nil, false) }
        return (await answer(flight, seat, hasEnded), true)
    }

    /// Gives the place at the gate back.
    ///
    /// - Returns: nil when nobody waits for what came of the call.
    @inline(never)
    private func leave(
        _ gate: ModelGate, _ flight: Flight, _ call: ModelCaller.Call, _ hasEnded: () -> Bool
    ) -> Result<Answer, JobFailure>? {
        note(call.failure?.call, of: flight)
        if call.failure != nil, hasEnded() {
            gate.leave(.unanswered)
            return nil
        }
        gate.leave(caller(flight).judge(call, isFirstTry: flight.lead.isFirstTry))
        return call.result
    }

    /// Has the model make the question stand alone.
    ///
    /// - Returns: nil when it made nothing of use.
    func rewrite(_ flight: Flight, hasEnded: () -> Bool) async -> String? {
        guard let rewriter = flight.route.agent.rewriter, case .granted(let permit) = await limits.enter(flight, [])
        else { return nil }
        var usage: Usage?
        defer { limits.end(permit, usage: usage, wasMade: usage != nil) }
        let gate = gates[flight.choice]
        guard await gate.enter(flight.rank, limits.share(of: flight, [])) else { return nil }
        guard !hasEnded() else {
            gate.leave(.unanswered)
            return nil
        }
        let caller = caller(flight)
        let call = await caller.rewrite(
            flight.lead, by: rewriter, within: flight.isShared ? nil : flight.lead.job.deadline?.since(clock.wall))
        gate.leave(flight.ending == nil ? caller.judge(call, isFirstTry: flight.lead.isFirstTry) : .unanswered)
        note(call.failure?.call, of: flight)
        guard case .success(let answer) = call.result else { return nil }
        usage = answer.usage
        flight.rewriting = answer
        return Rewrite.question(in: answer.text)
    }

    // MARK: - Together

    /// The gate has let a batch go.
    private func begin(_ batch: PromptBatch) {
        nextBatch += 1
        let number = nextBatch
        batches[number] = batch
        batch.task = Task.detached(executorPreference: executor) { [perform] in await perform(.batch(number)) }
    }

    private func carryOut(_ number: UInt64) async {
        guard let batch = batches.removeValue(forKey: number), let first = batch.flights.first else { return }
        let caller = ModelCaller(
            agent: first.route.agent, choice: batch.choice, health: health, expenses: expenses, clock: clock)
        let (results, call) = await caller.call(batch.prompts, for: batch.flights.map(\.lead.job))
        batch.end(results)
        for (flight, result) in batch.left(results) {
            switch result {
            case .success(let answer): note(answer.asLost, of: flight)
            case .failure(let failure): note(failure.call, of: flight)
            }
        }
        // One call has one fate for the service.
        let isFirstTry = batch.flights.contains { $0.lead.isFirstTry }
        gates[batch.choice].leave(
            batch.isAbandoned ? .unanswered : caller.judge(call, isFirstTry: isFirstTry))
    }

    /// Waits for its part of a call; who is ended meanwhile leaves the others alone.
    private func answer(
        _ flight: Flight, _ seat: PromptBatch.Seat, _ hasEnded: () -> Bool
    ) async -> Result<Answer, JobFailure>? {
        if seat.batch.results == nil, flight.ending == nil { await withCheckedContinuation { flight.waiter = $0 } }
        guard let result = seat.result else {
            seat.batch.leave(seat.place)
            return nil
        }
        guard case .failure(let failure) = result else { return result }
        note(failure.call, of: flight)
        return hasEnded() ? nil : result
    }
}
