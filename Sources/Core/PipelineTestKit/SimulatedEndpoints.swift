import Answering
import ChatJobs
import Pipeline

/// Where a ``SimulatedModel`` can be asked (`model.endpoints`): each place has hours in which nobody is there, or in which it
/// wants to be left alone. What is asked in vain there costs nothing, and goes to another.
package struct SimulatedEndpoints: Sendable {
    private struct Hours: Sendable {
        let from: Duration
        let to: Duration
        /// It answers 429; else nobody answers.
        let isPause: Bool
    }

    private let places: [[Hours]]
    private let executor: SimulatedExecutor
    private let timeout: Duration

    static func draw(
        _ draw: inout SeededGenerator, executor: SimulatedExecutor, timeout: Duration
    ) -> SimulatedEndpoints {
        let places = (0..<Int.random(in: 2...3, using: &draw)).map { _ in
            (0..<Int.random(in: 0...3, using: &draw)).map { _ in
                let from = Duration.milliseconds(Int.random(in: 0...6000, using: &draw))
                return Hours(
                    from: from, to: from + .milliseconds(Int.random(in: 1...4000, using: &draw)),
                    isPause: draw.chance(30))
            }
        }
        return SimulatedEndpoints(places: places, executor: executor, timeout: timeout)
    }

    /// One worker's way to them.
    func pool(of life: ProcessLife, _ model: SimulatedModel) -> EndpointPool {
        EndpointPool(
            service: .model, names: places.indices.map { "endpoint \($0)" },
            weights: places.indices.map { $0 + 1 }, timeout: timeout,
            probes: places.indices.map { place in
                { life.isAlive && absence(at: place) == nil && model.isThere }
            },
            clock: SimulatedClock(executor), executor: executor)
    }

    func answers(_ answers: SimulatedAnswers, of pool: EndpointPool, _ ledger: Ledger) -> any AnswerModel {
        let pooled = PooledAnswers(
            places.indices.map { Endpoint(place: $0, endpoints: self, answers: answers) }, pool: pool,
            key: answers.agent ?? "")
        return Noted(pooled: pooled, life: answers.life, executor: executor, ledger: ledger)
    }

    private func absence(at place: Int) -> JobFailure? {
        let now = executor.now
        guard let hours = places[place].first(where: { $0.from <= now && now < $0.to }) else { return nil }
        var failure =
            hours.isPause
            ? JobFailure(.rateLimited, "endpoint \(place) wants a pause", retryAfter: hours.to - now, blame: .overload)
            : JobFailure(.modelUnavailable, "nobody is at endpoint \(place)", blame: .absence)
        failure.isFree = true
        return failure
    }

    /// The ledger is told of what no model has said: that all endpoints want a pause.
    private struct Noted: AnswerModel {
        let pooled: PooledAnswers
        let life: ProcessLife
        let executor: SimulatedExecutor
        let ledger: Ledger

        var isLocal: Bool { pooled.isLocal }
        var name: String { pooled.name }

        func answer(
            _ job: Job, passages: [Source], timeout: Duration, onDelta: DeltaSink?
        ) async throws(JobFailure) -> Answer {
            do throws(JobFailure) {
                return try await pooled.answer(job, passages: passages, timeout: timeout, onDelta: onDelta)
            } catch {
                if error.message.hasPrefix("all "), life.isAlive {
                    ledger.callFailed(
                        job.id,
                        Ledger.Failure(
                            failure: error, life: life, at: executor.now, wall: SimulatedClock(executor).wall))
                }
                throw error
            }
        }

        func probe() async -> Bool { await pooled.probe() }
    }

    private struct Endpoint: AnswerModel {
        let place: Int
        let endpoints: SimulatedEndpoints
        let answers: SimulatedAnswers

        var isLocal: Bool { answers.isLocal }
        var name: String { answers.name }

        func answer(
            _ job: Job, passages: [Source], timeout: Duration, onDelta: DeltaSink?
        ) async throws(JobFailure) -> Answer {
            if let absence = endpoints.absence(at: place) { throw absence }
            return try await answers.answer(job, passages: passages, timeout: timeout, onDelta: onDelta)
        }

        func probe() async -> Bool { endpoints.absence(at: place) == nil }
    }
}
