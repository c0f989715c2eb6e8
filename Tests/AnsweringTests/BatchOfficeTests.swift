import ChatJobs
import Logging
import PipelineTestKit
import Synchronization
import Testing

@testable import Answering

/// Bulk jobs in batches of a provider's: each step is written down before it is done, so that nothing is paid for twice.
@Suite struct BatchOfficeTests {
    private let service = FakeBatches()
    private let records = FakeRecords()
    private let clock = FakeClock()

    private func office(_ worker: String = "a", hours: BatchHours? = nil) -> BatchOffice {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        return BatchOffice(
            service: service, records: records.of(worker), clock: clock, hours: hours, logger: logger)
    }

    private func question(_ name: String, also: String? = nil, deadline: Duration? = nil) throws -> BatchOffice.Question
    {
        var job = Job(id: try #require(JobID(name)), query: name)
        job.deadline = deadline.map {
            Timestamp(milliseconds: clock.wall.milliseconds + Int64($0 / .milliseconds(1)))
        }
        return BatchOffice.Question(names: [name] + (also.map { [$0] } ?? []), job: job)
    }

    private func submit(_ office: BatchOffice, _ names: String...) async throws -> [BatchOffice.Standing] {
        await office.submit(try names.map { (try question($0), [], nil) })
    }

    private func standing(_ office: BatchOffice, _ name: String) async throws -> BatchOffice.Standing {
        try #require(await office.standings(of: [try question(name)]).first)
    }

    private func isLater(_ standing: BatchOffice.Standing) -> Bool { if case .later = standing { true } else { false } }

    /// Moves the clock on until leases and turns are over.
    private func pass(_ time: Duration) {
        clock.move(time)
        records.forgetLeases()
    }

    @Test func whatIsInABatchWaitsUntilItsAnswerIsThere() async throws {
        let office = office()
        #expect(try await standing(office, "x") == .absent)
        #expect(try await submit(office, "x", "y").allSatisfy(isLater))
        #expect(try await isLater(standing(office, "x")))
        #expect(service.created.count == 1 && service.looks == 1)
        // Nobody asks again so soon.
        #expect(try await isLater(standing(self.office("b"), "y")))
        #expect(service.looks == 1)
        service.end([0: "to x", 1: "to y"])
        pass(.seconds(10))
        guard case .answered(let answer, pays: true) = try await standing(self.office("b"), "y") else {
            Issue.record("there is no answer")
            return
        }
        #expect(answer.text == "to y")
    }

    @Test func theFirstWhoFindsAnAnswerAccountsForIt() async throws {
        let office = office()
        _ = await office.submit([(try question("x", also: "answer"), [], nil)])
        service.end([0: "to x"])
        pass(.seconds(10))
        func pays(_ name: String) async throws -> Bool? {
            guard case .answered(_, let pays)? = await office.standings(of: [try question(name, also: "answer")]).first
            else { return nil }
            return pays
        }
        #expect(try await pays("other") == true)
        #expect(try await pays("x") == false)
        // Delivered again, since its worker died before it could note it.
        #expect(try await pays("other") == true)
    }

    @Test func aQuestionIsInOneBatch() async throws {
        _ = try await submit(office(), "x")
        #expect(try await submit(office("b"), "x", "y").allSatisfy(isLater))
        #expect(service.created.map(\.lines) == [["x"], ["y"]])
    }

    @Test func whatADeadWorkerOnlyUploadedIsDissolved() async throws {
        service.dies(at: .upload, of: records, "a")
        _ = try await submit(office(), "x")
        #expect(try await standing(office("b"), "x") == .absent)
        _ = try await submit(office("b"), "x")
        #expect(service.created.map(\.lines) == [["x"]])
    }

    /// It was not dead after all: it finds out before it creates anything.
    @Test func whoIsTakenForDeadWhileItUploadsCreatesNothing() async throws {
        let other = office("b")
        service.meanwhile(at: .upload) { [records] in
            records.die("a")
            _ = await other.standings(of: [BatchOffice.Question(names: ["x"], job: try job("x"))])
            records.live("a")
        }
        #expect(try await isLater(submit(office(), "x")[0]))
        #expect(service.created.isEmpty)
        #expect(try await standing(other, "x") == .absent)
    }

    @Test func aBatchIsFoundWhoseWorkerDiedBeforeItKnewOfIt() async throws {
        service.dies(at: .created, of: records, "a")
        _ = try await submit(office(), "x")
        #expect(try await isLater(standing(office("b"), "x")))
        service.end([0: "to x"])
        pass(.seconds(10))
        guard case .answered = try await standing(office("b"), "x") else {
            Issue.record("it was not found")
            return
        }
        #expect(service.created.count == 1 && service.cancelled.isEmpty)
    }

    @Test func whoIsTakenForDeadWhileItCreatesKeepsTheBatchThatOthersFound() async throws {
        let other = office("b")
        service.meanwhile(at: .created) { [records] in
            records.die("a")
            _ = await other.standings(of: [BatchOffice.Question(names: ["x"], job: try job("x"))])
            records.live("a")
        }
        _ = try await submit(office(), "x")
        #expect(service.created.count == 1 && service.cancelled.isEmpty)
        #expect(try await isLater(standing(other, "x")))
    }

    /// The call that creates it may still be on its way: others wait for the end of the lease.
    @Test func whatIsNotFoundIsDissolvedWhenTheLeaseIsOver() async throws {
        service.dies(at: .create, of: records, "a")
        _ = try await submit(office(), "x")
        #expect(try await isLater(standing(office("b"), "x")))
        pass(BatchOffice.creationLease)
        #expect(try await standing(office("b"), "x") == .absent)
        #expect(service.created.isEmpty)
    }

    @Test func aBatchThatComesTooLateIsCancelled() async throws {
        let other = office("b")
        service.meanwhile(at: .create) { [records] in
            records.die("a")
            records.forgetLeases()
            _ = await other.standings(of: [BatchOffice.Question(names: ["x"], job: try job("x"))])
            records.live("a")
        }
        _ = try await submit(office(), "x")
        #expect(service.created.count == 1 && service.cancelled == ["id-0"])
        #expect(try await standing(other, "x") == .absent)
    }

    @Test func aBatchThatComesUpAfterItWasGivenUpIsCancelled() async throws {
        let office = office()
        service.isUnclear(isCreated: false)
        _ = try await submit(office, "x")
        pass(BatchOffice.creationLease)
        #expect(try await standing(office, "x") == .absent)
        service.isClear()
        _ = try await submit(office, "x")
        pass(BatchOffice.strayRest)
        _ = try await standing(self.office("b"), "x")
        #expect(service.cancelled.isEmpty)
        service.bringUpWhatWasUnclear()
        #expect(service.paid["x"] == 2)
        pass(BatchOffice.strayRest)
        _ = try await standing(self.office("b"), "x")
        #expect(service.paid["x"] == 1 && service.cancelled.count == 1)
        // Until it is seen to have ended.
        service.end([0: "to x"])
        pass(BatchOffice.strayRest)
        _ = try await standing(self.office("c"), "x")
        #expect(records.strays.isEmpty && service.cancelled.count == 1)
    }

    @Test func aFileThatIsTooLargeGoesInTwo() async throws {
        service.takes(3)
        let names = (0..<8).map { "q\($0)" }
        let standings = await office().submit(try names.map { (try question($0), [], nil) })
        #expect(standings.count == 8 && standings.allSatisfy(isLater))
        #expect(service.created.map(\.lines) == [["q0", "q1"], ["q2", "q3"], ["q4", "q5"], ["q6", "q7"]])
        for name in names { #expect(try await isLater(standing(office("b"), name))) }
    }

    @Test func aQuestionThatIsTooLargeForAFileIsAskedByItself() async throws {
        service.takes(0)
        #expect(try await submit(office(), "x", "y") == [.urgent, .urgent])
        #expect(service.created.isEmpty)
    }

    @Test func whenNobodyKnowsWhetherABatchWasCreatedItIsLookedFor() async throws {
        for isCreated in [true, false] {
            let (service, records) = (FakeBatches(), FakeRecords())
            service.isUnclear(isCreated: isCreated)
            var logger = Logger(label: "test")
            logger.logLevel = .critical
            let office = BatchOffice(service: service, records: records.of("a"), clock: clock, logger: logger)
            _ = try await submit(office, "x")
            #expect(try await isLater(standing(office, "x")))
            records.forgetLeases()
            #expect(try await isLater(standing(office, "x")) == isCreated)
            #expect(service.created.count == (isCreated ? 1 : 0))
        }
    }

    @Test func whatFailsOfABatchIsNoJobsExpense() async throws {
        service.refuses(JobFailure(.modelRejected, "no batches for this model"))
        guard case .failed(let failure) = try await submit(office(), "x")[0] else {
            Issue.record("it was created")
            return
        }
        #expect(failure.code == .modelUnavailable && failure.blame == .gateway)
        #expect(try await standing(office(), "x") == .absent)
    }

    @Test func whatTheBatchDidNotComeToIsAskedAgain() async throws {
        let office = office()
        _ = try await submit(office, "x", "y", "z")
        service.end([0: "to x", 1: "failed"], isCutShort: true)
        pass(.seconds(10))
        #expect(try await standing(office, "y") == .failed(FakeBatches.failure))
        #expect(try await standing(office, "y") == .absent, "another try is another question")
        #expect(try await standing(office, "z") == .absent)
        guard case .answered = try await standing(office, "x") else {
            Issue.record("the answer of the others is there")
            return
        }
    }

    @Test func whatIsLostOfAWholeBatchIsWaitedForThenAnAttempt() async throws {
        let office = office()
        _ = try await submit(office, "x", "y")
        service.end([0: "to x"], isLacking: true)
        pass(.seconds(10))
        #expect(try await isLater(standing(office, "y")))
        pass(BatchOffice.disbelief - .seconds(1))
        #expect(try await isLater(standing(office, "y")))
        pass(.seconds(1))
        guard case .failed(let failure) = try await standing(office, "y") else {
            Issue.record("it was paid for")
            return
        }
        #expect(failure.code == .modelUnavailable && failure.blame == .job)
        guard case .answered = try await standing(office, "x") else {
            Issue.record("the answer of the other is there")
            return
        }
    }

    @Test func whileTheRecordsAreAwayNothingIsAsked() async throws {
        let office = office()
        _ = try await submit(office, "x")
        records.isAway = true
        #expect(try await isLater(standing(office, "x")))
        #expect(try await isLater(standing(office, "new")))
        #expect(try await isLater(submit(office, "y")[0]))
        #expect(service.created.count == 1)
    }

    @Test func outsideOfTheHoursBulkWaitsUnlessItHasNoTime() async throws {
        // The clock begins at midnight.
        let office = office(hours: BatchHours(start: 22, end: 6))
        #expect(try await standing(office, "x") == .absent)
        clock.move(.seconds(7 * 3600))
        guard case .later(let wait) = try await standing(office, "x") else {
            Issue.record("it is day")
            return
        }
        #expect(wait >= .seconds(6 * 3600) && wait <= .seconds(6 * 3600 + 300))
        let soon = try question("soon", deadline: .seconds(8 * 3600))
        #expect(await office.standings(of: [soon]) == [.urgent])
        clock.move(.seconds(15 * 3600))
        #expect(try await standing(office, "x") == .absent)
        let tooSoon = try question("soon", deadline: .seconds(1800))
        #expect(await office.standings(of: [tooSoon]) == [.urgent])
    }

    /// Workers that die, seem dead, or hear nothing of the provider, at any step, while others look on.
    @Test(arguments: 0..<200 as Range<UInt64>) func whateverHappensNothingIsPaidForTwice(seed: UInt64) async throws {
        let random = Mutex(SeededGenerator(seed: seed))
        @Sendable func chance(_ percent: Int) -> Bool { random.withLock { $0.chance(percent) } }
        let (service, records, clock) = (FakeBatches(), FakeRecords(), FakeClock())
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let questions = try (0..<8).map { number in
            BatchOffice.Question(
                names: ["q\(number)"] + (number < 2 ? ["shared"] : []), job: try job("q\(number < 2 ? 0 : number)"))
        }
        var worker = 0
        let quiet = logger
        @Sendable func office(_ name: String) -> BatchOffice {
            BatchOffice(service: service, records: records.of(name), clock: clock, logger: quiet)
        }
        @Sendable func pass(_ time: Duration) {
            clock.move(time)
            records.forgetLeases()
        }
        service.answersAll { step, maker in
            if chance(30) {
                // Others look on: it may seem dead to them.
                let seemsDead = chance(50)
                if seemsDead { records.die(maker) }
                // The call that creates a batch ends before its lease does.
                if step != .create, chance(30) { pass(.seconds(200)) }
                _ = await office("watcher").standings(of: questions)
                if seemsDead { records.live(maker) }
            }
            guard chance(20) else { return false }
            records.die(maker, silently: true)
            return true
        }
        var answered: Set<String> = []
        for turn in 0..<300 where answered.count < questions.count {
            // Whoever died is started again, as another.
            if chance(20) { worker += 1 }
            let name = "w\(worker)"
            service.maker = name
            if turn > 200 { service.isCalm = true }
            let asked = questions.filter { !answered.contains($0.names[0]) && chance(60) }
            let standings = await office(name).standings(of: asked)
            var absent: [BatchOffice.Question] = []
            for (question, standing) in zip(asked, standings) {
                switch standing {
                case .answered(let answer, _):
                    #expect(answer.text == "to \(question.job.query)")
                    answered.insert(question.names[0])
                case .absent: absent.append(question)
                default: break
                }
            }
            if !absent.isEmpty { _ = await office(name).submit(absent.map { ($0, [], nil) }) }
            if records.isSilent(name) { worker += 1 }
            if chance(30) { pass(.seconds(200)) }
        }
        #expect(answered.count == questions.count, "all are answered in the end")
        let paid = service.paid
        #expect(paid.count == 7 && paid.values.allSatisfy { $0 == 1 }, "\(paid)")
    }

    @Test func aStateIsReadAsItWasWritten() {
        let at = Timestamp(milliseconds: 1_700_000_000_000)
        for state: BatchState in [
            .uploading(worker: "a"), .creating(worker: "b"), .created(id: "batch_1", at: at), .ended(nil), .cutShort,
            .ended(JobFailure(.rateLimited, "too many  tokens, they say", blame: .overload)),
            .ended(JobFailure(.modelUnavailable, "no", blame: .gateway)),
        ] { #expect(BatchState(text: state.text) == state) }
        for text in ["", "created", "created x id", "created -1 id", "ended no overload x", "uploading"] {
            #expect(BatchState(text: text) == nil)
        }
    }
}

private func job(_ name: String) throws -> Job { Job(id: try #require(JobID(name)), query: name) }

private final class FakeClock: PipelineClock {
    private let time = Mutex(Duration.zero)
    var now: Duration { time.withLock { $0 } }
    /// Midnight and so on.
    var wall: Timestamp { Timestamp(milliseconds: 86_400_000 * 20_000 + Int64(now / .milliseconds(1))) }
    func move(_ by: Duration) { time.withLock { $0 += by } }
    func sleep(for duration: Duration) async {}
    func random() -> Double { 0.5 }
}

/// A provider whose lines are the questions.
private final class FakeBatches: BatchService {
    enum Step { case upload, create, created }
    struct Batch {
        let name: String
        let lines: [String]
    }
    private struct State {
        var files: [String: [String]] = [:]
        var created: [Batch] = []
        var cancelled: [String] = []
        var looks = 0
        var lines: [Int: String]?
        var isCutShort = false
        var isLacking = false
        var refusal: JobFailure?
        var unclear: Bool?
        var events: [Step: @Sendable () async throws -> Void] = [:]
        /// The worker is dead: whatever it does after that step does not happen.
        var deadAt: Step?
        var numbers: [String: Int] = [:]
        var answersAll = false
        var mostLines = Int.max
        var isCalm = false
        var maker = ""
        var chaos: (@Sendable (Step, _ maker: String) async -> Bool)?
    }
    private let state = Mutex(State())

    static let failure = JobFailure(.modelUnavailable, "failed")
    var created: [Batch] { state.withLock { $0.created } }
    var cancelled: [String] { state.withLock { $0.cancelled } }
    var looks: Int { state.withLock { $0.looks } }

    func end(_ lines: [Int: String], isCutShort: Bool = false, isLacking: Bool = false) {
        state.withLock { ($0.lines, $0.isCutShort, $0.isLacking) = (lines, isCutShort, isLacking) }
    }
    func refuses(_ failure: JobFailure) { state.withLock { $0.refusal = failure } }
    func isUnclear(isCreated: Bool) { state.withLock { $0.unclear = isCreated } }
    func isClear() { state.withLock { $0.unclear = nil } }
    /// What was called for, and did not come, is there after all.
    func bringUpWhatWasUnclear() {
        state.withLock { state in
            for (name, lines) in state.files where !state.created.contains(where: { $0.name == name }) {
                state.created.append(Batch(name: name, lines: lines))
            }
        }
    }
    /// Files of so many lines at most.
    func takes(_ lines: Int) { state.withLock { $0.mostLines = lines } }
    func meanwhile(at step: Step, _ event: @escaping @Sendable () async throws -> Void) {
        state.withLock { $0.events[step] = event }
    }
    func dies(at step: Step, of records: FakeRecords, _ worker: String) {
        meanwhile(at: step) { records.die(worker, silently: true) }
        if step == .create { state.withLock { $0.deadAt = step } }
    }

    /// Each batch is answered as soon as it is asked for.
    ///
    /// - Parameter chaos: happens at each step; true: the worker dies of it.
    func answersAll(_ chaos: @escaping @Sendable (Step, _ maker: String) async -> Bool) {
        state.withLock {
            $0.answersAll = true
            $0.chaos = chaos
        }
    }
    var isCalm: Bool {
        get { state.withLock { $0.isCalm } }
        set { state.withLock { $0.isCalm = newValue } }
    }
    var maker: String {
        get { state.withLock { $0.maker } }
        set { state.withLock { $0.maker = newValue } }
    }
    /// How often each question would be.
    var paid: [String: Int] {
        state.withLock { state in
            state.created.enumerated().filter { !state.cancelled.contains("id-\($0.offset)") }
                .flatMap(\.element.lines).reduce(into: [:]) { $0[$1, default: 0] += 1 }
        }
    }

    /// - Returns: whether the worker dies.
    @discardableResult
    private func happen(_ step: Step) async -> Bool {
        let (event, chaos, maker) = state.withLock { state in
            (state.events.removeValue(forKey: step), state.isCalm ? nil : state.chaos, state.maker)
        }
        try? await event?()
        return await chaos?(step, maker) ?? false
    }

    func line(_ number: Int, of batch: String, _ job: Job, _ passages: [Source]) -> (bytes: [UInt8], draft: BatchDraft)
    {
        // Of equal questions the first is in the batch.
        state.withLock { state in
            let name = "\(batch) \(job.query)"
            state.numbers[name] = state.numbers[name] ?? number
        }
        return (Array(job.query.utf8), BatchDraft(sources: passages))
    }

    func upload(_ lines: [[UInt8]], batch: String) async throws(JobFailure) -> String {
        guard lines.count <= state.withLock(\.mostLines) else { throw JobFailure(.tooLarge, "413") }
        state.withLock { $0.files[batch] = lines.map { String(decoding: $0, as: UTF8.self) } }
        if await happen(.upload) { throw Self.failure }
        return batch
    }

    func create(_ file: String, batch: String) async throws(BatchCreationFailure) -> String {
        if await happen(.create) { throw .unclear(Self.failure) }
        let (refusal, unclear, isDead) = state.withLock { ($0.refusal, $0.unclear, $0.deadAt == .create) }
        if let refusal { throw .refused(refusal) }
        if isDead || unclear == false { throw .unclear(Self.failure) }
        let id = state.withLock { state in
            state.created.append(Batch(name: batch, lines: state.files[file] ?? []))
            return "id-\(state.created.count - 1)"
        }
        if unclear == true { throw .unclear(Self.failure) }
        await happen(.created)
        return id
    }

    func find(_ batch: String) async throws(JobFailure) -> String? {
        state.withLock { state in state.created.firstIndex { $0.name == batch }.map { "id-\($0)" } }
    }

    func look(at id: String, batch: String) async throws(JobFailure) -> BatchProgress {
        state.withLock { state in
            state.looks += 1
            if state.answersAll, let number = Int(id.dropFirst(3)), state.created.indices.contains(number) {
                let batch = state.created[number]
                let lines = batch.lines.compactMap { line in
                    state.numbers["\(batch.name) \(line)"].map { ($0, Array("to \(line)".utf8)) }
                }
                return .ended(lines: Dictionary(lines) { one, _ in one }, failure: nil)
            }
            guard let lines = state.lines else { return .running }
            let (isCutShort, isLacking) = (state.isCutShort, state.isLacking)
            return .ended(
                lines: lines.mapValues { Array($0.utf8) }, failure: nil, isCutShort: isCutShort, isLacking: isLacking)
        }
    }

    func cancel(_ id: String) async { state.withLock { $0.cancelled.append(id) } }

    func answer(_ line: [UInt8], to job: Job, _ draft: BatchDraft) -> BatchAnswer {
        let text = String(decoding: line, as: UTF8.self)
        if text == "failed" { return .failed(Self.failure) }
        return .answered(
            Answer(text: text, model: "m", usage: Usage(promptTokens: 1, completionTokens: 1), sources: draft.sources))
    }
}

/// What all workers know, in memory.
private final class FakeRecords: Sendable {
    fileprivate struct State {
        var names: [String: (batch: String, number: Int)] = [:]
        var states: [String: BatchState] = [:]
        var drafts: [String: BatchDraft] = [:]
        var lines: [String: [UInt8]] = [:]
        var payers: [String: String] = [:]
        var leases: Set<String> = []
        var turns: Set<String> = []
        var dead: Set<String> = []
        /// Dead for good: what they write is not written.
        var silent: Set<String> = []
        var isAway = false
        var strays: [String: Timestamp] = [:]
    }
    fileprivate let state = Mutex(State())

    var isAway: Bool {
        get { state.withLock { $0.isAway } }
        set { state.withLock { $0.isAway = newValue } }
    }

    var strays: [String] { state.withLock { $0.strays.keys.sorted() } }
    func of(_ worker: String) -> any BatchRecords { Worker(worker: worker, records: self) }
    func die(_ worker: String, silently: Bool = false) {
        state.withLock {
            $0.dead.insert(worker)
            if silently { $0.silent.insert(worker) }
        }
    }
    func isSilent(_ worker: String) -> Bool { state.withLock { $0.silent.contains(worker) } }
    func live(_ worker: String) { state.withLock { _ = $0.dead.remove(worker) } }
    func forgetLeases() {
        state.withLock {
            $0.leases = []
            $0.turns = []
        }
    }

    private struct Worker: BatchRecords {
        let worker: String
        let records: FakeRecords

        private func perform<T>(_ body: (inout State) -> T) throws(Outage) -> T {
            let result: T? = records.state.withLock { state in
                state.isAway || state.silent.contains(worker) ? nil : body(&state)
            }
            guard let result else { throw Outage(.redis, "away") }
            return result
        }

        func look(for names: [String], payer: String) async throws(Outage) -> BatchEntry? {
            try perform { state -> BatchEntry? in
                for name in names {
                    guard let place = state.names[name], let batch = state.states[place.batch] else { continue }
                    state.names[names[0]] = place
                    let item = "\(place.batch) \(place.number)"
                    let line = state.lines[item]
                    if line != nil, state.payers[item] == nil { state.payers[item] = payer }
                    let maker: String? =
                        switch batch {
                        case .uploading(let worker), .creating(let worker): worker
                        case .created, .ended, .cutShort: nil
                        }
                    return BatchEntry(
                        batch: place.batch, state: batch, draft: state.drafts[item] ?? BatchDraft(), line: line,
                        pays: state.payers[item] == payer,
                        isMakerAlive: maker.map { !state.dead.contains($0) } ?? false,
                        isLeased: state.leases.contains(place.batch))
                }
                return nil
            }
        }

        func begin(_ batch: String, _ items: [(names: [String], draft: BatchDraft)]) async throws(Outage) -> [Bool] {
            try perform { state in
                state.states[batch] = .uploading(worker: worker)
                state.leases.insert(batch)
                return items.enumerated().map { number, item in
                    let isTaken = item.names.contains { state.names[$0].map { state.states[$0.batch] != nil } ?? false }
                    guard !isTaken else { return false }
                    for name in item.names { state.names[name] = (batch, number) }
                    state.drafts["\(batch) \(number)"] = item.draft
                    return true
                }
            }
        }

        func move(
            _ batch: String, from old: BatchState, to new: BatchState?, lease: Duration?
        ) async throws(Outage) -> Bool {
            try perform { state in
                guard state.states[batch] == old else { return false }
                state.states[batch] = new
                if lease == nil { state.leases.remove(batch) } else { state.leases.insert(batch) }
                return true
            }
        }

        func state(of batch: String) async throws(Outage) -> BatchState? { try perform { $0.states[batch] } }
        func takeTurn(at batch: String, for time: Duration) async throws(Outage) -> Bool {
            try perform { $0.turns.insert(batch).inserted }
        }
        func giveUp(_ batch: String, of service: String, at time: Timestamp) async throws(Outage) {
            try perform { $0.strays[batch] = time }
        }
        func givenUp(of service: String, since time: Timestamp) async throws(Outage) -> [String] {
            try perform { state in
                state.strays = state.strays.filter { $0.value >= time }
                return state.strays.keys.sorted()
            }
        }
        func settle(_ batch: String, of service: String) async throws(Outage) {
            try perform { $0.strays[batch] = nil }
        }
        func keep(_ lines: [Int: [UInt8]], of batch: String) async throws(Outage) {
            try perform { state in for (number, line) in lines { state.lines["\(batch) \(number)"] = line } }
        }
        func forget(_ names: [String]) async {
            records.state.withLock { state in for name in names { state.names[name] = nil } }
        }
    }
}
