import Answering
import ChatJobs
import Pipeline

/// Hundreds of jobs at once, some of which can never succeed or kill their workers, perhaps a model that is away for a
/// while, and a bound on the time in which all must have ended: rules that are safe and stand still are found here.
struct SimulatedCrowd {
    let seed: UInt64
    /// The longest call.
    private static let call = Duration.milliseconds(50)

    func run() -> SimulatedScenario.Report {
        var draw = SeededGenerator(seed: seed ^ 0xC20D)
        let executor = SimulatedExecutor(seed: seed)
        let ledger = Ledger()
        let jobs = Int.random(in: 100...300, using: &draw)
        let hopeless = [0, 5, 20, 30].randomElement(using: &draw) ?? 0
        // Hopeless are those of certain ids, whatever the call.
        let isHopeless = (0..<jobs).map { _ in draw.chance(hopeless) }
        // Of a generator of its own, so that the other draws of a seed are as they were.
        var another = SeededGenerator(seed: seed ^ 0x9015)
        let kills = another.chance(40) ? Int.random(in: 1...2, using: &another) : 0
        // So many messages have the same id.
        let copies = kills > 0 && another.chance(50) ? 3 : 1
        let poison = Set((0..<kills).map { _ in Int.random(in: 0..<jobs, using: &another) / copies })
        let hopelessNumbers = poison.isEmpty ? Set(isHopeless.indices.filter { isHopeless[$0] }) : []
        var latencies = Latencies.constant
        latencies.model = .milliseconds(5)...Self.call
        let failsAtOnce = draw.chance(50)
        let model = SimulatedModel(executor: executor, ledger: ledger, latencies: latencies) { job in
            guard let number = Int(job.id.text) else { return .answers }
            if poison.contains(number) { return .kills }
            guard hopelessNumbers.contains(number) else { return .answers }
            let failure = JobFailure(.modelUnavailable, "500")
            return failsAtOnce ? .failsAtOnce(failure) : .fails(failure)
        }
        var configuration = PipelineConfiguration()
        configuration.answering.agent.modelConcurrency = Int.random(in: 4...32, using: &draw)
        configuration.retry.maxAttempts = Int.random(in: 1...5, using: &draw)
        configuration.retry.base = .milliseconds(100)
        configuration.retry.max = .seconds(2)
        configuration.retry.maxDeliveries = Int.random(in: 2...3, using: &another)
        if copies > 1 { configuration.window = Int.random(in: 2...64, using: &another) }
        let outage = draw.chance(50) ? Duration.milliseconds(Int.random(in: 100...5000, using: &draw)) : nil
        let day = SimulatedDay(
            services: SimulatedWorker.Services(
                executor: executor, ledger: ledger,
                broker: SimulatedBroker(executor: executor, ledger: ledger, latencies: latencies),
                store: SimulatedStore(executor: executor, ledger: ledger, latencies: latencies), model: model,
                passages: nil),
            configuration: configuration, workers: Int.random(in: 1...2, using: &draw),
            prefetch: Int.random(in: 32...512, using: &draw), messages: [(.zero, messages(jobs, copies, poison))],
            faults: outage.map { [SimulatedFault(at: .milliseconds(100), kind: .modelAway($0))] } ?? [])
        let outcome = executor.run {
            await day.run()
            await day.services.store.noteAllLostCalls()
        }
        ledger.checkEnd(configuration)
        let bound =
            bound(jobs: jobs, hopeless: hopelessNumbers.count, configuration, outage)
            + Self.trials(poison.count, configuration)
        if executor.now > bound { ledger.violation("\(jobs) jobs took \(executor.now), more than \(bound)") }
        return SimulatedScenario.Report(
            seed: seed, outcome: outcome, violations: ledger.violations, events: ledger.events)
    }

    private func messages(_ count: Int, _ copies: Int, _ poison: Set<Int>) -> [SimulatedMessage] {
        (0..<count).compactMap { number in
            JobID("\(number / copies)").map { id in
                var message = SimulatedMessage(number: number, Job(id: id, query: "question \(id)"))
                message.isPoison = poison.contains(number / copies)
                message.hasTwin = copies > 1
                return message
            }
        }
    }

    /// A worker that was killed is taken for alive for five seconds, and its jobs for two more wait in the broker. Each
    /// killer takes one worker more than it is allowed, in a group trial; then all wait for those who are tried alone.
    private static func trials(_ killers: Int, _ configuration: PipelineConfiguration) -> Duration {
        .seconds(10) * (killers * (configuration.retry.maxDeliveries + 2))
    }

    /// Twice what the calls take when all places are taken, the longest back-offs of one job, a model's way back (its last
    /// probe may come ten seconds after its return) and a few seconds.
    private func bound(
        jobs: Int, hopeless: Int, _ configuration: PipelineConfiguration, _ outage: Duration?
    ) -> Duration {
        let attempts = configuration.retry.maxAttempts
        let calls = jobs + hopeless * (attempts - 1)
        let work = Self.call * calls / configuration.answering.agent.modelConcurrency
        let backOffs = configuration.retry.max * attempts
        return work * 2 + backOffs + (outage.map { $0 + .seconds(12) } ?? .zero) + .seconds(3)
    }
}
