import Answering
import ChatJobs
import Synchronization

/// A provider with a batch interface: each of its calls takes time and may fail before or after it has had its effect, and its
/// batches end well, badly, or not for all of their questions. It knows what it would be paid for.
package final class SimulatedProvider: Sendable {
    /// What comes of a question.
    private enum Outcome: Sendable {
        case answered(Int)
        case failed(JobFailure)
        case unasked
    }

    private struct Batch {
        let name: String
        let lines: [Line]
        let outcomes: [Outcome]
        let endsAt: Duration
        let failure: JobFailure?
        var isCancelled = false

        var isCutShort: Bool {
            outcomes.contains { if case .unasked = $0 { true } else { false } }
        }
    }

    /// A question in a file: its place in the batch, then the job.
    struct Line: Sendable {
        let number: Int
        let job: Job

        init(_ number: Int, _ job: Job) {
            self.number = number
            self.job = job
        }
    }

    private struct State {
        /// Those that were written, by their names.
        var lines: [String: Line] = [:]
        var files: [String: [Line]] = [:]
        var batches: [Batch] = []
        var answers = 0
        /// The failures that lines have, by what the lines say.
        var failures: [Int: JobFailure] = [:]
    }

    private let state = Mutex(State())
    private let executor: SimulatedExecutor
    private let ledger: Ledger
    /// Of lines, in percent.
    private let failing: Int
    /// Of a file.
    private let mostLines: Int
    private let failure: @Sendable (Job) -> JobFailure?

    /// - Parameter failure: of a job all of whose calls fail.
    init(
        executor: SimulatedExecutor, ledger: Ledger, failing: Int, mostLines: Int,
        failure: @escaping @Sendable (Job) -> JobFailure?
    ) {
        self.executor = executor
        self.ledger = ledger
        self.failing = failing
        self.mostLines = mostLines
        self.failure = failure
    }

    /// What broke the contract: no question is answered, and so paid for, in two batches; nor by a request besides.
    ///
    /// - Parameter asked: jobs that were asked by requests.
    func violations(asked: [JobID], bulk: Set<JobID>) -> [String] {
        let paid = state.withLock { state in
            state.batches.filter { !$0.isCancelled && $0.failure == nil }.flatMap { batch in
                zip(batch.lines, batch.outcomes).compactMap { line, outcome in
                    if case .answered = outcome { line.job } else { nil }
                }
            }
        }
        var counts: [[UInt8]: Int] = [:]
        for job in paid { counts[job.encoded(), default: 0] += 1 }
        let twice = counts.filter { $0.value > 1 }.map {
            "paid for \($0.value) times in batches: \(String(decoding: $0.key, as: UTF8.self))"
        }
        let besides = asked.filter(bulk.contains).map { "\($0) is bulk, and was asked by a request" }
        return twice.sorted() + besides
    }

    /// How many batches were made.
    package var made: Int { state.withLock { $0.batches.count } }

    func of(_ life: ProcessLife) -> any BatchService { SimulatedBatches(provider: self, life: life) }

    // MARK: - Calls

    private static let away = JobFailure(.modelUnavailable, "the provider does not answer", blame: .absence)

    /// Waits until a call is there: what is on its way arrives, whoever has died meanwhile.
    ///
    /// - Returns: whether the call has an effect; nil: it has one, but nobody hears of it.
    private func reach(_ life: ProcessLife, within longest: Duration = .milliseconds(300)) async -> Bool? {
        guard life.isAlive else { return false }
        await executor.sleepUncancelled(until: executor.now + executor.draw(.milliseconds(1)...longest))
        guard !executor.chance(10) else { return false }
        return executor.chance(10) ? nil : true
    }

    private func heard(_ life: ProcessLife) async -> Bool {
        await executor.sleep(executor.draw(.milliseconds(1) ... .milliseconds(300)))
        return life.isAlive && !Task.isCancelled
    }

    /// What fails of a whole batch is put off by each of its jobs.
    private func putOff(_ lines: [Line], _ failure: JobFailure) {
        for line in lines {
            ledger.callFailed(
                line.job.id,
                Ledger.Failure(
                    failure: failure, life: ProcessLife(), at: executor.now, wall: SimulatedClock(executor).wall))
        }
    }

    /// - Returns: its name.
    fileprivate func write(_ line: Line, of batch: String) -> [UInt8] {
        let name = "\(batch) \(line.number)"
        state.withLock { $0.lines[name] = line }
        return Array(name.utf8)
    }

    fileprivate func read(_ names: [[UInt8]]) -> [Line] {
        state.withLock { state in names.compactMap { state.lines[String(decoding: $0, as: UTF8.self)] } }
    }

    fileprivate func upload(_ lines: [Line], _ batch: String, _ life: ProcessLife) async throws(JobFailure) -> String {
        let reached = await reach(life)
        if reached != false, lines.count > mostLines { throw JobFailure(.tooLarge, "413") }
        if reached != false { state.withLock { $0.files[batch] = lines } }
        guard reached == true, await heard(life) else {
            putOff(lines, Self.away)
            throw Self.away
        }
        return batch
    }

    fileprivate func create(
        _ file: String, _ batch: String, _ life: ProcessLife
    ) async throws(BatchCreationFailure) -> String {
        let lines = state.withLock { $0.files[file] ?? [] }
        // Its caller waits for 30 s at most.
        switch await reach(life, within: executor.chance(20) ? .seconds(29) : .milliseconds(300)) {
        case false?:
            guard executor.chance(50) else { throw .unclear(Self.away) }
            putOff(lines, Self.away)
            throw .refused(Self.away)
        case let reached:
            let id = begin(batch, lines)
            guard reached == true, await heard(life) else { throw .unclear(Self.away) }
            return id
        }
    }

    private func begin(_ name: String, _ lines: [Line]) -> String {
        let isCutShort = executor.chance(10)
        let limit = JobFailure(.rateLimited, "too many tokens are queued", blame: .overload)
        let failure = executor.chance(10) ? limit : nil
        let outcomes = lines.map { line -> Outcome in
            if isCutShort, executor.chance(50) { return .unasked }
            if let failure = self.failure(line.job) { return .failed(failure) }
            guard !executor.chance(failing) else { return .failed(JobFailure(.modelUnavailable, "500")) }
            return .answered(
                state.withLock { state in
                    state.answers += 1
                    return state.answers
                })
        }
        let endsAt = executor.now + executor.draw(.milliseconds(1) ... .seconds(40))
        return state.withLock { state in
            state.batches.append(Batch(name: name, lines: lines, outcomes: outcomes, endsAt: endsAt, failure: failure))
            return "id-\(state.batches.count - 1)"
        }
    }

    fileprivate func find(_ name: String, _ life: ProcessLife) async throws(JobFailure) -> String? {
        guard await reach(life) == true else { throw Self.away }
        let found = state.withLock { $0.batches.firstIndex { $0.name == name }.map { "id-\($0)" } }
        guard await heard(life) else { throw Self.away }
        return found
    }

    fileprivate func look(at id: String, _ life: ProcessLife) async throws(JobFailure) -> BatchProgress {
        guard await reach(life) == true, let number = Int(id.dropFirst(3)) else { throw Self.away }
        let batch = state.withLock { $0.batches[number] }
        guard await heard(life) else { throw Self.away }
        guard batch.endsAt <= executor.now || batch.isCancelled else { return .running }
        if let failure = batch.failure {
            putOff(batch.lines, failure)
            return .ended(lines: [:], failure: failure)
        }
        var lines: [Int: [UInt8]] = [:]
        for (line, outcome) in zip(batch.lines, batch.outcomes) {
            switch outcome {
            case .answered(let answer):
                lines[line.number] = Array(
                    "answered \(answer)\(SimulatedModel.ending(of: line.job.query, line.job.tenant, line.job.agent))"
                        .utf8)
            case .failed(let failure):
                let number = state.withLock { state in
                    state.failures[state.failures.count] = failure
                    return state.failures.count - 1
                }
                lines[line.number] = Array("failed \(number)".utf8)
            case .unasked: lines[line.number] = executor.chance(50) ? Array("unasked".utf8) : nil
            }
        }
        return .ended(lines: lines, failure: nil, isCutShort: batch.isCutShort || batch.isCancelled)
    }

    fileprivate func cancel(_ id: String, _ life: ProcessLife) async {
        guard await reach(life) != false, let number = Int(id.dropFirst(3)) else { return }
        state.withLock { if $0.batches[number].endsAt > executor.now { $0.batches[number].isCancelled = true } }
    }

    fileprivate func answer(_ line: [UInt8], to job: Job, _ draft: BatchDraft) -> BatchAnswer {
        let text = String(decoding: line, as: UTF8.self)
        if let rest = text.trimmingPrefix("answered ") as Substring?, rest.count < text.count {
            return .answered(
                Answer(
                    text: "Answer b\(rest)", model: "simulated", usage: Usage(promptTokens: 10, completionTokens: 5),
                    sources: draft.sources))
        }
        guard let number = Int(text.trimmingPrefix("failed ")) else { return .unasked }
        let failure = state.withLock { $0.failures[number] } ?? Self.away
        putOff([Line(0, job)], failure)
        return .failed(failure)
    }
}

/// One worker's way to a ``SimulatedProvider``.
private struct SimulatedBatches: BatchService {
    let provider: SimulatedProvider
    let life: ProcessLife

    func line(_ number: Int, of batch: String, _ job: Job, _ passages: [Source]) -> (bytes: [UInt8], draft: BatchDraft)
    {
        (provider.write(.init(number, job), of: batch), BatchDraft(sources: passages))
    }

    func upload(_ lines: [[UInt8]], batch: String) async throws(JobFailure) -> String {
        try await provider.upload(provider.read(lines), batch, life)
    }

    func create(_ file: String, batch: String) async throws(BatchCreationFailure) -> String {
        try await provider.create(file, batch, life)
    }

    func find(_ batch: String) async throws(JobFailure) -> String? { try await provider.find(batch, life) }

    func look(at id: String, batch: String) async throws(JobFailure) -> BatchProgress {
        try await provider.look(at: id, life)
    }

    func cancel(_ id: String) async { await provider.cancel(id, life) }

    func answer(_ line: [UInt8], to job: Job, _ draft: BatchDraft) -> BatchAnswer {
        provider.answer(line, to: job, draft)
    }
}
