import ChatJobs
import Pipeline
import Testing

@testable import PipelineTestKit

/// Outages as they really happen: to lone jobs, to whole windows, in the middle of a wait.
@Suite struct PipelineOutageTests {
    private func messages(_ count: Int, _ change: (inout Job) -> Void = { _ in }) throws -> [SimulatedMessage] {
        try (0..<count).map { SimulatedMessage(number: $0, try job("job-\($0)", change)) }
    }

    @Test func aLoneJobOutlivesAnHourWithoutTheModelAndNoAttemptIsSpent() throws {
        let bench = Workbench()
        let message = SimulatedMessage(number: 0, try job("a"))
        bench.run {
            $0.model.goAway(for: .seconds(3600))
            await $0.broker.publish([message])
        }
        #expect(bench.replies.map(\.status) == [.succeeded])
        #expect(bench.replies.first?.attempts == 1)
        // Back soon after the model is.
        #expect(bench.executor.now < .seconds(3600 + 40))
    }

    @Test(arguments: [false, true])
    func aWindowsSharedFailureIsAnAttemptOfNobody(hanging: Bool) throws {
        var configuration = PipelineConfiguration()
        configuration.retry.maxAttempts = 1
        let bench = Workbench(configuration, index: true)
        let messages = try messages(100)
        bench.run {
            $0.passages?.goAway(for: .seconds(60), hanging: hanging)
            await $0.broker.publish(messages)
        }
        #expect(bench.replies.count == 100)
        #expect(bench.replies.allSatisfy { $0.status == .succeeded && $0.attempts == 1 })
    }

    @Test func whileTheStoreIsAwayJobsThatDoNotNeedItAreAnswered() throws {
        let bench = Workbench(index: true)
        let (needing, free) = (
            try messages(30), SimulatedMessage(number: 99, try job("free") { $0.options.retrieve = .never })
        )
        bench.run {
            $0.passages?.goAway(for: .seconds(600))
            await $0.broker.publish(needing)
            await $0.executor.sleep(.seconds(120))
            await $0.broker.publish([free])
            await $0.executor.sleep(.seconds(5))
            #expect($0.replies.map(\.id) == ["free"])
        }
        #expect(bench.replies.count == 31)
    }

    @Test func eightHundredJobsOfWhichAFifthIsHopelessEndWithinTwentySeconds() throws {
        var latencies = Latencies.constant
        latencies.model = .milliseconds(25) ... .milliseconds(25)
        var configuration = PipelineConfiguration()
        configuration.answering.agent.modelConcurrency = 16
        configuration.retry.base = .milliseconds(100)
        configuration.retry.maxAttempts = 3
        let bench = Workbench(configuration, latencies: latencies) { job in
            let number = Int(job.id.text.dropFirst(4)) ?? 0
            return number % 5 == 0 ? .fails(JobFailure(.modelUnavailable, "500")) : .answers
        }
        let messages = try messages(800)
        bench.run { await $0.broker.publish(messages) }
        #expect(bench.replies.count { $0.status == .succeeded } == 640)
        #expect(bench.replies.count { $0.status == .failed } == 160)
        #expect(bench.executor.now < .seconds(20))
    }

    // MARK: - In the middle of retrieval

    private var slowSearch: Latencies {
        var latencies = Latencies.constant
        latencies.search = .seconds(9) ... .seconds(9)
        return latencies
    }

    @Test func aDeadlineEndsAJobDuringRetrieval() throws {
        let bench = Workbench(latencies: slowSearch, index: true)
        let message = SimulatedMessage(number: 0, try job("a") { $0.deadline = later(3000) })
        bench.run {
            await $0.broker.publish([message])
            await $0.executor.sleep(.milliseconds(3100))
            #expect($0.replies.map(\.status) == [.expired])
        }
        #expect(bench.model.calls.isEmpty)
    }

    @Test func aRevocationEndsAJobDuringRetrieval() throws {
        let bench = Workbench(latencies: slowSearch, index: true)
        let message = SimulatedMessage(number: 0, try job("a"))
        bench.run {
            await $0.broker.publish([message])
            await $0.executor.sleep(.seconds(1))
            if let id = message.id { await $0.store.revoke(id) }
            await $0.worker.pipeline.checkRevocations()
            await $0.executor.sleep(.milliseconds(100))
            #expect($0.replies.map(\.status) == [.revoked])
        }
        #expect(bench.model.calls.isEmpty)
    }

    @Test func whoWantsNoPassagesDoesNotWaitForItsWindowsSearch() throws {
        let bench = Workbench(latencies: slowSearch, index: true)
        let messages = [
            SimulatedMessage(number: 0, try job("a")),
            SimulatedMessage(number: 1, try job("b") { $0.options.retrieve = .never }),
        ]
        bench.run {
            await $0.broker.publish(messages)
            await $0.executor.sleep(.seconds(1))
            #expect($0.replies.map(\.id) == ["b"])
        }
    }

    @Test func anUrgentJobHasASearchOfItsOwn() throws {
        let bench = Workbench(index: true)
        let messages = try (0..<5).map { SimulatedMessage(number: $0, try job("q\($0)")) }
        let urgent = SimulatedMessage(number: 5, try job("u"), priority: 9)
        bench.run { await $0.broker.publish(messages + [urgent]) }
        let calls = bench.passages?.calls ?? []
        #expect(calls.contains(["What about u?"]))
        #expect(calls.count == 5)
    }

    // MARK: - Streams

    @Test func aModelsPlaceIsNotHeldWhileChunksWaitForTheirConfirms() throws {
        var configuration = PipelineConfiguration()
        configuration.answering.agent.modelConcurrency = 1
        var latencies = Latencies.constant
        latencies.broker = .seconds(5) ... .seconds(5)
        let bench = Workbench(configuration, latencies: latencies)
        bench.answer(
            SimulatedMessage(number: 0, try job("a") { $0.stream = true }), SimulatedMessage(number: 1, try job("b")))
        let times = bench.model.times
        #expect(times.count == 2)
        #expect(times[1] - times[0] < .seconds(1))
    }

    // MARK: - Connections and results

    @Test(arguments: [JobFailure.Blame.job, .absence])
    func aRedeliveryTakesOverTheCountOfALeaderWhoseConnectionHasEnded(blame: JobFailure.Blame) throws {
        var configuration = PipelineConfiguration()
        configuration.retry.base = .seconds(60)
        let bench = Workbench(configuration) { _ in .fails(JobFailure(.modelUnavailable, "no", blame: blame)) }
        let message = SimulatedMessage(number: 0, try job("a") { $0.deadline = later(100_000) })
        bench.run {
            await $0.broker.publish([message])
            await $0.executor.sleep(.milliseconds(50))
            await $0.broker.cut(worker: 0, for: .milliseconds(5))
            await $0.executor.sleep(.milliseconds(500))
            #expect($0.ledger.events.count { $0 == .postponed(0) } == 1)
            #expect($0.ledger.events.count { $0 == .acknowledged(0) } == 1)
        }
        #expect(bench.replies.count == 1)
    }

    @Test func aStoredResultThatCannotBeReadIsDroppedAndTheJobAnswered() throws {
        let bench = Workbench()
        let message = SimulatedMessage(number: 0, try job("a"))
        bench.run {
            if let id = message.id {
                await $0.store.seed(id, unreadable: Array(#"{"status":"succeeded","x":NaN}"#.utf8))
            }
            await $0.broker.publish([message])
        }
        #expect(bench.replies.map(\.status) == [.succeeded])
        #expect(bench.model.calls.count == 1)
    }
}
