import Answering
import ChatJobs
import Pipeline
import Testing

@testable import PipelineTestKit

/// Equal questions that several workers have at the same time cost one call.
@Suite struct AnswerSharingTests {
    /// Workers on the same simulated services.
    private struct Floor: Sendable {
        let executor = SimulatedExecutor(seed: 1)
        let ledger = Ledger()
        let broker: SimulatedBroker
        let model: SimulatedModel
        let answers: SimulatedCache
        let workers: [SimulatedWorker]

        init(
            workers count: Int = 4, stale: Duration = .zero, slowly: Bool = false, isConstant: Bool = false,
            reaction: @escaping @Sendable (Job) -> SimulatedModel.Reaction = { _ in .answers }
        ) {
            ledger.sharesCalls = true
            var latencies = Latencies.constant
            if slowly { latencies.model = .seconds(3) ... .seconds(3) }
            broker = SimulatedBroker(executor: executor, ledger: ledger, latencies: .constant)
            model = SimulatedModel(
                executor: executor, ledger: ledger, latencies: latencies, isLocal: false, isConstant: isConstant,
                reaction: reaction)
            answers = SimulatedCache(executor: executor, latencies: .constant)
            let services = SimulatedWorker.Services(
                executor: executor, ledger: ledger, broker: broker,
                store: SimulatedStore(executor: executor, ledger: ledger, latencies: .constant), model: model,
                passages: nil, answers: answers)
            var configuration = PipelineConfiguration()
            configuration.answering.agent.modelTimeout = .seconds(5)
            configuration.answering.cache = CacheSettings(
                keys: AnswerKeys(scope: .tenant), memory: 1 << 20, memoryLife: .seconds(60), storeLife: .seconds(600),
                jitter: 0, stale: stale)
            workers = (0..<count).map {
                SimulatedWorker(number: $0, services: services, configuration: configuration, prefetch: 8)
            }
        }

        func run(_ scenario: @escaping @Sendable (Floor) async -> Void) {
            let outcome = executor.run {
                await withTaskGroup(of: Void.self) { group in
                    for worker in workers {
                        await worker.connect()
                        group.addTask { await worker.run() }
                    }
                    await scenario(self)
                    await broker.untilDrained()
                    for worker in workers { await worker.stop() }
                }
            }
            #expect(outcome == .finished)
            #expect(ledger.violations == [])
        }
    }

    private func messages(_ numbers: Range<Int>, stream: Bool = false) throws -> [SimulatedMessage] {
        try numbers.map { number in
            SimulatedMessage(
                number: number,
                try job("job-\(number)") {
                    $0.query = "Where is my parcel?"
                    $0.stream = stream
                })
        }
    }

    /// The chunks of a job's last attempt.
    private func chunks(_ number: Int, _ floor: Floor) -> [Chunk] {
        let all = floor.ledger.replies.filter { $0.kind == .chunk && $0.correlationID == "c\(number)" }
            .compactMap { try? Chunk(decoding: $0.body) }
        let last = all.map(\.attempt).max()
        return all.filter { $0.attempt == last }
    }

    private func reply(_ number: Int, _ floor: Floor) -> Reply? {
        floor.ledger.replies.last { $0.kind == .reply && $0.correlationID == "c\(number)" }
            .flatMap { try? Reply(decoding: $0.body) }
    }

    @Test func whoStreamsHearsAnAnswerThatAnotherWorkerMakes() throws {
        let floor = Floor(workers: 2, slowly: true)
        let messages = try messages(0..<16, stream: true)
        floor.run { await $0.broker.publish(messages) }
        #expect(floor.model.calls.count == 1)
        #expect(floor.answers.relayed > 2)
        #expect(floor.answers.beingMade == 0 && floor.answers.beingSaid == 0)
        for number in 0..<16 {
            let chunks = chunks(number, floor)
            #expect(chunks.count > 2 && chunks.map(\.seq) == Array(0..<chunks.count), "job \(number)")
            #expect(chunks.map(\.delta).joined() == reply(number, floor)?.answer, "job \(number)")
        }
    }

    @Test func whereNobodyStreamsNobodySpeaks() throws {
        let floor = Floor(workers: 2, slowly: true)
        let (quiet, loud) = (try messages(1..<16), try messages(0..<1, stream: true))
        floor.run { floor in
            await floor.broker.publish(loud)
            while floor.model.calls.isEmpty { await floor.executor.sleep(.milliseconds(1)) }
            await floor.broker.publish(quiet)
        }
        #expect(floor.model.calls.count == 1)
        #expect(floor.answers.relayed == 0 && floor.answers.said == 0)
    }

    @Test(arguments: [true, false]) func whenTheMakerDiesInMidStreamTheChunksAreStillTheAnswer(isConstant: Bool) throws
    {
        let floor = Floor(workers: 2, slowly: true, isConstant: isConstant)
        let messages = try messages(0..<16, stream: true)
        floor.run { floor in
            await floor.broker.publish(messages)
            while floor.answers.relayed < 2 { await floor.executor.sleep(.milliseconds(1)) }
            for worker in floor.workers where floor.answers.isMaker(worker) { await worker.kill() }
        }
        #expect(floor.model.calls.count == 2)
        var attempts: Set<Int> = []
        for number in 0..<16 {
            let chunks = chunks(number, floor)
            #expect(chunks.map(\.seq) == Array(0..<chunks.count), "job \(number)")
            #expect(chunks.map(\.delta).joined() == reply(number, floor)?.answer, "job \(number)")
            attempts.insert(reply(number, floor)?.attempts ?? 0)
        }
        // Those of the dead worker have another one in any case.
        #expect(attempts == [1, 2] || !isConstant && attempts == [2])
    }

    @Test func fourWorkersWithAThousandEqualQuestionsAskOnce() throws {
        let floor = Floor()
        let messages = try messages(0..<1000)
        floor.run { await $0.broker.publish(messages) }
        #expect(floor.model.calls.count == 1)
        #expect(floor.answers.beingMade == 0)
    }

    @Test func whenTheMakerDiesAnotherTakesOverWithinTwoSeconds() throws {
        let floor = Floor(workers: 2)
        let messages = try messages(0..<16)
        floor.run { floor in
            await floor.broker.publish(messages)
            while floor.model.calls.isEmpty { await floor.executor.sleep(.milliseconds(1)) }
            let started = floor.executor.now
            for worker in floor.workers where floor.answers.isMaker(worker) { await worker.kill() }
            while floor.model.calls.count == 1 { await floor.executor.sleep(.milliseconds(10)) }
            let waited = floor.executor.now - started
            if waited > .seconds(2) { floor.ledger.violation("the next maker came after \(waited)") }
        }
        #expect(floor.model.calls.count == 2)
    }

    @Test func aFailureOfTheMakersIsNoFailureOfTheOthers() throws {
        let floor = Floor(workers: 2) { job in
            job.id.text == "job-0" ? .fails(JobFailure(.modelRejected, "no", blame: .job)) : .answers
        }
        let messages = try messages(0..<2)
        floor.run { floor in
            await floor.broker.publish([messages[0]])
            await floor.executor.sleep(.milliseconds(2))
            await floor.broker.publish([messages[1]])
        }
        #expect(floor.answers.beingMade == 0)
    }

    @Test func aLostCacheCostsACallAndNothingElse() throws {
        let floor = Floor(workers: 2)
        let messages = try messages(0..<16)
        floor.run { floor in
            await floor.broker.publish(messages)
            while floor.model.calls.isEmpty { await floor.executor.sleep(.milliseconds(1)) }
            floor.answers.lose()
        }
        #expect((1...2).contains(floor.model.calls.count))
    }
}
