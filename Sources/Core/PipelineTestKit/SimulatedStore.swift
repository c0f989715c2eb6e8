import Answering
import ChatJobs
import Pipeline

/// Redis, as the pipeline sees it: the first success of an id stays; it can be away for a while, and an answer can be
/// lost on the way back although the command was done.
package actor SimulatedStore {
    private nonisolated let executor: SimulatedExecutor
    package nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    private let ledger: Ledger
    private let latencies: Latencies
    private struct Claim {
        let fingerprint: Fingerprint
        /// Nil: given up, its starts kept.
        var life: ProcessLife?
        var starts: Int
        var losses: Int
        /// Taken with a few suspects: a worker that dies with it is no loss.
        var isInGroup = false
        /// It was among a few suspects when their worker died.
        var mustBeAlone = false
        /// It waits for a trial, and is not begun: a worker that dies with it is no loss.
        var isPending = false
    }

    /// How long a dead worker is still believed to live.
    static let presence = Duration.seconds(5)

    private var results: [JobID: (body: [UInt8], status: Reply.Status)] = [:]
    private var claims: [JobID: Claim] = [:]
    /// How many claims were ever taken.
    package private(set) var claimsTaken = 0
    private var revocations: Set<JobID> = []
    /// The calls that workers have under way, as they were opened.
    private var openCalls: [OpenCall] = []
    private struct OpenCall {
        let mark: CallMark
        let life: ProcessLife
        let account: Account
    }
    private var awayUntil: Duration = .zero
    private var outages = 0
    private var lastEffect: Duration = .zero
    private var lastAnswer: Duration = .zero

    package init(executor: SimulatedExecutor, ledger: Ledger, latencies: Latencies) {
        self.executor = executor
        self.ledger = ledger
        self.latencies = latencies
    }

    /// Not reachable for `duration` from now; what is under way is lost.
    package func goAway(for duration: Duration) {
        awayUntil = max(awayUntil, executor.now + duration)
        outages += 1
    }

    /// What is stored under `id`.
    package func stored(_ id: JobID) -> Reply? { results[id].flatMap { try? Reply(decoding: $0.body) } }

    /// Stores a reply before the run.
    package func seed(_ id: JobID, _ reply: Reply) {
        results[id] = (reply.encoded(), reply.status)
        ledger.stored(id, reply.encoded(), reply.status)
    }

    /// Stores what is no reply before the run.
    package func seed(_ id: JobID, unreadable bytes: [UInt8], _ status: Reply.Status = .failed) {
        results[id] = (bytes, status)
    }

    /// As if so many workers had died over the job before the run.
    package func seed(_ job: JobIdentity, losses: Int) {
        claims[job.key.id] = Claim(fingerprint: job.fingerprint, life: nil, starts: losses, losses: losses)
    }

    /// Whether a worker has the claim on the job.
    package func isClaimed(_ id: JobID) -> Bool { claims[id]?.life != nil }

    /// What `parley revoke` does.
    package func revoke(_ id: JobID) {
        revocations.insert(id)
        ledger.revoked(id)
    }

    func begin(
        _ jobs: [JobIdentity], anew: Bool, for purpose: ClaimPurpose, _ life: ProcessLife
    ) async throws(Outage) -> [ClaimState] {
        try await perform(life) {
            self.noteLostCalls()
            return jobs.map { self.state($0, anew, purpose, life) }
        }
    }

    func look(_ jobs: [JobIdentity], _ life: ProcessLife) async throws(Outage) -> [ClaimState] {
        try await perform(life) {
            jobs.map { job in
                if let claim = self.claims[job.key.id], claim.fingerprint != job.fingerprint { return .conflict }
                if let stored = self.results[job.key.id] { return .stored(stored.body) }
                return self.revocations.contains(job.key.id) ? .revoked : .free
            }
        }
    }

    private func state(_ job: JobIdentity, _ anew: Bool, _ purpose: ClaimPurpose, _ life: ProcessLife) -> ClaimState {
        let id = job.key.id
        if let claim = claims[id], claim.fingerprint != job.fingerprint { return .conflict }
        if let stored = results[id], !anew || stored.status == .succeeded { return .stored(stored.body) }
        if revocations.contains(id) { return .revoked }
        var claim = claims[id] ?? Claim(fingerprint: job.fingerprint, life: nil, starts: 0, losses: 0)
        if claim.life !== life {
            if let holder = claim.life {
                let isDead = !holder.hasLeft
                if isDead, holder.endedAt.map({ executor.now < $0 + Self.presence }) ?? true { return .elsewhere }
                if !claim.isPending { takeOver(&claim, id, from: holder, isDead) }
            }
            if claim.life == nil || !claim.isPending { claim.starts += 1 }
            claim.life = life
            claimsTaken += 1
        }
        claim.isInGroup = purpose == .groupTrial && !claim.mustBeAlone
        claim.isPending = false
        if case .work(let suspects) = purpose { claim.isPending = claim.losses >= suspects }
        claims[id] = claim
        ledger.claimed(id, losses: claim.isInGroup || claim.isPending ? 0 : claim.losses)
        return .claimed(starts: claim.starts, losses: claim.losses, mustBeAlone: claim.mustBeAlone)
    }

    private func takeOver(_ claim: inout Claim, _ id: JobID, from holder: ProcessLife, _ isDead: Bool) {
        guard isDead else { return ledger.inherited(id) }
        if claim.isInGroup { claim.mustBeAlone = true } else { claim.losses += 1 }
        ledger.takenOver(id, from: holder)
    }

    func store(
        _ key: JobKey, _ fingerprint: Fingerprint?, _ reply: [UInt8], _ status: Reply.Status, _ account: Account?,
        _ life: ProcessLife
    ) async throws(Outage) -> StoreOutcome {
        let id = key.id
        return try await perform(life) {
            // The very same has been stored before, and the worker was not told.
            if let account, self.results[id]?.body != reply { self.spent(account, life) }
            if let claim = self.claims[id], claim.fingerprint != fingerprint { return .conflict }
            if let fingerprint, self.claims[id]?.life == nil || self.claims[id]?.life === life {
                self.claims[id] = Claim(fingerprint: fingerprint, life: nil, starts: 0, losses: 0)
            }
            if let kept = self.results[id], kept.status == .succeeded { return .winner(kept.body) }
            self.results[id] = (reply, status)
            self.ledger.stored(id, reply, status)
            self.ledger.checkEnding(id, status, at: SimulatedClock(self.executor).wall)
            return .kept
        }
    }

    func note(_ account: Account, _ life: ProcessLife) async throws(Outage) {
        try await perform(life) {
            self.ledger.noted(account)
            self.spent(account, life)
        }
    }

    // MARK: - Calls

    /// What is posted is on its way, whatever becomes of the worker; not when the store is away.
    func open(_ mark: CallMark, _ account: Account, _ life: ProcessLife) {
        guard life.isAlive else { return }
        guard executor.now >= awayUntil else { return ledger.callUnopened() }
        ledger.callOpened()
        openCalls.append(OpenCall(mark: mark, life: life, account: account))
    }

    func close(_ marks: [CallMark], _ life: ProcessLife) {
        guard life.isAlive else { return }
        guard executor.now >= awayUntil else { return ledger.callsUnclosed(marks.count) }
        openCalls.removeAll { $0.life === life && marks.contains($0.mark) }
    }

    private func spent(_ account: Account, _ life: ProcessLife) {
        let before = openCalls.count
        openCalls.removeAll { $0.life === life && account.closes.contains($0.mark) }
        ledger.spent(account, wasOpen: openCalls.count < before)
    }

    /// What living workers do for those that have ended.
    func noteLostCalls() {
        for call in openCalls where call.life.isOver(at: executor.now, noticedAfter: Self.presence) {
            ledger.spentInVain(call.account)
        }
        openCalls.removeAll { $0.life.isOver(at: executor.now, noticedAfter: Self.presence) }
    }

    /// All workers have ended, and others come.
    package func noteAllLostCalls() {
        for call in openCalls { ledger.spentInVain(call.account) }
        openCalls = []
    }

    func release(_ key: JobKey, keepingStarts starts: Int?, _ life: ProcessLife) async throws(Outage) {
        try await perform(life) {
            guard let claim = self.claims[key.id], claim.life === life else { return }
            self.claims[key.id] = Claim(
                fingerprint: claim.fingerprint, life: nil, starts: starts ?? 0, losses: claim.losses,
                mustBeAlone: claim.mustBeAlone)
        }
    }

    func discard(_ key: JobKey, _ stored: [UInt8], _ life: ProcessLife) async throws(Outage) {
        try await perform(life) { if self.results[key.id]?.body == stored { self.results[key.id] = nil } }
    }

    func revoked(among keys: [JobKey], _ life: ProcessLife) async throws(Outage) -> [JobKey] {
        let revoked = try await perform(life) { keys.filter { self.revocations.contains($0.id) } }
        ledger.heardOfRevocations(revoked.map(\.id), life, now: executor.now)
        return revoked
    }

    /// A worker has ended in good order; that cannot be told while the store is away.
    func farewell(_ life: ProcessLife) {
        if life.isAlive, outages == 0 {
            for id in claims.keys.sorted(by: { $0.text < $1.text })
            where claims[id]?.life === life && results[id] == nil {
                ledger.violation("\(id): its claim was kept by a worker that left")
            }
        }
        if life.isAlive, executor.now >= awayUntil { life.leave() }
        life.end(at: executor.now)
    }

    func untilAvailable() async {
        await executor.sleep(.milliseconds(50))
        await executor.sleep(until: awayUntil)
    }

    /// Commands are done, and answered, in the order in which they were sent, as on one connection.
    private func perform<T>(_ life: ProcessLife, _ command: () -> T) async throws(Outage) -> T {
        let outagesBefore = outages
        let away = Outage(.redis, "away")
        lastEffect = max(lastEffect + .microseconds(1), executor.now + executor.draw(latencies.store))
        let effect = lastEffect
        lastAnswer = max(lastAnswer + .microseconds(1), effect + executor.draw(latencies.store))
        let answer = lastAnswer
        await executor.sleepUncancelled(until: effect)
        guard life.isAlive, outages == outagesBefore, executor.now >= awayUntil else { throw away }
        let result = command()
        await executor.sleepUncancelled(until: answer)
        guard life.isAlive, outages == outagesBefore else { throw away }
        return result
    }
}

/// One worker's connection to a ``SimulatedStore``.
package struct SimulatedResults: ResultStore {
    let store: SimulatedStore
    let life: ProcessLife

    package init(store: SimulatedStore, life: ProcessLife) {
        self.store = store
        self.life = life
    }

    package func begin(
        _ jobs: [JobIdentity], anew: Bool, for purpose: ClaimPurpose
    ) async throws(Outage) -> [ClaimState] {
        try await store.begin(jobs, anew: anew, for: purpose, life)
    }

    package func renew(_ keys: [JobKey]) async throws(Outage) {}

    package func note(_ account: Account) async { _ = try? await store.note(account, life) }

    package func open(_ mark: CallMark, _ account: Account) {
        store.assumeIsolated { $0.open(mark, account, life) }
    }

    package func close(_ marks: [CallMark]) { store.assumeIsolated { $0.close(marks, life) } }

    package func discard(_ key: JobKey, _ stored: [UInt8]) async throws(Outage) {
        try await store.discard(key, stored, life)
    }

    package func look(_ jobs: [JobIdentity]) async throws(Outage) -> [ClaimState] {
        try await store.look(jobs, life)
    }

    package func store(
        _ key: JobKey, _ fingerprint: Fingerprint?, _ reply: [UInt8], status: Reply.Status, account: Account?
    ) async throws(Outage) -> StoreOutcome {
        try await store.store(key, fingerprint, reply, status, account, life)
    }

    package func release(_ key: JobKey, keepingStarts starts: Int?) async throws(Outage) {
        try await store.release(key, keepingStarts: starts, life)
    }

    package func revoked(among keys: [JobKey]) async throws(Outage) -> [JobKey] {
        try await store.revoked(among: keys, life)
    }

    package func untilAvailable() async {
        if life.isAlive { await store.untilAvailable() }
    }
}
