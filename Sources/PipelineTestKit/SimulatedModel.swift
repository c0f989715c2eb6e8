import ChatJobs
import Pipeline
import Synchronization

/// A language model: every call takes its time, fails or answers, and gives a different text.
public final class SimulatedModel: Sendable {
    /// What a call comes to.
    public enum Reaction: Sendable {
        case answers
        case fails(JobFailure)
    }

    private struct State {
        var calls: [JobID] = []
        var times: [Duration] = []
        var passages: [Int] = []
        var timeouts: [Duration] = []
        var running = 0
        var mostRunning = 0
    }

    private let state = Mutex(State())
    private let executor: SimulatedExecutor
    private let ledger: Ledger
    private let latencies: Latencies
    private let reaction: @Sendable (Job) -> Reaction

    public init(
        executor: SimulatedExecutor, ledger: Ledger, latencies: Latencies,
        reaction: @escaping @Sendable (Job) -> Reaction = { _ in .answers }
    ) {
        self.executor = executor
        self.ledger = ledger
        self.latencies = latencies
        self.reaction = reaction
    }

    /// The jobs of the calls, in the order in which they began.
    public var calls: [JobID] { state.withLock { $0.calls } }
    /// When each call began, in virtual time.
    public var times: [Duration] { state.withLock { $0.times } }
    /// How many passages each call was given.
    public var passages: [Int] { state.withLock { $0.passages } }
    /// The time limit of each call.
    public var timeouts: [Duration] { state.withLock { $0.timeouts } }
    /// The most calls that ran at once.
    public var mostRunning: Int { state.withLock { $0.mostRunning } }

    nonisolated(nonsending) func answer(
        _ job: Job, _ passages: [Source], _ timeout: Duration, _ onDelta: DeltaSink?, _ life: ProcessLife
    ) async throws(JobFailure) -> Answer {
        guard life.isAlive else { throw JobFailure(.internal, "the process is dead") }
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
        ledger.modelCalled(job.id)
        let text = "Answer \(call) to \(job.query)."
        let latency = executor.draw(latencies.model)
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
        switch reaction(job) {
        case .fails(let failure): throw failure
        case .answers:
            return Answer(
                text: text, model: "simulated", usage: Usage(promptTokens: 10, completionTokens: 5), sources: passages)
        }
    }
}

/// One worker's way to a ``SimulatedModel``.
public struct SimulatedAnswers: AnswerModel {
    let model: SimulatedModel
    let life: ProcessLife

    public init(model: SimulatedModel, life: ProcessLife) {
        self.model = model
        self.life = life
    }

    nonisolated(nonsending) public func answer(
        _ job: Job, passages: [Source], timeout: Duration, onDelta: DeltaSink?
    ) async throws(JobFailure) -> Answer {
        try await model.answer(job, passages, timeout, onDelta, life)
    }
}
