import Answering
import ChatJobs
import Pipeline
import Synchronization

/// A vector store that finds as many passages as it is asked for, or fails.
package final class SimulatedPassages: PassageSource {
    /// Whether claims are taken is the model's to say.
    package var isLocal: Bool { true }
    private struct State {
        var calls: [[String]] = []
        var topKs: [Int] = []
        var awayUntil: Duration = .zero
        var hangs = false
        var version = "1"
    }

    private let state = Mutex(State())
    private let executor: SimulatedExecutor
    private let latencies: Latencies
    private let ready: Bool
    let failing: Int

    /// - Parameters:
    ///   - ready: whether there is an index.
    ///   - failing: in how many of a hundred cases a question's search fails.
    package init(executor: SimulatedExecutor, latencies: Latencies, ready: Bool = true, failing: Int = 0) {
        self.executor = executor
        self.latencies = latencies
        self.ready = ready
        self.failing = failing
    }

    package func state() async -> KnowledgeState? { KnowledgeState(state.withLock { $0.version }) }

    /// As an ingest does.
    package func change() { state.withLock { $0.version += "+" } }

    /// The questions of each call.
    package var calls: [[String]] { state.withLock { $0.calls } }
    /// The `topK` of each call.
    package var topKs: [Int] { state.withLock { $0.topKs } }

    /// For `duration` from now nobody listens, or whoever listens does not answer.
    package func goAway(for duration: Duration, hanging: Bool = false) {
        let until = executor.now + duration
        state.withLock {
            $0.awayUntil = max($0.awayUntil, until)
            $0.hangs = hanging
        }
    }

    private var isThere: Bool {
        let now = executor.now
        return state.withLock { now >= $0.awayUntil }
    }

    package func isReady() async -> Bool { ready }

    package func passages(
        for questions: [PassageQuestion], topK: Int, timeout: Duration
    ) async -> [Result<[Source], PassageFailure>] {
        state.withLock {
            $0.calls.append(questions.map(\.text))
            $0.topKs.append(topK)
        }
        if !isThere {
            if state.withLock({ $0.hangs }) { await executor.sleep(timeout) }
            let absence = PassageFailure(JobFailure(.retrievalFailed, "nobody listens", blame: .absence), .vectors)
            return questions.map { _ in .failure(absence) }
        }
        await executor.sleep(executor.draw(latencies.search))
        if Task.isCancelled {
            return questions.map { _ in
                .failure(PassageFailure(JobFailure(.retrievalFailed, "the search was cancelled")))
            }
        }
        return questions.map { question in
            if executor.chance(failing) {
                return .failure(PassageFailure(JobFailure(.retrievalFailed, "the search failed")))
            }
            return .success(
                (0..<topK).map {
                    Source(
                        id: "doc.md#\($0)", score: 1 - Double($0) / 100, title: "Doc", text: "\($0): \(question.text)")
                })
        }
    }

    package func probe(_ dependency: Dependency) async -> Bool { isThere }
}
