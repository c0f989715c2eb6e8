import Foundation
import PipelineTestKit
import Testing

/// The pipeline's promises, over random schedules of jobs, failures and interleavings.
///
/// `PARLEY_SCHEDULES` says how many (default 10,000); `PARLEY_SEED` replays one.
@Suite struct SimulationTests {
    @Test(arguments: 0..<4) func everyScheduleKeepsTheContract(part: Int) {
        let environment = ProcessInfo.processInfo.environment
        if let seed = environment["PARLEY_SEED"].flatMap(UInt64.init) {
            guard part == 0 else { return }
            let report = SimulatedScenario(seed: seed).run()
            print(report.story)
            #expect(report.isGood)
            return
        }
        let schedules = environment["PARLEY_SCHEDULES"].flatMap(Int.init) ?? 10_000
        for seed in stride(from: part, to: schedules, by: 4) {
            let report = SimulatedScenario(seed: UInt64(seed)).run()
            guard !report.isGood else { continue }
            Issue.record("\(report.story)")
            return
        }
    }

    @Test func bulkIsInBatchesInSomeOfThem() {
        #expect((0..<60).reduce(0) { $0 + SimulatedScenario(seed: UInt64($1)).run().batches } > 20)
    }

    @Test func piecesGoFromWorkerToWorkerInSomeOfThem() {
        #expect((0..<300).reduce(0) { $0 + SimulatedScenario(seed: UInt64($1)).run().relayed } > 10)
    }

    @Test func theSameSeedGivesTheSameRun() {
        for seed in 0..<20 as Range<UInt64> {
            let first = SimulatedScenario(seed: seed).run()
            #expect(first.events == SimulatedScenario(seed: seed).run().events, "seed \(seed)")
        }
    }
}
