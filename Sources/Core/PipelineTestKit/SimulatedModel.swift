import Answering
import ChatJobs
import Pipeline
import Synchronization

/// A language model: every call takes its time, fails or answers, and gives a different text unless it is constant.
package final class SimulatedModel: Sendable {
    /// What a call comes to.
    package enum Reaction: Sendable {
        case answers
        case fails(JobFailure)
        /// The same, without taking any time.
        case failsAtOnce(JobFailure)
        /// Takes the worker down with it.
        case kills
    }

    private struct State {
        var calls: [JobID] = []
        var times: [Duration] = []
        var passages: [Int] = []
        var timeouts: [Duration] = []
        var running = 0
        var mostRunning = 0
        var awayUntil: Duration = .zero
    }

    private let state = Mutex(State())
    private let executor: SimulatedExecutor
    private let ledger: Ledger
    private let latencies: Latencies
    private let reaction: @Sendable (Job) -> Reaction
    /// Its calls cost nothing, and the ledger does not count them.
    let isLocal: Bool
    /// Each call gives the same text.
    private let isConstant: Bool

    package init(
        executor: SimulatedExecutor, ledger: Ledger, latencies: Latencies, isLocal: Bool = false,
        isConstant: Bool = false,
        reaction: @escaping @Sendable (Job) -> Reaction = { _ in .answers }
    ) {
        self.executor = executor
        self.ledger = ledger
        self.latencies = latencies
        self.reaction = reaction
        self.isLocal = isLocal
        self.isConstant = isConstant
    }

    /// The jobs of the calls, in the order in which they began.
    package var calls: [JobID] { state.withLock { $0.calls } }
    /// When each call began, in virtual time.
    package var times: [Duration] { state.withLock { $0.times } }
    /// How many passages each call was given.
    package var passages: [Int] { state.withLock { $0.passages } }
    /// The time limit of each call.
    package var timeouts: [Duration] { state.withLock { $0.timeouts } }
    /// The most calls that ran at once.
    package var mostRunning: Int { state.withLock { $0.mostRunning } }

    /// Nobody listens for `duration` from now.
    package func goAway(for duration: Duration) {
        let until = executor.now + duration
        state.withLock { $0.awayUntil = max($0.awayUntil, until) }
    }

    /// Whether somebody listens.
    package var isThere: Bool {
        let now = executor.now
        return state.withLock { now >= $0.awayUntil }
    }

    func answer(
        _ job: Job, _ passages: [Source], _ timeout: Duration, _ onDelta: DeltaSink?, _ worker: SimulatedAnswers
    ) async throws(JobFailure) -> Answer {
        guard worker.life.isAlive else { throw JobFailure(.internal, "the process is dead") }
        if !isLocal { ledger.callBegan(job, worker.life, at: SimulatedClock(executor).wall) }
        do throws(JobFailure) {
            let answer = try await attempt(job, passages, timeout, onDelta, worker)
            if !isLocal {
                ended(job, worker.life, answered: true)
                ledger.served(.billed)
            }
            return answer
        } catch {
            if !isLocal {
                ended(job, worker.life, answered: false)
                ledger.served(error.call != nil ? .billed : worker.life.isAlive ? .free : .widowed)
            }
            if worker.life.isAlive, !Task.isCancelled {
                ledger.callFailed(
                    job.id,
                    Ledger.Failure(
                        failure: error, life: worker.life, at: executor.now, wall: SimulatedClock(executor).wall))
            }
            throw error
        }
    }

    private static let lost = Usage(promptTokens: 10, completionTokens: 1)

    /// How an agent's answer to a question ends.
    static func ending(of query: String, _ tenant: String?, _ agent: String?) -> String {
        " to \(query).\(tenant.map { " For \($0)." } ?? "")\(agent.map { " By \($0)." } ?? "")"
    }

    private func ended(_ job: Job, _ life: ProcessLife, answered: Bool) {
        ledger.callEnded(job, life, answered: answered, now: executor.now, wall: SimulatedClock(executor).wall)
    }

    private func attempt(
        _ job: Job, _ passages: [Source], _ timeout: Duration, _ onDelta: DeltaSink?, _ worker: SimulatedAnswers
    ) async throws(JobFailure) -> Answer {
        let now = executor.now
        let call = state.withLock { state in
            state.calls.append(job.id)
            state.times.append(now)
            state.passages.append(passages.count)
            state.timeouts.append(timeout)
            state.running += 1
            state.mostRunning = max(state.mostRunning, state.running)
            return state.calls.count
        }
        defer { state.withLock { $0.running -= 1 } }
        guard isThere else {
            // A refused connection can be known at once.
            if executor.chance(50) { await executor.sleep(executor.draw(latencies.store)) }
            throw JobFailure(.modelUnavailable, "nobody listens", blame: .absence)
        }
        let text = "Answer \(isConstant ? 1 : call)\(Self.ending(of: job.query, job.tenant, worker.agent))"
        let latency = executor.draw(latencies.model)
        let reaction = reaction(job)
        if case .failsAtOnce(let failure) = reaction { throw failure }
        if case .kills = reaction {
            await executor.sleep(latency)
            if worker.life.isAlive {
                ledger.killed(by: job.id, worker.life)
                worker.crash()
            }
            throw JobFailure(.internal, "the process is dead")
        }
        if latency > timeout {
            await executor.sleep(timeout)
            throw JobFailure(.modelTimeout, "the model did not answer within \(timeout)")
        }
        if let onDelta {
            let pieces = text.split(separator: " ", omittingEmptySubsequences: false)
            for (index, piece) in pieces.enumerated() {
                await executor.sleep(latency / pieces.count)
                if Task.isCancelled { break }
                await onDelta(index == 0 ? String(piece) : " " + piece)
            }
        } else {
            await executor.sleep(latency)
        }
        if Task.isCancelled { throw JobFailure(.modelUnavailable, "the call was cancelled") }
        switch reaction {
        case .fails(let failure):
            // Some services have begun by then.
            guard worker.life.isAlive, executor.chance(50) else { throw failure }
            ledger.lost()
            throw failure.losing(LostCall(model: "simulated", usage: Self.lost))
        case .answers, .failsAtOnce, .kills:
            return Answer(
                text: text, model: "simulated", usage: Usage(promptTokens: 10, completionTokens: 5), sources: passages)
        }
    }
}

/// One worker's way to a ``SimulatedModel``.
package struct SimulatedAnswers: AnswerModel {
    package var isLocal: Bool { model.isLocal }
    let model: SimulatedModel
    let life: ProcessLife
    /// Whose prompt the model is given.
    private(set) var agent: String?
    /// Kills the worker.
    let crash: @Sendable () -> Void

    package init(model: SimulatedModel, life: ProcessLife, crash: @escaping @Sendable () -> Void) {
        self.model = model
        self.life = life
        self.crash = crash
    }

    func of(_ agent: String) -> SimulatedAnswers {
        var answers = self
        answers.agent = agent
        return answers
    }

    package func answer(
        _ job: Job, passages: [Source], timeout: Duration, onDelta: DeltaSink?
    ) async throws(JobFailure) -> Answer {
        try await model.answer(job, passages, timeout, onDelta, self)
    }

    package func probe() async -> Bool { model.isThere }
}
