import Answering
import ChatJobs
import Pipeline
import PipelineTestKit
import Testing

/// `model.hedge`: a late call has a second one beside it, in simulated time.
@Suite struct HedgeTests {
    private func bench(
        hedges: Bool = true, concurrency: Int = 512,
        reaction: @escaping @Sendable (Job) -> SimulatedModel.Reaction = { _ in .answers }
    ) -> Workbench {
        var configuration = PipelineConfiguration()
        configuration.answering.agent.hedges = hedges
        configuration.answering.agent.modelConcurrency = concurrency
        var latencies = Latencies.constant
        latencies.model = .milliseconds(50) ... .milliseconds(5_000)
        let bench = Workbench(configuration, latencies: latencies, reaction: reaction)
        bench.ledger.hedgesCalls = true
        return bench
    }

    private func publish(_ count: Int, _ bench: Workbench, every pause: Duration, streams: Bool = false) {
        bench.run { bench in
            for number in 0..<count {
                guard let id = JobID("job-\(number)") else { return }
                var job = Job(id: id, query: "q\(number)")
                job.stream = streams
                await bench.broker.publish([SimulatedMessage(number: number, job)])
                await bench.executor.sleep(pause)
            }
        }
    }

    @Test func atMostTwoOfAHundredCallsHaveASecond() {
        let bench = bench()
        publish(1_000, bench, every: .milliseconds(100))
        #expect(bench.replies.count == 1_000 && bench.replies.allSatisfy { $0.status == .succeeded })
        #expect((1_008...1_020).contains(bench.model.calls.count), "\(bench.model.calls.count)")
    }

    @Test func withoutTheSettingThereIsNone() {
        let bench = bench(hedges: false)
        publish(200, bench, every: .milliseconds(100))
        #expect(bench.model.calls.count == 200)
    }

    @Test func aFullGateHasNoPlaceForASecondCall() {
        let bench = bench(concurrency: 2)
        publish(200, bench, every: .milliseconds(10))
        #expect(bench.model.mostRunning <= 2)
        #expect(bench.replies.count == 200)
    }

    @Test func aStreamHasItsPiecesFromOneCall() {
        let bench = bench()
        publish(600, bench, every: .milliseconds(100), streams: true)
        // The ledger looks at each stream: pieces without gaps, which together are the answer.
        #expect(bench.replies.count == 600 && bench.replies.allSatisfy { $0.status == .succeeded })
        #expect(bench.model.calls.count <= 612)
    }

    @Test func aFailureIsWhatBothCallsSay() {
        let bench = bench { _ in .fails(JobFailure(.modelRejected, "no")) }
        publish(200, bench, every: .milliseconds(100))
        #expect(bench.replies.count == 200 && bench.replies.allSatisfy { $0.error?.code == "model_rejected" })
    }
}
