import Answering
import ChatJobs
import Logging

/// The deliveries in work: from the window that brought them until each is settled, put aside or handed back.
actor Deliveries {
    private let intake: any Intake
    private let claims: Claims
    private let outbox: any Outbox
    private let answering: Answering
    private let health: HealthMonitor
    private let decoder: WindowDecoder
    private let concluder: Concluder
    private let clock: any PipelineClock
    private let maxDeliveries: Int
    private let questions: QuestionCount?
    private let metrics: PipelineMetrics
    private let logger: Logger

    private nonisolated let executor: any SerialExecutor & TaskExecutor
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    private var jobs: InFlightJobs
    private let streams: ChunkStreams
    private var suspects = Suspects()
    private var trialsEnd = Waiters()
    private var idle = Waiters()
    private var arrivals: UInt64 = 0
    private var tasks = TaskSet()
    private var isAbandoned = false
    private var isFinished = false

    /// Deliveries taken and not yet settled.
    private(set) var inFlight = 0
    /// Jobs that have ended here since the start.
    private(set) var settled: UInt64 = 0

    /// How long a delivery waits in the broker whose job another worker is answering.
    private static let waitForOther = Duration.seconds(1)
    /// Claims are renewed when they are so old.
    private static let claimRenewal = Duration.seconds(600)

    init(
        intake: any Intake, results: any ResultStore, outbox: any Outbox, answering: Answering, health: HealthMonitor,
        decoder: WindowDecoder, concluder: Concluder, clock: any PipelineClock, maxDeliveries: Int,
        inFlight: TenantCeiling, streams: ChunkStreams, questions: QuestionCount?,
        executor: any SerialExecutor & TaskExecutor, metrics: PipelineMetrics, logger: Logger
    ) {
        jobs = InFlightJobs(ceiling: inFlight)
        self.streams = streams
        self.intake = intake
        claims = Claims(results: results, health: health, maxDeliveries: maxDeliveries)
        self.outbox = outbox
        self.answering = answering
        self.health = health
        self.decoder = decoder
        self.concluder = concluder
        self.clock = clock
        self.maxDeliveries = maxDeliveries
        self.questions = questions
        self.executor = executor
        self.metrics = metrics
        self.logger = logger
    }

    /// Begins with the messages of a window.
    func take(_ messages: [Incoming]) {
        inFlight += messages.count
        metrics.inFlight.record(inFlight)
        metrics.windowSize.record(messages.count)
        start { await $0.work($0.decode(messages)) }
    }

    /// Returns when every delivery taken has left this worker.
    func finish() async {
        await withCheckedContinuation { continuation in
            if inFlight == 0 { continuation.resume() } else { idle.add(continuation) }
        }
        isFinished = true
        tasks.cancelAll()
    }

    private func decode(_ messages: [Incoming]) -> [JobDelivery] {
        let (now, wall) = (clock.now, clock.wall)
        var deliveries: [JobDelivery] = []
        deliveries.reserveCapacity(messages.count)
        for incoming in messages {
            if incoming.redelivered, !incoming.isFetched { metrics.redelivered.increment() }
            arrivals += 1
            switch decoder.read(incoming, arrival: arrivals, now: now, wall: wall) {
            case .job(let delivery):
                // Before anything is asked about it; whoever gets past here is looked at again when it begins.
                if let wait = jobs.wait(for: delivery, now: now, wall: wall) {
                    start { await $0.putAside(delivery, wait) }
                } else {
                    deliveries.append(delivery)
                }
            case .early(let delivery, let wait): start { await $0.putAside(delivery, wait) }
            case .refused(let incoming, let refusal):
                start { $0.departed(await $0.concluder.refuse(incoming, refusal)) }
            case .named(let incoming, let id, let reference): start { await $0.fetch(incoming, id, reference) }
            }
        }
        deliveries.sort { $0.rank < $1.rank }
        return deliveries
    }

    /// Has the body fetched that the message names.
    private func fetch(_ incoming: Incoming, _ id: JobID, _ reference: BodyReference) async {
        do throws(ObjectFailure) {
            let body = try await concluder.claimCheck.body(reference)
            await work(decode([Incoming(incoming, id: id, body: body)]))
        } catch {
            switch error {
            case .absent(let reason):
                let refusal = decoder.refusal(JobFailure(.invalidJob, reason), of: incoming)
                departed(await concluder.refuse(incoming, refusal))
            case .away where Task.isCancelled:
                await concluder.settler.handBack(incoming)
                departed()
            case .away(let reason):
                _ = await concluder.putAside(incoming, id: id, because: reason)
                departed()
            }
        }
    }

    // MARK: - Before work

    /// From decoded jobs to their answers.
    ///
    /// A claim is asked for only while no job of that id is in work here, so that it is held, and given up, by that job
    /// alone; other deliveries of the id follow.
    ///
    /// - Parameter anew: a failure that is stored for them does not count.
    private func work(_ deliveries: [JobDelivery], anew: Bool = false) async {
        var asking = deliveries
        while true {
            await untilTrialsEnd()
            asking.removeAll { follow($0) }
            guard !asking.isEmpty else { return }
            suspects.claimsBegin()
            let foreseen = await answering.foresee(asking.map { ($0.arrival, $0.job) })
            do throws(Outage) {
                let states = try await claims.take(asking, anew: anew, isFree: answering.isLocal)
                asking = await admit(zip(asking, states), foreseen)
            } catch {
                endClaims()
                if Task.isCancelled { return await handBackClaimed(asking) }
                await health.waitOut(error)
            }
        }
    }

    /// Puts the jobs on their ways.
    ///
    /// - Returns: those that have to wait because suspects have come up meanwhile. They ask again: what is true before may
    ///   not be after. Their claims are given back first: they are not in work, and must not be counted when one that is
    ///   takes the worker down.
    private func admit(
        _ asked: Zip2Sequence<[JobDelivery], [ClaimState]>, _ foreseen: Answering.Foreseen?
    ) async -> [JobDelivery] {
        var admitted: [JobDelivery] = []
        var waiting: [JobDelivery] = []
        for (delivery, state) in asked {
            let admission = Admission(delivery, state)
            if case .work(let job) = admission, suspects.areThere, !isAbandoned, !isSuspect(job) {
                waiting.append(delivery)
                if job.isClaimed { await giveBack(job.key, job.starts) }
            } else if let job = admit(delivery, admission) {
                admitted.append(job)
            }
        }
        endClaims()
        ask(admitted, foreseen)
        return waiting
    }

    /// Redis may have granted what it could not say.
    private func handBackClaimed(_ deliveries: [JobDelivery]) async {
        for delivery in deliveries {
            await handBack(delivery.claimed(starts: 1, losses: 0, mustBeAlone: false))
        }
    }

    private func isSuspect(_ delivery: JobDelivery) -> Bool {
        Admission.isSuspect(delivery, maxDeliveries: maxDeliveries)
    }

    private func endClaims() {
        suspects.claimsEnd()
        beginTrial()
    }

    /// Puts the job on its way.
    /// - Returns: the delivery, when it is to be answered now.
    private func admit(_ delivery: JobDelivery, _ admission: Admission) -> JobDelivery? {
        switch admission {
        case .replay(let reply):
            metrics.replayed.increment()
            start { $0.departed(await $0.concluder.settle(delivery, reply)) }
        case .dropStored(let stored):
            logger.warning(
                "what is stored for a job is no reply: it is dropped, and the job answered",
                metadata: ["id": "\(delivery.job.id.text)"])
            start { pipeline in
                let isDone = await pipeline.claims.discard(delivery.key, stored)
                if isDone { await pipeline.work([delivery]) } else { await pipeline.handBack(delivery) }
            }
        // By itself: what is known of the others of its window must not grow old meanwhile.
        case .askAgain: start { await $0.work([delivery], anew: true) }
        case .conflict: refuse(delivery)
        case .end(let failure): start { $0.departed(await $0.concluder.fail(delivery, failure)) }
        case .wait:
            metrics.elsewhere.increment()
            start { await $0.putAside(delivery, Self.waitForOther) }
        case .work(let job): return begin(job)
        }
        return nil
    }

    private func begin(_ delivery: JobDelivery) -> JobDelivery? {
        if follow(delivery) { return nil }
        if let wait = jobs.wait(for: delivery, now: clock.now, wall: clock.wall) {
            putAside(follower: delivery, wait)
            return nil
        }
        jobs.lead(delivery, now: clock.now)
        if let failure = Admission.obstacle(delivery, wall: clock.wall, maxDeliveries: maxDeliveries) {
            if failure.code == .workerLost { metrics.workerLost.increment() }
            start {
                $0.departed(await $0.concluder.fail(delivery, failure))
                $0.complete(delivery)
            }
        } else if isSuspect(delivery) {
            awaitTrial(delivery)
        } else {
            return delivery
        }
        return nil
    }

    /// Has the delivery wait for the one of its id that is in work here, if there is one.
    private func follow(_ delivery: JobDelivery) -> Bool {
        if jobs.conflicts(with: delivery) {
            refuse(delivery)
            return true
        }
        guard let void = jobs.follow(delivery) else { return false }
        for follower in void { start { await $0.drop(follower) } }
        if isAbandoned { handBackFollowers() }
        return true
    }

    /// The id belongs to another job.
    private func refuse(_ delivery: JobDelivery) {
        metrics.conflicts.increment()
        start {
            $0.departed(await $0.concluder.settle(delivery, .conflict(of: delivery, now: $0.clock.now)))
        }
    }

    // MARK: - Work

    private func ask(_ deliveries: [JobDelivery], _ foreseen: Answering.Foreseen? = nil) {
        // What was to be made for jobs that are not begun is given up there.
        guard !deliveries.isEmpty || foreseen?.isLooking == true else { return }
        let inquiries = deliveries.map(inquiry)
        answering.assumeIsolated { $0.answer(inquiries, foreseen) }
        if let questions { record(questions.questions(among: deliveries), in: questions.log) }
    }

    /// Not among the tasks that are waited for: a count may be lost.
    private func record(_ asked: [RecordedQuestion], in log: any QuestionLog) {
        if !asked.isEmpty { Task.detached(executorPreference: executor) { await log.record(asked) } }
    }

    private func inquiry(_ delivery: JobDelivery) -> Inquiry {
        let relay = relay(delivery)
        var onDelta: DeltaSink?
        if let relay { onDelta = { delta in await relay.take(delta) } }
        return Inquiry(
            delivery.job, rank: delivery.rank, isFirstTry: delivery.isFirstTry,
            isLastTry: delivery.attempt >= concluder.retry.maxAttempts, onDelta: onDelta
        ) { outcome in
            await self.conclude(delivery, outcome, relay)
        }
    }

    private func relay(_ delivery: JobDelivery) -> ChunkRelay? {
        guard delivery.job.stream, let replyTo = delivery.incoming.envelope.replyTo, !replyTo.isEmpty else {
            return nil
        }
        return ChunkRelay(
            delivery, replyTo: replyTo, outbox: outbox, streams: streams, clock: clock, metrics: metrics,
            executor: executor)
    }

    // MARK: - After work

    private func conclude(_ delivery: JobDelivery, _ outcome: AnswerOutcome, _ relay: ChunkRelay?) async {
        let hasStreamed = await relay?.finish() ?? false
        let conclusion = await concluder.conclude(
            delivery, outcome, hasStreamed: hasStreamed, isAbandoned: isAbandoned)
        switch conclusion {
        case .over:
            departed(conclusion)
            complete(delivery)
        case .postponed(let delay):
            departed()
            complete(delivery, postponedFor: delay)
        case .void(let postponement, let failure): await handOver(delivery, postponement, failure)
        }
    }

    /// The broker delivers the job again. Another copy in the delay queues would be one too many: the redelivery takes over
    /// what counts, when it is here already; otherwise the claim remembers it.
    private func handOver(_ delivery: JobDelivery, _ postponement: Postponement, _ failure: JobFailure?) async {
        let followers = jobs.complete(delivery.key)
        var heir: JobDelivery?
        for follower in followers.reversed() where heir == nil && follower.identity == delivery.identity {
            if await !intake.isVoid(follower.incoming.receipt) { heir = follower }
        }
        if let heir {
            _ = await concluder.settler.postpone(
                heir, postponement, because: failure, releasing: delivery.isClaimed)
            departed()
        } else {
            await concluder.settler.giveUp(
                delivery, countingAttempt: postponement.attempts >= delivery.attempt)
        }
        departed()
        for follower in followers where follower !== heir { putAside(follower: follower, postponement.delay) }
        suspects.complete(delivery.key)
        beginTrial()
    }

    private func putAside(_ delivery: JobDelivery, _ delay: Duration) async {
        await concluder.putAside(delivery, delay)
        departed()
    }

    /// The follower comes back after the job that it followed. A claim that it had asked for while the leader gave its own
    /// up is given back: nobody else would end it.
    private func putAside(follower: JobDelivery, _ delay: Duration) {
        start {
            if follower.isClaimed { await $0.giveBack(follower.key, follower.starts) }
            await $0.putAside(follower, delay + Self.waitForOther)
        }
    }

    /// The broker has taken the follower back.
    private func drop(_ follower: JobDelivery) async {
        if follower.isClaimed { await giveBack(follower.key, follower.starts) }
        departed()
    }

    private func handBack(_ delivery: JobDelivery) async {
        // The leader's claim is the leader's to give up. One that asked for none has none.
        let leader = jobs.leader(of: delivery.key)
        let isOwn = leader.map { $0.arrival == delivery.arrival || !$0.isClaimed } ?? true
        await concluder.handBack(delivery, givingUpClaim: isOwn)
        departed()
    }

    /// The job is not in work here any more: those that follow look for its result, or wait as long as it does.
    private func complete(_ delivery: JobDelivery, postponedFor delay: Duration? = nil) {
        for follower in jobs.complete(delivery.key) {
            if let delay { putAside(follower: follower, delay) } else { start { await $0.work([follower]) } }
        }
        suspects.complete(delivery.key)
        beginTrial()
    }

    /// A delivery has left this worker.
    private func departed(_ conclusion: Concluder.Conclusion = .over(settled: false)) {
        if case .over(settled: true) = conclusion { settled += 1 }
        inFlight -= 1
        metrics.inFlight.record(inFlight)
        if inFlight == 0 { idle.release() }
    }

    // MARK: - Suspects

    /// Has the job answered in a trial. Its claim says that it waits for one: it is not counted out with whoever is in work.
    private func awaitTrial(_ delivery: JobDelivery) {
        if isAbandoned { handBackSuspect(delivery) } else { suspects.add(delivery) }
    }

    /// Gives back a claim that no work was begun under. Not while a delivery of the id is in work here under it.
    private func giveBack(_ key: JobKey, _ starts: Int) async {
        guard jobs.leader(of: key)?.isClaimed != true else { return }
        await claims.giveBack(key, starts: starts)
    }

    private func beginTrial() {
        guard !isAbandoned else { return }
        if let trial = suspects.next(inFlight: jobs.count) {
            start { await $0.hold(trial) }
        } else if !suspects.areThere {
            trialsEnd.release()
        }
    }

    private func hold(_ trial: Suspects.Trial) async {
        guard let states = await claims.take(trial), !isAbandoned else {
            for delivery in trial.deliveries {
                await handBack(delivery)
                complete(delivery)
            }
            return
        }
        var admitted: [JobDelivery] = []
        for (delivery, state) in zip(trial.deliveries, states) {
            switch state {
            case .claimed(let starts, let losses, let mustBeAlone) where trial.isAlone || !mustBeAlone:
                admitted.append(delivery.claimed(starts: starts, losses: losses, mustBeAlone: mustBeAlone))
            case .elsewhere:
                metrics.elsewhere.increment()
                await putAside(delivery, Self.waitForOther)
                complete(delivery, postponedFor: Self.waitForOther)
            case .stored, .revoked, .conflict, .free, .claimed:
                // It has changed meanwhile: looked at like any other.
                complete(delivery)
                start { await $0.work([delivery]) }
            }
        }
        logger.warning(
            "jobs whose workers died are worked on with nothing else", metadata: ["jobs": "\(admitted.count)"])
        ask(admitted)
    }

    /// Returns when no suspect waits for its trial or is on it.
    func untilTrialsEnd() async {
        while suspects.areThere, !isAbandoned { await withCheckedContinuation { trialsEnd.add($0) } }
    }

    // MARK: - From outside

    /// Looks which of the jobs in work have been revoked and stops them: the model's call is aborted.
    func checkRevocations() async {
        for key in await claims.revoked(among: jobs.keys) {
            if let token = jobs.leader(of: key)?.arrival { await answering.end(token, .revoked) }
        }
    }

    /// Lets the claims on jobs that take long live on. To be called every now and then.
    func renewClaims() async {
        await claims.renew(jobs.claimsToRenew(olderThan: Self.claimRenewal, now: clock.now))
    }

    /// Gives up what is in flight: transfers are aborted, deliveries handed back. ``run()`` then returns soon.
    func abandon() {
        isAbandoned = true
        tasks.cancelAll()
        answering.assumeIsolated { $0.abandon() }
        handBackFollowers()
        for delivery in suspects.takeWaiting() { handBackSuspect(delivery) }
        trialsEnd.release()
    }

    /// No trial begins any more.
    private func handBackSuspect(_ delivery: JobDelivery) {
        start {
            await $0.handBack(delivery)
            $0.complete(delivery)
        }
    }

    private func handBackFollowers() {
        for follower in jobs.takeFollowers() { start { await $0.handBack(follower) } }
    }

    /// Unstructured on purpose (``TaskSet``). Detached, because the starter's task locals would be copied one by one, for
    /// nobody. The executor preference is what keeps the task here: a continuation resumes its task on the preferred
    /// executor, and without one on the global pool, whose thread then only passes it on (27 µs a time instead of 1.6).
    private func start(_ body: @escaping @Sendable (isolated Deliveries) async -> Void) {
        let name = tasks.name()
        let task = Task.detached(executorPreference: executor) { await self.perform(body, name) }
        tasks.add(name, task)
        if isAbandoned || isFinished { task.cancel() }
    }

    private func perform(_ body: @Sendable (isolated Deliveries) async -> Void, _ name: UInt64) async {
        await body(self)
        tasks.ended(name)
    }
}
