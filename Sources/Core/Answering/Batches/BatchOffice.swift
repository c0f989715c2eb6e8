import ChatJobs
import Logging
import Metrics
import ParleyPrimitives
import Synchronization

/// Has a model's bulk jobs answered in batches of its provider's, with all other workers, so that none is paid for twice.
///
/// The jobs wait in the broker. Whenever one is back it is looked here what is known of it; whoever looks first after a while
/// asks the provider for all. Each step is written down before it is done:
///
/// | state | a worker that finds it |
/// |---|---|
/// | uploading | dissolves the batch when its maker is dead or its lease over: nothing was created, and its maker, should it live, finds that out before it creates anything |
/// | creating | looks for the batch at the provider when its maker is dead or its lease over; dissolves it when it is not there and the lease is over, and has it cancelled should it come up within a day |
/// | created | asks how far it is, and keeps what came of it |
/// | ended | reads its answer; what has none has failed, and may be in another batch at its next attempt |
/// | cut short | likewise; what has no answer is in no batch any more, at no attempt |
package final class BatchOffice: Sendable {
    /// What the service is known by in all workers.
    private let name: String
    private let service: any BatchService
    private let records: any BatchRecords
    private let clock: any PipelineClock
    private let hours: BatchHours?
    private let logger: Logger
    /// Of an answer that comes by a batch.
    let prices: Prices?
    /// Told once, when that changes.
    private let isWithoutRecords = Atomic(false)
    private let batches = Dictionary(
        uniqueKeysWithValues: ["created", "completed", "failed", "recovered", "cancelled"].map {
            ($0, Counter(label: "parley_batches_total", dimensions: [("event", $0)]))
        })

    /// So long a batch that is being made is left alone: its maker's call has ended by then.
    package static let uploadLease = Duration.seconds(180)
    static let creationLease = Duration.seconds(45)
    /// So often a batch is asked for, and a job comes back: the older the batch, the more seldom.
    private static let soonest = Duration.seconds(2)
    private static let latestLook = Duration.seconds(60)
    private static let latestReturn = Duration.seconds(300)
    /// Who has less time than this does not wait for a batch.
    private static let leastTime = Duration.seconds(3600)
    /// So long what a service says that cannot be is not believed: that it knows nothing of a batch, or has nothing of one that
    /// has ended.
    static let disbelief = Duration.seconds(300)
    /// It was asked, and paid for.
    private static let lost = JobFailure(
        .modelUnavailable, "the batch has ended, and what came of this question is not among its results")
    private let nextStrayLook = Mutex(Duration.zero)
    /// Since when that is said of a batch.
    private let disbelieved = Mutex<[String: Duration]>([:])
    /// The longest time in the broker until the hours begin, before it is looked again.
    private static let longestRest = Duration.seconds(6 * 3600)

    package init(
        name: String = "", service: any BatchService, records: any BatchRecords, clock: any PipelineClock,
        hours: BatchHours? = nil, prices: Prices? = nil, logger: Logger
    ) {
        self.name = name
        self.service = service
        self.records = records
        self.clock = clock
        self.hours = hours
        self.prices = prices
        self.logger = logger
    }

    /// A question for a batch.
    package struct Question: Sendable {
        /// What it is found by: its job, then whatever else has the same answer.
        package let names: [String]
        package let job: Job

        package init(names: [String], job: Job) {
            self.names = names
            self.job = job
        }
    }

    /// How a question stands.
    package enum Standing: Sendable, Equatable {
        /// It is in no batch, and may join the next.
        case absent
        /// It is to be asked by itself: there is no time for a batch.
        case urgent
        case later(Duration)
        /// - pays: whoever asked accounts for the call.
        case answered(Answer, pays: Bool)
        case failed(JobFailure)
    }

    // MARK: - Looking

    /// How questions stand, in order.
    package func standings(of questions: [Question]) async -> [Standing] {
        var entries = await look(for: questions)
        var tended: [String: Bool] = [:]
        for entry in entries {
            guard case .success(let entry?) = entry, entry.line == nil, tended[entry.batch] == nil else { continue }
            tended[entry.batch] = await tend(entry)
        }
        // What was found out for one holds for all of its batch.
        if tended.values.contains(true) { entries = await look(for: questions) }
        var standings: [Standing] = []
        for (question, entry) in zip(questions, entries) { standings.append(await standing(question, entry)) }
        await lookForStrays()
        return standings
    }

    private typealias Look = Result<BatchEntry?, Outage>

    // Named, and made in a function of its own: with a pair that a `do throws` in the child task returns, the optimizer of Swift
    // 6.3 mistakes the place (it traps in a release build; SimulationTests in release, seed 500000).
    private struct PlacedLook: Sendable {
        let place: Int
        let look: Look
    }

    private static func look(for question: Question, in records: any BatchRecords) async -> Look {
        do throws(Outage) {
            return .success(try await records.look(for: question.names, payer: question.names[0]))
        } catch {
            return .failure(error)
        }
    }

    private func look(for questions: [Question]) async -> [Look] {
        await withTaskGroup(of: PlacedLook.self) { group in
            for (place, question) in questions.enumerated() {
                group.addTask { [records] in
                    PlacedLook(place: place, look: await Self.look(for: question, in: records))
                }
            }
            var looks = [Look](repeating: .success(nil), count: questions.count)
            for await one in group { looks[one.place] = one.look }
            note(looks.lazy.compactMap { if case .failure(let outage) = $0 { outage } else { nil } }.first)
            return looks
        }
    }

    /// Whether it is known what is in which batch.
    private func note(_ outage: Outage?) {
        guard isWithoutRecords.exchange(outage != nil, ordering: .relaxed) != (outage != nil) else { return }
        guard let outage else { return logger.notice("it is known again which jobs are in batches") }
        logger.warning(
            "it is not known which jobs are in batches: bulk jobs wait until it is",
            metadata: ["reason": "\(outage.reason)"])
    }

    private func standing(_ question: Question, _ look: Look) async -> Standing {
        // In doubt it waits: it may have been paid for.
        guard case .success(let found) = look else { return later(.zero, question.job) }
        guard let entry = found else { return standing(new: question.job) }
        guard let line = entry.line else {
            switch entry.state {
            case .uploading, .creating: return later(.zero, question.job)
            case .created(_, let at): return later(clock.wall.since(at), question.job)
            case .cutShort:
                await records.forget(question.names)
                return standing(new: question.job)
            case .ended(let failure):
                await records.forget(question.names)
                return .failed(failure ?? Self.lost)
            }
        }
        switch service.answer(line, to: question.job, entry.draft) {
        case .answered(let answer): return .answered(answer, pays: entry.pays)
        case .failed(let failure):
            // Another try is another question.
            await records.forget(question.names)
            return .failed(failure)
        case .unasked:
            await records.forget(question.names)
            return standing(new: question.job)
        }
    }

    private func standing(new job: Job) -> Standing {
        let left = job.deadline?.since(clock.wall)
        if let left, left < Self.leastTime { return .urgent }
        guard let wait = hours?.wait(at: clock.wall) else { return .absent }
        if let left, left < wait + Self.leastTime { return .urgent }
        // Spread over some minutes: not all at the first moment.
        return .later(min(wait, Self.longestRest) + .seconds(300) * clock.random())
    }

    /// - Parameter age: of its batch.
    private func later(_ age: Duration, _ job: Job) -> Standing {
        .later(min(Self.latestReturn, max(Self.soonest, age / 4)) * (0.8 + 0.4 * clock.random()))
    }

    // MARK: - Tending

    /// Does what is due for a batch.
    ///
    /// - Returns: whether something has changed.
    private func tend(_ entry: BatchEntry) async -> Bool {
        do throws(Outage) {
            switch entry.state {
            case .uploading:
                guard !entry.isMakerAlive || !entry.isLeased else { return false }
                return try await records.move(entry.batch, from: entry.state, to: nil, lease: nil)
            case .creating:
                guard !entry.isMakerAlive || !entry.isLeased,
                    try await records.takeTurn(at: entry.batch, for: Self.soonest)
                else { return false }
                return try await recover(entry)
            case .created(let id, let at):
                let rest = min(Self.latestLook, max(Self.soonest, clock.wall.since(at) / 10))
                guard try await records.takeTurn(at: entry.batch, for: rest) else { return false }
                return try await ask(entry, id)
            case .ended, .cutShort: return false
            }
        } catch {
            return false
        }
    }

    private func recover(_ entry: BatchEntry) async throws(Outage) -> Bool {
        let id: String?
        do throws(JobFailure) { id = try await service.find(entry.batch) } catch {
            note("a batch cannot be looked for", error)
            return false
        }
        guard let id else {
            // A call of its dead maker's may still be on its way to the provider.
            guard !entry.isLeased else { return false }
            return try await dissolve(entry)
        }
        let isMoved = try await records.move(
            entry.batch, from: entry.state, to: .created(id: id, at: clock.wall), lease: nil)
        if isMoved {
            batches["recovered"]?.increment()
            logger.notice("a batch was found again whose worker has died", metadata: ["batch": "\(id)"])
        }
        return isMoved
    }

    private func ask(_ entry: BatchEntry, _ id: String) async throws(Outage) -> Bool {
        let progress: BatchProgress
        do throws(JobFailure) { progress = try await service.look(at: id, batch: entry.batch) } catch {
            note("a batch cannot be asked for", error)
            return false
        }
        switch progress {
        case .running:
            disbelieved.withLock { $0[id] = nil }
            return false
        case .unknown:
            guard isToBeBelieved(id) else { return false }
            // Should it be there after all, it is not paid for to its end.
            await service.cancel(id)
            logger.warning(
                "the provider knows nothing of a batch: its jobs are asked anew", metadata: ["batch": "\(id)"])
            return try await dissolve(entry)
        case .ended(let lines, let failure, let isCutShort, let isLacking):
            if isLacking {
                guard isToBeBelieved(id) else { return false }
                logger.warning("a batch has ended, and some of its results are not there", metadata: ["batch": "\(id)"])
            }
            try await records.keep(lines, of: entry.batch)
            let ended: BatchState = isCutShort && failure == nil ? .cutShort : .ended(failure)
            guard try await records.move(entry.batch, from: entry.state, to: ended, lease: nil) else { return true }
            batches[failure == nil ? "completed" : "failed"]?.increment()
            logger.info("a batch has ended", metadata: ["batch": "\(id)", "results": "\(lines.count)"])
            if let failure { note("a batch has failed", failure) }
            return true
        }
    }

    // MARK: - Strays

    /// So often batches are looked for that were given up, and so long after.
    static let strayRest = Duration.seconds(60)
    private static let strayLife = Duration.seconds(86_400)
    private static let mostStrays = 16

    /// Its questions are in no batch any more. Should it be at the provider all the same, it is found there as a stray.
    private func dissolve(_ entry: BatchEntry) async throws(Outage) -> Bool {
        try await records.giveUp(entry.batch, of: name, at: clock.wall)
        return try await records.move(entry.batch, from: entry.state, to: nil, lease: nil)
    }

    /// Cancels batches that came up at the provider after they were given up: their questions are asked elsewhere.
    private func lookForStrays() async {
        let now = clock.now
        let isTime = nextStrayLook.withLock { next in
            guard now >= next else { return false }
            next = now + Self.strayRest / 2
            return true
        }
        guard isTime else { return }
        do throws(Outage) {
            let since = Timestamp(milliseconds: clock.wall.milliseconds - Self.strayLife.wholeMilliseconds)
            let strays = try await records.givenUp(of: name, since: since)
            guard !strays.isEmpty, try await records.takeTurn(at: "strays:\(name)", for: Self.strayRest) else { return }
            for stray in strays.prefix(Self.mostStrays) { try await tend(stray: stray) }
        } catch {
            // They are looked for again.
        }
    }

    private func tend(stray: String) async throws(Outage) {
        switch try await records.state(of: stray) {
        case nil: break
        // Somebody is about to give it up.
        case .uploading?, .creating?: return
        // Others had found it by then: it is in use.
        case .created?, .ended?, .cutShort?: return try await records.settle(stray, of: name)
        }
        do throws(JobFailure) {
            guard let id = try await service.find(stray) else { return }
            if case .running = try await service.look(at: id, batch: stray) {
                logger.warning(
                    "a batch has come up after it was given up, and is cancelled", metadata: ["batch": "\(id)"])
                batches["cancelled"]?.increment()
                // It is settled when it is seen to have ended.
                return await service.cancel(id)
            }
        } catch {
            return note("a batch that was given up cannot be looked for", error)
        }
        try await records.settle(stray, of: name)
    }

    /// Whether it was said for long enough, as far as this worker knows.
    private func isToBeBelieved(_ id: String) -> Bool {
        let now = clock.now
        return disbelieved.withLock { disbelieved in
            guard now - (disbelieved[id] ?? now) >= Self.disbelief else {
                disbelieved[id] = disbelieved[id] ?? now
                return false
            }
            disbelieved[id] = nil
            return true
        }
    }

    private func note(_ what: Logger.Message, _ failure: JobFailure) {
        logger.warning(what, metadata: ["reason": "\(failure.message)"])
    }

    // MARK: - Making

    package typealias Item = (question: Question, passages: [Source], rewriting: Usage?)

    /// Makes a batch of questions that are in none; several, where the provider takes no file of so many.
    ///
    /// - Returns: of each how it stands: later, or failed.
    package func submit(_ items: [Item]) async -> [Standing] {
        let batch = Self.name()
        let made = items.enumerated().map { number, item in
            var (line, draft) = service.line(number, of: batch, item.question.job, item.passages)
            draft.rewriting = item.rewriting
            return (names: item.question.names, draft: draft, line: line)
        }
        do throws(Outage) {
            let areIn = try await records.begin(batch, made.map { ($0.names, $0.draft) })
            let lines = zip(made, areIn).filter(\.1).map(\.0.line)
            let failure = lines.isEmpty ? nil : try await make(batch, lines)
            if failure?.code == .tooLarge { return await halved(items, areIn) }
            return zip(items, areIn).map { item, isIn in
                if isIn, let failure { .failed(failure) } else { later(.zero, item.question.job) }
            }
        } catch {
            note(error)
            return items.map { later(.zero, $0.question.job) }
        }
    }

    /// Those of a file that the provider does not take, in two; one that is too large alone is asked by itself.
    private func halved(_ items: [Item], _ areIn: [Bool]) async -> [Standing] {
        var standings = items.map { later(.zero, $0.question.job) }
        let places = items.indices.filter { areIn[$0] }
        guard places.count > 1 else {
            for place in places { standings[place] = .urgent }
            return standings
        }
        for half in [places[..<(places.count / 2)], places[(places.count / 2)...]] {
            for (place, standing) in zip(half, await submit(half.map { items[$0] })) { standings[place] = standing }
        }
        return standings
    }

    /// - Returns: why there is none; nil when there is one, or may be.
    private func make(_ batch: String, _ lines: [[UInt8]]) async throws(Outage) -> JobFailure? {
        let uploading = BatchState.uploading(worker: records.worker)
        let creating = BatchState.creating(worker: records.worker)
        let file: String
        do throws(JobFailure) { file = try await service.upload(lines, batch: batch) } catch {
            note("a batch cannot be uploaded", error)
            return try await records.move(batch, from: uploading, to: nil, lease: nil) ? error.ofBatch : nil
        }
        // Others took this worker for dead: its questions are in other batches by now.
        guard try await records.move(batch, from: uploading, to: creating, lease: Self.creationLease) else {
            return nil
        }
        do throws(BatchCreationFailure) {
            let id = try await service.create(file, batch: batch)
            do throws(Outage) {
                let created = BatchState.created(id: id, at: clock.wall)
                guard try await records.move(batch, from: creating, to: created, lease: nil) else {
                    // Others took this worker for dead, and have found the batch, or have its questions in another.
                    if try await records.state(of: batch) == nil {
                        await service.cancel(id)
                        try await records.giveUp(batch, of: name, at: clock.wall)
                    }
                    return nil
                }
            } catch {
                // It is found at the provider when the lease is over.
                return nil
            }
            batches["created"]?.increment()
            logger.info("a batch was made", metadata: ["batch": "\(id)", "questions": "\(lines.count)"])
            return nil
        } catch {
            switch error {
            case .refused(let failure):
                note("a batch cannot be created", failure)
                return try await records.move(batch, from: creating, to: nil, lease: nil) ? failure.ofBatch : nil
            case .unclear(let failure):
                note("it is not clear whether a batch was created", failure)
                return nil
            }
        }
    }

    private static func name() -> String {
        [UInt64.random(in: 0...UInt64.max), UInt64.random(in: 0...UInt64.max)]
            .map { String($0, radix: 36) }.joined()
    }
}

extension JobFailure {
    /// What fails of a batch is no job's own doing.
    fileprivate var ofBatch: JobFailure {
        guard blame == .job, code != .tooLarge else { return self }
        return JobFailure(.modelUnavailable, message, retryAfter: retryAfter, blame: .gateway)
    }
}
