import ChatJobs
import Foundation
import PipelineTestKit
import Synchronization
import Testing

@testable import Answering

/// A model at several servers, each of which has good days and bad ones, in simulated time.
@Suite struct EndpointPoolTests {
    /// How a server behaves for a while.
    enum Mood: CaseIterable, Sendable {
        case well, refuses, hangs, fails, pauses, deploys, forbids
    }

    /// A server of the model's.
    final class Server: AnswerModel {
        let isLocal = false
        private let executor: SimulatedExecutor
        private let state = Mutex((mood: Mood.well, calls: 0, paid: 0, running: 0, most: 0))

        init(_ executor: SimulatedExecutor) { self.executor = executor }

        var mood: Mood { state.withLock { $0.mood } }
        var calls: Int { state.withLock { $0.calls } }
        /// Those that it did something for.
        var paid: Int { state.withLock { $0.paid } }
        var running: Int { state.withLock { $0.running } }
        var most: Int { state.withLock { $0.most } }
        func become(_ mood: Mood) { state.withLock { $0.mood = mood } }

        func answer(
            _ job: Job, passages: [Source], timeout: Duration, onDelta: DeltaSink?
        ) async throws(JobFailure) -> Answer {
            #expect(timeout > .zero)
            let mood = state.withLock { state in
                state.calls += 1
                state.running += 1
                state.most = max(state.most, state.running)
                return state.mood
            }
            defer { state.withLock { $0.running -= 1 } }
            switch mood {
            case .refuses:
                throw JobFailure(.modelUnavailable, "nobody listens", blame: .absence).free()
            case .pauses:
                await executor.sleep(.milliseconds(5))
                throw JobFailure(.rateLimited, "slower", retryAfter: .seconds(3), blame: .overload).free()
            case .deploys: throw JobFailure(.modelUnavailable, "503", blame: .gateway).free()
            case .forbids: throw JobFailure(.modelUnavailable, "401", blame: .absence).free()
            case .well, .hangs, .fails: break
            }
            state.withLock { $0.paid += 1 }
            let time = mood == .hangs ? timeout : executor.draw(.milliseconds(100) ... .milliseconds(900))
            await executor.sleep(min(time, timeout))
            if Task.isCancelled { throw JobFailure(.modelUnavailable, "cancelled") }
            if time >= timeout { throw JobFailure(.modelTimeout, "too late") }
            if mood == .fails { throw JobFailure(.modelUnavailable, "500") }
            return Answer(text: job.query, model: "m", usage: Usage(promptTokens: 1, completionTokens: 1), sources: [])
        }

        func probe() async -> Bool {
            await executor.sleep(.milliseconds(2))
            return mood != .refuses && mood != .deploys
        }
    }

    private static func pool(
        _ servers: [Server], _ weights: [Int], _ executor: SimulatedExecutor, timeout: Duration = .seconds(20)
    ) -> EndpointPool {
        EndpointPool(
            service: .model, names: servers.indices.map { "http://\($0)/v1" }, weights: weights, timeout: timeout,
            probes: servers.map { server in { await server.probe() } }, clock: SimulatedClock(executor),
            executor: executor)
    }

    private static func job(_ number: Int) -> Job? { JobID("j-\(number)").map { Job(id: $0, query: "q\(number)") } }

    /// Runs jobs for a minute, five a second, while servers change their moods; then all are well.
    private static func aDay(_ seed: UInt64) {
        let executor = SimulatedExecutor(seed: seed)
        let outcome = executor.run {
            let count = executor.draw(2...5)
            let servers = (0..<count).map { _ in Server(executor) }
            let pool = pool(servers, servers.map { _ in executor.draw(1...4) }, executor)
            let agents = (0..<3).map { PooledAnswers(servers, pool: pool, key: "agent \($0)") }
            let moods = Task(executorPreference: executor) {
                for _ in 0..<12 {
                    // The first is always well.
                    for server in servers.dropFirst() where executor.chance(40) {
                        server.become(Mood.allCases[executor.draw(0...(Mood.allCases.count - 1))])
                    }
                    await executor.sleep(.seconds(5))
                }
                for server in servers { server.become(.well) }
            }
            await withTaskGroup(of: Void.self) { group in
                for number in 0..<300 {
                    await executor.sleep(.milliseconds(200))
                    group.addTask {
                        guard let job = job(number) else { return }
                        do throws(JobFailure) {
                            let answer = try await agents[number % 3].answer(
                                job, passages: [], timeout: .seconds(20), onDelta: nil)
                            #expect(answer.text == job.query)
                        } catch {
                            // What costs nothing is asked of the next: one of them is well.
                            #expect(!error.isFree && error.isOfOneEndpoint, "seed \(seed): \(error)")
                            #expect([.modelTimeout, .modelUnavailable].contains(error.code))
                        }
                    }
                }
            }
            await moods.value
            // With some traffic all of them are found to be back.
            for number in 0..<200 {
                guard let job = job(number) else { return }
                await executor.sleep(.milliseconds(200))
                _ = try? await agents[number % 3].answer(job, passages: [], timeout: .seconds(20), onDelta: nil)
            }
            let places = Array(servers.indices)
            #expect(
                places.allSatisfy { place in
                    let taken = pool.begin([place], without: [])
                    if taken != nil { _ = pool.end(place, .nothing, after: .zero) }
                    return taken == place
                }, "seed \(seed): somebody who is back is not asked")
            #expect(servers.allSatisfy { $0.running == 0 })
        }
        #expect(outcome == .finished, "seed \(seed)")
    }

    @Test func jobsAreAnsweredWhateverBefallsTheOtherServers() {
        // A few here, which others' tests do not wait for; as many as one likes by hand.
        let count = ProcessInfo.processInfo.environment["PARLEY_SCHEDULES"].flatMap(Int.init) ?? 4
        for seed in 1...max(1, count) { Self.aDay(UInt64(seed)) }
    }

    private final class Counts: Sendable {
        let lost = Mutex(0)
        let calls = Mutex(0)
        let failure = Mutex<JobFailure?>(nil)
    }

    /// So many of a hundred calls, two a second, that are not answered with a server in this mood beside one that is well.
    private func lost(_ mood: Mood, preferred: Bool) -> (lost: Int, calls: Int) {
        let executor = SimulatedExecutor(seed: 7)
        let counts = Counts()
        let outcome = executor.run {
            let servers = [Server(executor), Server(executor)]
            servers[preferred ? 0 : 1].become(mood)
            let pool = Self.pool(servers, [1, 1], executor)
            // A key for which the first is preferred.
            let key = (0...).lazy.map { "\($0)" }.first { pool.order(for: $0) == [0, 1] } ?? ""
            let model = PooledAnswers(servers, pool: pool, key: key)
            await withTaskGroup(of: Void.self) { group in
                for number in 0..<100 {
                    await executor.sleep(.milliseconds(500))
                    group.addTask {
                        guard let job = Self.job(number) else { return }
                        let answer = try? await model.answer(job, passages: [], timeout: .seconds(20), onDelta: nil)
                        if answer == nil { counts.lost.withLock { $0 += 1 } }
                    }
                }
            }
            counts.calls.withLock { $0 = servers[preferred ? 0 : 1].calls }
        }
        #expect(outcome == .finished)
        return (counts.lost.withLock(\.self), counts.calls.withLock(\.self))
    }

    @Test(arguments: [Mood.refuses, .pauses, .deploys, .forbids])
    func aServerThatDoesNothingLosesNoCallAndIsHardlyAsked(_ mood: Mood) {
        let (lost, calls) = lost(mood, preferred: true)
        #expect(lost == 0)
        // In 50 s.
        #expect((1...20).contains(calls), "\(calls)")
    }

    @Test func aServerThatHangsHoldsFewCalls() {
        let (lost, calls) = lost(.hangs, preferred: true)
        // What comes in the five seconds in which it may only be slow, and a call now and then later.
        #expect(lost <= 14 && calls <= 14, "\(lost) of \(calls)")
    }

    @Test func aServerThatFailsWhateverItIsAskedIsFoundOut() {
        let (lost, calls) = lost(.fails, preferred: true)
        #expect(lost <= 8 && calls == lost, "\(lost) of \(calls)")
    }

    // MARK: - All of them

    private func failure(_ moods: [Mood]) -> JobFailure? {
        let executor = SimulatedExecutor(seed: 3)
        let counts = Counts()
        _ = executor.run {
            let servers = moods.map { mood in
                let server = Server(executor)
                server.become(mood)
                return server
            }
            let model = PooledAnswers(servers, pool: Self.pool(servers, [1, 1], executor), key: "a")
            guard let job = Self.job(1) else { return }
            do throws(JobFailure) {
                _ = try await model.answer(job, passages: [], timeout: .seconds(20), onDelta: nil)
            } catch { counts.failure.withLock { $0 = error } }
        }
        return counts.failure.withLock(\.self)
    }

    @Test func withAllAwayTheModelIsAway() {
        let failure = failure([.refuses, .deploys])
        #expect(failure?.blame == .absence && failure?.code == .modelUnavailable)
        #expect(failure?.isOfOneEndpoint == false)
    }

    @Test func withAllPausedTheModelWantsAPause() {
        let failure = failure([.pauses, .pauses])
        #expect(failure?.blame == .overload && failure?.code == .rateLimited)
        #expect(failure?.retryAfter == .milliseconds(2_995))
    }

    @Test func onePauseIsNotTheOthers() { #expect(failure([.pauses, .well]) == nil) }

    @Test func aCallThatMayHaveBeenPaidForIsNotMadeTwice() {
        let executor = SimulatedExecutor(seed: 5)
        _ = executor.run {
            let servers = [Server(executor), Server(executor)]
            for server in servers { server.become(.fails) }
            let model = PooledAnswers(servers, pool: Self.pool(servers, [1, 1], executor), key: "a")
            guard let job = Self.job(1) else { return }
            _ = try? await model.answer(job, passages: [], timeout: .seconds(20), onDelta: nil)
            #expect(servers.map(\.calls).sorted() == [0, 1])
        }
    }
}
