/// The gate in front of one model, with those who wait there. One way in, one way out.
///
/// Not Sendable: it belongs to ``Answering``, on whose executor all of it runs.
final class ModelGate {
    private var gate: Gate
    private var waiters: [Gate.Token: Waiter] = [:]
    private let choice: ModelChoice
    /// The model answers several in one call; nil when each has a call of its own.
    private let model: (any BatchAnswerModel)?
    private let metrics: GateMetrics
    private let clock: any PipelineClock
    /// No start while the model is away.
    private var isClosed = false
    /// Has ``wake()`` called again after so long. A start is held back until then.
    private let wakeAfter: (Duration) -> Void
    private var isHeld = false
    /// Whoever has come in this turn is let in at its end, together.
    private var isWaking = false

    private enum Waiter {
        case alone(CheckedContinuation<Bool, Never>)
        case together(Flight, BatchPrompt, CheckedContinuation<Void, Never>, begin: (PromptBatch) -> Void)

        func refuse() {
            switch self {
            case .alone(let continuation): continuation.resume(returning: false)
            case .together(_, _, let continuation, _): continuation.resume()
            }
        }
    }

    /// - Parameter weights: of tenants.
    init(
        _ choice: ModelChoice, maxWait: Duration, weights: [String: Int], clock: any PipelineClock,
        wakeAfter: @escaping (Duration) -> Void
    ) {
        self.choice = choice
        model = choice.model as? any BatchAnswerModel
        // Batches take longer the larger they are, and end apart by that.
        gate = Gate(
            ceiling: choice.concurrency, maxWait: maxWait, isPaced: model == nil,
            findsLimit: model == nil && choice.findsConcurrency,
            weights: weights)
        self.clock = clock
        metrics = GateMetrics(choice)
        self.wakeAfter = wakeAfter
    }

    /// Waits for a place; whoever gets one must ``leave(_:)``. False: the gate is closed, or the waiter was withdrawn.
    func enter(_ rank: Rank, _ share: @autoclosure () -> FairQueue.Share) async -> Bool {
        if isClosed { return false }
        if gate.enterAtOnce(now: clock.now) {
            metrics.running.record(gate.running)
            return true
        }
        let share = share()
        return await withCheckedContinuation { continuation in
            if gate.enter(rank, token: rank.arrival, share, now: clock.now) {
                continuation.resume(returning: true)
            } else {
                waiters[rank.arrival] = .alone(continuation)
            }
            // Here, not after the wait: the queue is seen while there is one.
            wake()
        }
    }

    /// A place for a second call, if there is one that nobody waits for. Whoever gets one must ``leave(_:)``.
    func enterIfFree() -> Bool {
        guard !isClosed, gate.enterAtOnce(now: clock.now) else { return false }
        metrics.running.record(gate.running)
        return true
    }

    /// Waits for a place in a call that several share: a call goes as soon as there is room for one, with whoever waits by then.
    /// Nil: the gate is closed, or the waiter was withdrawn. The call leaves, and not who is in it.
    ///
    /// - Parameter begin: makes the call.
    func enter(
        _ flight: Flight, _ prompt: BatchPrompt, begin: @escaping (PromptBatch) -> Void
    ) async -> PromptBatch.Seat? {
        if isClosed { return nil }
        let rank = flight.rank
        flight.seat = nil
        await withCheckedContinuation { continuation in
            gate.wait(
                rank, token: rank.arrival, .init(tenant: flight.lead.job.tenant, cost: prompt.tokens), now: clock.now)
            waiters[rank.arrival] = .together(flight, prompt, continuation, begin: begin)
            metrics.queued.record(gate.queued)
            guard !isWaking else { return }
            isWaking = true
            wakeAfter(.zero)
        }
        return flight.seat
    }

    private func begin(
        with flight: Flight, _ prompt: BatchPrompt, _ continuation: CheckedContinuation<Void, Never>,
        _ begin: (PromptBatch) -> Void
    ) {
        let batch = PromptBatch(choice)
        flight.seat = batch.add(flight, prompt)
        continuation.resume()
        var left = (model?.maxBatchTokens ?? 0) - prompt.tokens
        let companions = gate.companions(atMost: (model?.maxBatch ?? 1) - 1) { token in
            guard case .together(_, let other, _, _)? = waiters[token], other.group == prompt.group,
                other.tokens <= left
            else { return false }
            left -= other.tokens
            return true
        }
        for token in companions {
            guard case .together(let flight, let prompt, let continuation, _)? = waiters.removeValue(forKey: token)
            else { continue }
            flight.seat = batch.add(flight, prompt)
            continuation.resume()
        }
        begin(batch)
    }

    /// Somebody of a better rank waits for the same call.
    func promote(_ rank: Rank) {
        if waiters[rank.arrival] != nil { gate.promote(rank, token: rank.arrival) }
    }

    /// A call has ended, its place is free.
    func leave(_ result: Gate.Result) {
        gate.leave(result, now: clock.now)
        wake()
    }

    /// The waiter gives up.
    func withdraw(_ token: Gate.Token) {
        guard let waiter = waiters.removeValue(forKey: token) else { return }
        gate.withdraw(token)
        waiter.refuse()
    }

    /// The model is to be left alone.
    ///
    /// - Parameter sendingAway: whether those who wait give up. A short pause is waited out.
    func close(sendingAway: Bool) {
        isClosed = true
        guard sendingAway else { return }
        for token in gate.withdrawAll() { waiters.removeValue(forKey: token)?.refuse() }
    }

    /// The model may be asked again.
    ///
    /// - Parameter slowly: one call first, after an outage.
    func open(slowly: Bool) {
        isClosed = false
        if slowly { gate.restart() }
        wake()
    }

    /// Lets as many waiters go on as there is room for.
    func wake() {
        guard !isClosed else { return }
        while let next = gate.next(now: clock.now) {
            switch waiters.removeValue(forKey: next) {
            case .alone(let continuation)?: continuation.resume(returning: true)
            case .together(let flight, let prompt, let continuation, let begin)?:
                self.begin(with: flight, prompt, continuation, begin)
            case nil: break
            }
        }
        if let hold = gate.hold(now: clock.now), !isHeld {
            isHeld = true
            wakeAfter(hold)
        }
        metrics.running.record(gate.running)
        metrics.queued.record(gate.queued)
        metrics.limit.record(gate.limit)
    }

    /// The time of ``wakeAfter`` is over.
    func holdIsOver() {
        isHeld = false
        isWaking = false
        wake()
    }
}
