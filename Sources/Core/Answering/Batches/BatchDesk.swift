import ChatJobs
import ParleyDigest
import ParleyPrimitives

/// Where bulk jobs go whose model is fed by batches: it is looked what is known of them, and those that are in no batch wait
/// here for the next, a second or so. In batches they wait in the broker.
///
/// Not Sendable: it belongs to ``Answering``, on whose executor all of it runs.
final class BatchDesk {
    private struct Waiter {
        let office: BatchOffice
        let question: BatchOffice.Question
        let passages: [Source]
        let rewriting: Usage?
        let continuation: CheckedContinuation<BatchOffice.Standing?, Never>

        /// About how many bytes its line has.
        var bytes: Int {
            let job = question.job
            return 4096 + job.query.utf8.count + job.history.reduce(0) { $0 + $1.content.utf8.count }
                + passages.reduce(0) { $0 + $1.text.utf8.count }
        }
    }

    private let clock: any PipelineClock
    private let executor: any TaskExecutor
    /// Runs on the executor: has ``submit(_:)`` called.
    private let submit: @Sendable (BatchOffice) async -> Void
    private var waiters: [UInt64: Waiter] = [:]
    private var busy: Set<ObjectIdentifier> = []

    /// What comes within it goes together; nobody waits for a batch to be quick.
    private static let gathering = Duration.seconds(1)
    /// Of one batch.
    private static let mostQuestions = 1000
    private static let mostBytes = 64 << 20

    init(
        clock: any PipelineClock, executor: any TaskExecutor, submit: @escaping @Sendable (BatchOffice) async -> Void
    ) {
        self.clock = clock
        self.executor = executor
        self.submit = submit
    }

    /// Its model's batches, if it is a job for those: bulk that nobody wants to see the pieces of.
    func office(of flight: Flight) -> BatchOffice? {
        guard let office = flight.route.agent.choices[0].batches, !flight.isRenewal, flight.rank.priority == 0,
            flight.lead.onDelta == nil, flight.members.allSatisfy({ $0.inquiry.onDelta == nil })
        else { return nil }
        return office
    }

    // MARK: - Looking

    /// What is known of questions, by their leads' tokens. Those that are not among them go on; ``Flight/isForBatch`` says how.
    func look(for flights: [Flight]) async -> [UInt64: AnswerOutcome.Result] {
        var offices: [ObjectIdentifier: (office: BatchOffice, flights: [Flight])] = [:]
        for flight in flights {
            guard let office = office(of: flight) else { continue }
            offices[ObjectIdentifier(office), default: (office, [])].flights.append(flight)
        }
        var results: [UInt64: AnswerOutcome.Result] = [:]
        for (office, flights) in offices.values {
            let standings = await office.standings(of: flights.map(question))
            for (flight, standing) in zip(flights, standings) {
                results[flight.lead.token] = result(of: standing, flight)
            }
        }
        return results
    }

    /// Nil: it is to be asked.
    private func result(of standing: BatchOffice.Standing, _ flight: Flight) -> AnswerOutcome.Result? {
        switch standing {
        case .absent:
            flight.isForBatch = true
            return nil
        case .urgent: return nil
        case .later(let delay):
            // Somebody has joined who does not wait.
            return office(of: flight) == nil ? nil : .later(delay)
        case .failed(let failure): return .failed(failure)
        case .answered(let answer, pays: false): return .answered(answer, reuse: Reuse(.coalesced))
        case .answered(let answer, pays: true):
            let agent = flight.route.agent
            var usage = answer.usage
            usage.cost = flight.choice.batches?.prices?.cost(of: usage)
            agent.metrics.promptTokens.increment(by: usage.promptTokens)
            agent.metrics.promptTokensSpared.increment(by: answer.sparedTokens)
            agent.metrics.completionTokens.increment(by: usage.completionTokens)
            return .answered(answer.spending(usage, answer.openCalls), reuse: nil)
        }
    }

    private func question(_ flight: Flight) -> BatchOffice.Question {
        let choice = flight.route.agent.choices[0]
        var job = flight.lead.job
        job.metadata = nil
        var names = [Self.name("job \(choice.limitName)\n", job.encoded())]
        if let key = flight.key, flight.isShared {
            names.append(Self.name("answer \(choice.limitName)\n", Array(key.text.utf8)))
        }
        return BatchOffice.Question(names: names, job: flight.lead.job)
    }

    private static func name(_ kind: String, _ text: [UInt8]) -> String {
        let bytes = Array(kind.utf8) + text
        return (SHA256.digest(of: bytes)?.prefix(16)).map(\.hex) ?? bytes.hex
    }

    // MARK: - Joining

    /// Waits until the next batch is made.
    ///
    /// - Returns: nil when the flight is to be asked by itself, or was ended.
    func enrol(_ flight: Flight, _ passages: [Source]) async -> BatchOffice.Standing? {
        guard let office = office(of: flight) else { return nil }
        let question = question(flight)
        return await withCheckedContinuation { continuation in
            waiters[flight.lead.token] = Waiter(
                office: office, question: question, passages: passages, rewriting: flight.rewriting?.usage,
                continuation: continuation)
            guard busy.insert(ObjectIdentifier(office)).inserted else { return }
            Task.detached(executorPreference: executor) { [clock, submit] in
                await clock.sleep(for: Self.gathering)
                await submit(office)
            }
        }
    }

    /// It does not wait any more, for a batch.
    func withdraw(_ token: UInt64) { waiters.removeValue(forKey: token)?.continuation.resume(returning: nil) }

    /// Makes batches while anybody waits for one: whatever has come while the last was made goes with the next.
    func makeBatches(_ office: BatchOffice) async {
        while true {
            let (tokens, going) = next(of: office)
            if going.isEmpty { break }
            let standings = await office.submit(going.map { ($0.question, $0.passages, $0.rewriting) })
            for (token, standing) in zip(tokens, standings) {
                waiters.removeValue(forKey: token)?.continuation.resume(returning: standing)
            }
        }
        busy.remove(ObjectIdentifier(office))
    }

    private func next(of office: BatchOffice) -> (tokens: [UInt64], waiters: [Waiter]) {
        var (tokens, going, bytes): ([UInt64], [Waiter], Int) = ([], [], 0)
        for token in waiters.keys.sorted() {
            guard let waiter = waiters[token], waiter.office === office else { continue }
            // A file is for one model.
            guard going.isEmpty || waiter.question.job.options.model == going[0].question.job.options.model else {
                continue
            }
            bytes += waiter.bytes
            guard going.count < Self.mostQuestions, going.isEmpty || bytes <= Self.mostBytes else { break }
            tokens.append(token)
            going.append(waiter)
        }
        return (tokens, going)
    }
}
