import Answering
import ChatJobs
import Pipeline
import Synchronization

/// The answer cache's second tier: forgets what has expired, and loses what was kept while it was away.
package final class SimulatedCache: AnswerStore {
    private struct State {
        var kept: [AnswerKey: (bytes: [UInt8], until: Duration)] = [:]
        var awayUntil: Duration = .zero
        var asked = 0
    }

    private let state = Mutex(State())
    private let executor: SimulatedExecutor
    private let latencies: Latencies

    package init(executor: SimulatedExecutor, latencies: Latencies) {
        self.executor = executor
        self.latencies = latencies
    }

    /// How often answers were looked for.
    package var asked: Int { state.withLock { $0.asked } }

    package func goAway(for duration: Duration) {
        let until = executor.now + duration
        state.withLock { $0.awayUntil = max($0.awayUntil, until) }
    }

    /// All that is kept is what this makes of it.
    package func damage(_ change: ([UInt8]) -> [UInt8]) {
        state.withLock { state in
            state.kept = state.kept.mapValues { (change($0.bytes), $0.until) }
        }
    }

    package func answers(to keys: [AnswerKey]) async -> [AnswerKey: KeptAnswer] {
        await executor.sleep(executor.draw(latencies.store))
        let now = executor.now
        return state.withLock { state in
            state.asked += 1
            guard now >= state.awayUntil else { return [:] }
            return keys.reduce(into: [:]) { found, key in
                if let kept = state.kept[key], kept.until > now { found[key] = KeptAnswer(decoding: kept.bytes) }
            }
        }
    }

    package func keep(_ answer: KeptAnswer, as key: AnswerKey, for life: Duration) async {
        await executor.sleep(executor.draw(latencies.store))
        let now = executor.now
        state.withLock { state in
            if now >= state.awayUntil { state.kept[key] = (answer.encoded(), now + life) }
        }
    }
}
