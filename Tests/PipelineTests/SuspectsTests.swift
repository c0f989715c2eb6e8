import ChatJobs
import Testing

@testable import Pipeline
@testable import PipelineTestKit

@Suite struct SuspectsTests {
    private func delivery(_ number: Int, mustBeAlone: Bool = false) throws -> JobDelivery {
        let job = try job("job-\(number)")
        return JobDelivery(
            incoming: Incoming(
                receipt: Receipt(epoch: 1, number: UInt64(number)), envelope: Envelope(), body: [], queue: "chat.jobs",
                redelivered: true, arrived: .zero, original: number), job: job, arrival: UInt64(number), begun: .zero
        ).claimed(starts: 3, losses: 2, mustBeAlone: mustBeAlone)
    }

    /// The sizes of all trials, each of which ends well.
    private func trials(_ suspects: inout Suspects, _ count: Int) -> [Int] {
        var sizes: [Int] = []
        var left = count
        while let trial = suspects.next(inFlight: left) {
            sizes.append(trial.deliveries.count)
            left -= trial.deliveries.count
            for delivery in trial.deliveries { suspects.complete(delivery.key) }
        }
        return sizes
    }

    @Test func fewAreTriedOneByOne() throws {
        var suspects = Suspects()
        for number in 0..<8 { suspects.add(try delivery(number)) }
        #expect(trials(&suspects, 8) == Array(repeating: 1, count: 8))
        #expect(!suspects.areThere)
    }

    @Test func manyAreTriedInGroups() throws {
        var suspects = Suspects()
        for number in 0..<40 { suspects.add(try delivery(number)) }
        #expect(trials(&suspects, 40) == [16, 16, 8])
    }

    @Test func whoWasInAGroupThatDiedIsTriedAlone() throws {
        var suspects = Suspects()
        for number in 0..<40 { suspects.add(try delivery(number, mustBeAlone: number < 3)) }
        #expect(trials(&suspects, 40) == [16, 16, 5, 1, 1, 1])
    }

    @Test func noTrialBeginsWhileOthersAreInWorkOrClaimsInDoubt() throws {
        var suspects = Suspects()
        suspects.add(try delivery(0))
        #expect(suspects.next(inFlight: 2) == nil)
        suspects.claimsBegin()
        #expect(suspects.next(inFlight: 1) == nil)
        suspects.claimsEnd()
        #expect(suspects.next(inFlight: 1) != nil)
        #expect(suspects.areThere, "until the trial has ended")
    }

    /// Two deliveries of an id in one window, with a suspect between them: the second waits for the trial, and must not give
    /// up the claim that the first is in work under.
    @Test func aClaimIsNotGivenBackWhileAnotherDeliveryOfTheIDIsInWorkUnderIt() throws {
        let bench = Workbench()
        let (twin, suspect) = (try job("twin"), try job("suspect"))
        let identity = JobIdentity(key: JobKey(suspect.id), fingerprint: Fingerprint(of: suspect))
        let messages = [twin, suspect, twin].enumerated().map { SimulatedMessage(number: $0, $1) }
        bench.run {
            await $0.store.seed(identity, losses: 2)
            await $0.broker.publish(messages)
            await $0.executor.sleep(.milliseconds(50))
            #expect($0.model.calls == [twin.id], "the twin is in work")
            #expect(await $0.store.isClaimed(twin.id))
        }
        #expect(bench.replies.map(\.status) == [.succeeded, .succeeded, .succeeded])
        #expect(bench.model.calls == [twin.id, suspect.id])
    }

    /// A killer among 200 neighbours, calls of five seconds: one by one they would take 1,000 s after the second death.
    @Test func twoHundredNeighboursOfAKillerAreAnsweredSoon() throws {
        let executor = SimulatedExecutor(seed: 3)
        let ledger = Ledger()
        var latencies = Latencies.constant
        latencies.model = .seconds(5) ... .seconds(5)
        var messages = try (0..<200).map { SimulatedMessage(number: $0, try job("job-\($0)")) }
        var killer = SimulatedMessage(number: 200, try job("killer"))
        killer.isPoison = true
        messages.append(killer)
        let model = SimulatedModel(executor: executor, ledger: ledger, latencies: latencies) {
            $0.id.text == "killer" ? .kills : .answers
        }
        let day = SimulatedDay(
            services: SimulatedWorker.Services(
                executor: executor, ledger: ledger,
                broker: SimulatedBroker(executor: executor, ledger: ledger, latencies: latencies),
                store: SimulatedStore(executor: executor, ledger: ledger, latencies: latencies), model: model,
                passages: nil), configuration: PipelineConfiguration(), workers: 1, prefetch: 512,
            messages: [(.zero, messages)], faults: [])
        let outcome = executor.run { await day.run() }
        #expect(outcome == .finished)
        ledger.checkEnd(PipelineConfiguration())
        #expect(ledger.violations == [])
        #expect(ledger.events.count { if case .stored(_, .succeeded) = $0 { true } else { false } } == 200)
        #expect(ledger.events.contains(.deadLettered(200, .workerLost)))
        #expect(executor.now < .seconds(300))
    }
}
