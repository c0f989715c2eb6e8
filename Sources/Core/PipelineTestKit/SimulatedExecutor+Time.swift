import Answering
import ChatJobs
import Glibc
import Pipeline

/// Which thread this is.
struct ThreadID: Equatable, Sendable {
    private let id: UInt
    static var current: ThreadID { ThreadID(id: UInt(pthread_self())) }
}

extension SimulatedExecutor {
    /// Virtual time since the run began.
    package var now: Duration { state.withLock { $0.now } }

    /// Waits in virtual time; a cancelled task wakes at once.
    package func sleep(_ duration: Duration, isolation: isolated (any Actor)? = #isolation) async {
        let token = state.withLock { state in
            state.nextToken += 1
            return state.nextToken
        }
        await withTaskCancellationHandler {
            // Naming the caller's actor keeps the closure on it.
            _ = isolation
            await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                let isCancelled = state.withLock { state in
                    if state.cancelled.remove(token) != nil { return true }
                    state.sleepers[token] = continuation
                    state.timers.insert(TimerEntry(due: state.now + max(.zero, duration), token: token))
                    return false
                }
                if isCancelled { continuation.resume() }
            }
        } onCancel: {
            let sleeper = state.withLock { state in
                let sleeper = state.sleepers.removeValue(forKey: token)
                if sleeper == nil { state.cancelled.insert(token) }
                return sleeper
            }
            sleeper?.resume()
        }
    }

    /// Waits until virtual time `instant`; a cancelled task wakes at once.
    package func sleep(until instant: Duration, isolation: isolated (any Actor)? = #isolation) async {
        await sleep(instant - now)
    }

    /// Waits until virtual time `instant`, whatever becomes of the task: what has been sent cannot be called back.
    package func sleepUncancelled(until instant: Duration, isolation: isolated (any Actor)? = #isolation) async {
        await withCheckedContinuation { continuation in
            state.withLock { state in
                state.nextToken += 1
                state.sleepers[state.nextToken] = continuation
                state.timers.insert(TimerEntry(due: max(state.now, instant), token: state.nextToken))
            }
        }
    }

    /// A number from the run's seed.
    package func draw(_ range: ClosedRange<Int>) -> Int {
        state.withLock { Int.random(in: range, using: &$0.generator) }
    }

    /// True in `percent` of a hundred cases, from the run's seed.
    package func chance(_ percent: Int) -> Bool { state.withLock { $0.generator.chance(percent) } }

    /// A time from the run's seed, in whole microseconds.
    package func draw(_ range: ClosedRange<Duration>) -> Duration {
        let low = range.lowerBound / .microseconds(1)
        let high = range.upperBound / .microseconds(1)
        return .microseconds(draw(Int(low)...Int(high)))
    }
}

/// The executor's virtual time as the pipeline's clock.
package struct SimulatedClock: PipelineClock {
    let executor: SimulatedExecutor
    /// What the wall clock shows when the run begins.
    package static let start = Timestamp(milliseconds: 1_795_000_000_000)

    package init(_ executor: SimulatedExecutor) { self.executor = executor }

    package var now: Duration { executor.now }
    package var wall: Timestamp {
        Timestamp(milliseconds: Self.start.milliseconds + Int64(executor.now / .milliseconds(1)))
    }

    package func sleep(for duration: Duration) async { await executor.sleep(duration) }
    package func random() -> Double { Double(executor.draw(0...999_999)) / 1_000_000 }
}
