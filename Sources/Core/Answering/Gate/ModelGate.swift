/// The gate in front of one model, with those who wait there. One way in, one way out.
///
/// Not Sendable: it belongs to ``Answering``, on whose executor all of it runs.
final class ModelGate {
    private var gate: Gate
    private var waiters: [Gate.Token: CheckedContinuation<Bool, Never>] = [:]
    private let metrics: GateMetrics
    private let clock: any PipelineClock
    /// No start while the model is away.
    private var isClosed = false
    /// Has ``wake()`` called again after so long. A start is held back until then.
    private let wakeAfter: (Duration) -> Void
    private var isHeld = false

    init(
        ceiling: Int, maxWait: Duration, clock: any PipelineClock, metrics: GateMetrics,
        wakeAfter: @escaping (Duration) -> Void
    ) {
        gate = Gate(ceiling: ceiling, maxWait: maxWait)
        self.clock = clock
        self.metrics = metrics
        self.wakeAfter = wakeAfter
    }

    /// Waits for a place; whoever gets one must ``leave(_:)``. False: the gate is closed, or the waiter was withdrawn.
    func enter(_ rank: Rank) async -> Bool {
        if isClosed { return false }
        if gate.enterAtOnce(now: clock.now) {
            metrics.running.record(gate.running)
            return true
        }
        return await withCheckedContinuation { continuation in
            if gate.enter(rank, token: rank.arrival, now: clock.now) {
                continuation.resume(returning: true)
            } else {
                waiters[rank.arrival] = continuation
            }
            // Here, not after the wait: the queue is seen while there is one.
            wake()
        }
    }

    /// Somebody of a better rank waits for the same call.
    func promote(_ rank: Rank) {
        if waiters[rank.arrival] != nil { gate.promote(rank, token: rank.arrival) }
    }

    /// A call has ended, its place is free.
    func leave(_ result: Gate.Result) {
        gate.leave(result)
        wake()
    }

    /// The waiter gives up.
    func withdraw(_ token: Gate.Token) {
        guard let waiter = waiters.removeValue(forKey: token) else { return }
        gate.withdraw(token)
        waiter.resume(returning: false)
    }

    /// The model is to be left alone.
    ///
    /// - Parameter sendingAway: whether those who wait give up. A short pause is waited out.
    func close(sendingAway: Bool) {
        isClosed = true
        guard sendingAway else { return }
        for token in gate.withdrawAll() { waiters.removeValue(forKey: token)?.resume(returning: false) }
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
        while let next = gate.next(now: clock.now) { waiters.removeValue(forKey: next)?.resume(returning: true) }
        if let hold = gate.hold(now: clock.now), !isHeld {
            isHeld = true
            wakeAfter(hold)
        }
        metrics.running.record(gate.running)
        metrics.queued.record(gate.queued)
    }

    /// The time of ``wakeAfter`` is over.
    func holdIsOver() {
        isHeld = false
        wake()
    }
}
