import HeapModule
import Synchronization

/// Runs tasks one at a time on the calling thread, in an order and in a time that a seed determines.
///
/// Every actor under test and every simulated port is pinned to it. Of the jobs that are ready, any may be next; when
/// none is, time jumps to the next timer; when there is no timer either, nothing can ever happen again, and the run
/// ends as ``Outcome/stuck``. The same seed gives the same run, so a failure can be replayed and stepped through.
package final class SimulatedExecutor: SerialExecutor, TaskExecutor {
    /// How a run ended.
    package enum Outcome: Sendable, Equatable {
        /// The scenario returned.
        case finished
        /// Somebody waits for what can never happen.
        case stuck
        /// The scenario did not end within the number of steps allowed: something spins.
        case exhausted
    }

    struct TimerEntry: Comparable {
        let due: Duration
        let token: UInt64
        static func < (a: TimerEntry, b: TimerEntry) -> Bool { (a.due, a.token) < (b.due, b.token) }
    }

    struct State {
        var generator: SeededGenerator
        var ready: [UnownedJob] = []
        var now: Duration = .zero
        var timers = Heap<TimerEntry>()
        var sleepers: [UInt64: CheckedContinuation<Void, Never>] = [:]
        var nextToken: UInt64 = 0
        var cancelled: Set<UInt64> = []
        var isFinished = false
        var strays = 0
    }

    let state: Mutex<State>
    private let thread = Mutex<ThreadID?>(nil)
    private let maxSteps: Int

    /// - Parameters:
    ///   - seed: determines the order of jobs and everything drawn with ``draw(_:)``.
    ///   - maxSteps: after so many jobs and timers the run is ``Outcome/exhausted``. Default a million.
    package init(seed: UInt64, maxSteps: Int = 1_000_000) {
        state = Mutex(State(generator: SeededGenerator(seed: seed)))
        self.maxSteps = maxSteps
    }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let isStray = thread.withLock { $0 != nil && $0 != .current }
        state.withLock {
            $0.ready.append(job)
            if isStray { $0.strays += 1 }
        }
    }

    package func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }

    /// Whoever asks is inside a job of this executor, or the run is not deterministic.
    package func checkIsolated() { precondition(thread.withLock { $0 == .current }, "used off the simulated executor") }

    /// Jobs that came from another thread: code under test left the executor, and the run cannot be replayed.
    package var strays: Int { state.withLock { $0.strays } }

    /// Runs `scenario` until it returns or cannot, then whatever is still ready.
    package func run(_ scenario: @escaping @Sendable () async -> Void) -> Outcome {
        thread.withLock { $0 = .current }
        defer { thread.withLock { $0 = nil } }
        let task = Task(executorPreference: self) {
            await scenario()
            self.state.withLock { $0.isFinished = true }
        }
        for _ in 0..<maxSteps {
            switch next() {
            case .job(let job):
                job.runSynchronously(isolatedTo: asUnownedSerialExecutor(), taskExecutor: asUnownedTaskExecutor())
            case .timer(let sleeper): sleeper.resume()
            case .nothing:
                if state.withLock({ $0.isFinished }) { return .finished }
                task.cancel()
                return .stuck
            }
        }
        return .exhausted
    }

    private enum Step {
        case job(UnownedJob)
        case timer(CheckedContinuation<Void, Never>)
        case nothing
    }

    private func next() -> Step {
        state.withLock { state in
            if !state.ready.isEmpty {
                let index = Int.random(in: 0..<state.ready.count, using: &state.generator)
                state.ready.swapAt(index, state.ready.count - 1)
                return .job(state.ready.removeLast())
            }
            while let timer = state.timers.popMin() {
                guard let sleeper = state.sleepers.removeValue(forKey: timer.token) else { continue }
                state.now = max(state.now, timer.due)
                return .timer(sleeper)
            }
            return .nothing
        }
    }
}
