import ChatJobs
import Pipeline
import Synchronization

/// What the pipeline notes of an answer; a ``Ledger`` has accounts of its own.
package typealias Expense = Account

/// Writes down what reached the simulated services, and says what of it broke the contract.
package final class Ledger: Sendable {
    /// Something that happened at a service.
    package enum Event: Sendable, Equatable {
        case modelCalled(JobID)
        case stored(JobID, Reply.Status)
        /// A message of this type reached a reply queue.
        case replied(OutgoingReply.Kind, correlationID: String)
        case unroutable(correlationID: String)
        /// The reply queue is full.
        case refused(correlationID: String)
        /// The message of this number reached the dead-letter queue.
        case deadLettered(Int, ErrorCode)
        case acknowledged(Int)
        case handedBack(Int)
        /// The message of this number reached the delay queues.
        case postponed(Int)
        case revoked(JobID)
        /// The broker took the delivery back: a cut connection, a dead worker, a hand-back.
        case redelivered(Int)
    }

    /// What is known of one message.
    struct Account {
        let message: SimulatedMessage
        var arrived: [[UInt8]] = []
        var confirmed: [[UInt8]] = []
        var unroutable = 0
        /// How often the reply queue has refused the reply.
        var refused = 0
        /// The reply queue has refused the reply as often as it is asked.
        var isRefusedForGood: Bool { refused >= (message.refusal == nil ? 8 : 4) }
        var deadLettersArrived: [ErrorCode] = []
        var deadLettersConfirmed = 0
        var redeliveries = 0
        /// Copies of the message in the broker: more than one on its way to the delay queues.
        var copies = 1 {
            didSet { mostCopies = max(mostCopies, copies) }
        }
        /// More than two after a lost confirm.
        var mostCopies = 1
        /// Of those, the ones that their publisher knows of.
        var confirmedCopies = 1
        /// Its id belonged to another job.
        var isConflict: Bool { deadLettersArrived.contains(.idConflict) }
    }

    /// What is known of the model's calls for one id.
    struct Calls {
        var running: [ProcessLife] = []
        /// Those who were given an answer and live.
        var answered: [ProcessLife] = []
        /// Of those that run, the ones whose worker has heard that the job is revoked, and when.
        var revoked: [(life: ProcessLife, at: Duration)] = []
    }

    /// A call of the model that failed, and whose worker has heard of it.
    struct Failure {
        let failure: JobFailure
        let life: ProcessLife
        let at: Duration
        let wall: Timestamp
    }

    struct State {
        var sharesCalls = false
        var hedgesCalls = false
        var accounts: [Int: Account] = [:]
        var byCorrelation: [String: Int] = [:]
        /// Every reply that was ever stored under an id.
        var history: [JobID: [(body: [UInt8], status: Reply.Status)]] = [:]
        var calls: [JobID: Calls] = [:]
        /// How calls for an id have failed whose worker has heard of it.
        var failures: [JobID: [Failure]] = [:]
        /// The calls that run, of each worker.
        var running: [ObjectIdentifier: Int] = [:]
        /// The most calls that ran at once in one worker.
        var mostRunning = 0
        /// Calls that nobody has heard the end of, or of which something was seen: they may count as attempts.
        var lostCalls: [JobID: Int] = [:]
        var revoked: Set<JobID> = []
        /// Claims taken over from dead workers.
        var losses: [JobID: Int] = [:]
        /// Of those, the ones whose worker no job has killed.
        var outsideLosses: [JobID: Int] = [:]
        /// Losses that the last claim on each job said; 0 when it was one of a group's.
        var claimedLosses: [JobID: Int] = [:]
        /// The most of them that a call began with while its worker made others.
        var mostLossesBesideOthers = 0
        /// Workers that a job has killed.
        var kills: [JobID: Int] = [:]
        /// Those that were killed by jobs.
        var victims: [ProcessLife] = []
        var chunks: [String: ChunkTrack] = [:]
        /// Replies whose answers do not begin with the chunks of their attempt.
        var contradictions: [(message: Int, attempt: Int)] = []
        /// Then jobs are tried again, if they may be.
        var startsOver = true
        var events: [Event] = []
        var replies: [OutgoingReply] = []
        /// What was spent on no reply.
        var notes: [Expense] = []
        var spending = Spending()
        /// Calls that came to nothing and cost something.
        var lost = 0
        var violations: [String] = []
    }

    let state = Mutex(State())

    package init() {}

    /// What happened, in order.
    package var events: [Event] { state.withLock { $0.events } }
    /// Everything that reached a reply queue, in order.
    package var replies: [OutgoingReply] { state.withLock { $0.replies } }
    /// What was spent that belongs to no reply.
    package var notes: [Expense] { state.withLock { $0.notes } }
    package var lostCalls: Int { state.withLock { $0.lost } }
    /// A job may have two calls at once, since the first is late.
    package var hedgesCalls: Bool {
        get { state.withLock { $0.hedgesCalls } }
        set { state.withLock { $0.hedgesCalls = newValue } }
    }
    /// A call may be for other jobs than the one that began it, which may have ended.
    package var sharesCalls: Bool {
        get { state.withLock { $0.sharesCalls } }
        set { state.withLock { $0.sharesCalls = newValue } }
    }

    var startsOver: Bool {
        get { state.withLock { $0.startsOver } }
        set { state.withLock { $0.startsOver = newValue } }
    }

    /// What broke the contract; empty after a good run.
    package var violations: [String] { state.withLock { $0.violations } }

    // MARK: - What services report

    func published(_ message: SimulatedMessage) {
        state.withLock { state in
            state.accounts[message.number] = Account(message: message)
            if let correlation = message.envelope.correlationID { state.byCorrelation[correlation] = message.number }
        }
    }

    func stored(_ id: JobID, _ body: [UInt8], _ status: Reply.Status) {
        state.withLock { state in
            state.events.append(.stored(id, status))
            if let success = state.history[id]?.first(where: { $0.status == .succeeded }), success.body != body {
                state.violations.append("\(id): a stored success was replaced")
            }
            state.history[id, default: []].append((body, status))
        }
    }

    /// Nobody's deadline or revocation is another's.
    func checkEnding(_ id: JobID, _ status: Reply.Status, at wall: Timestamp) {
        state.withLock { state in
            switch status {
            case .expired:
                let isOver = state.accounts.values.contains { account in
                    account.message.id == id && account.message.deadline.map { $0 <= wall } ?? false
                }
                if !isOver { state.violations.append("\(id): expired, but its deadline has not passed") }
            case .revoked:
                if !state.revoked.contains(id) { state.violations.append("\(id): revoked by nobody") }
            case .succeeded, .failed: break
            }
        }
    }

    func callBegan(_ job: Job, _ life: ProcessLife, at wall: Timestamp) {
        let id = job.id
        state.withLock { state in
            if let deadline = job.deadline, deadline <= wall, !state.sharesCalls {
                state.violations.append("\(id): asked after its deadline")
            }
            if let notBefore = job.notBefore, wall < notBefore {
                state.violations.append("\(id): asked before its time")
            }
            if Task.isCancelled, life.isAlive { state.violations.append("\(id): asked although it was ended") }
            state.events.append(.modelCalled(id))
            let calls = state.calls[id] ?? Calls()
            if calls.running.count(where: \.isAlive) > (state.hedgesCalls ? 1 : 0) {
                state.violations.append("\(id): two calls at once")
            }
            if calls.answered.contains(where: \.isAlive) {
                state.violations.append("\(id): asked again, although the answer was there")
            }
            if let losses = state.claimedLosses[id], state.running[ObjectIdentifier(life)] != nil {
                state.mostLossesBesideOthers = max(state.mostLossesBesideOthers, losses)
            }
            state.calls[id, default: Calls()].running.append(life)
            state.running[ObjectIdentifier(life), default: 0] += 1
            state.mostRunning = max(state.mostRunning, state.running[ObjectIdentifier(life), default: 0])
        }
    }

    func callFailed(_ id: JobID, _ failure: Failure) {
        state.withLock { $0.failures[id, default: []].append(failure) }
    }

    func callEnded(_ job: Job, _ life: ProcessLife, answered: Bool, now: Duration, wall: Timestamp) {
        let id = job.id
        state.withLock { state in
            // The clocks show milliseconds.
            if answered, !state.sharesCalls, let deadline = job.deadline, wall.since(deadline) > .milliseconds(2) {
                state.violations.append("\(id): its call went on after its deadline")
            }
            if answered, !state.sharesCalls,
                state.calls[id]?.revoked.contains(where: { $0.life === life && $0.at < now }) == true
            {
                state.violations.append("\(id): its call went on although its worker knew that it was revoked")
            }
            state.calls[id]?.revoked.removeAll { $0.life === life }
            let left = state.running[ObjectIdentifier(life), default: 1] - 1
            state.running[ObjectIdentifier(life)] = left > 0 ? left : nil
            if let index = state.calls[id]?.running.firstIndex(where: { $0 === life }) {
                state.calls[id]?.running.remove(at: index)
            }
            if !life.isAlive || !answered && Task.isCancelled { state.lostCalls[id, default: 0] += 1 }
            if answered { state.calls[id]?.answered.append(life) }
        }
    }

    func revoked(_ id: JobID) {
        state.withLock { state in
            state.events.append(.revoked(id))
            state.revoked.insert(id)
        }
    }

    /// A worker has heard that the jobs are revoked.
    func heardOfRevocations(_ ids: [JobID], _ life: ProcessLife, now: Duration) {
        state.withLock { state in
            for id in ids where state.calls[id]?.running.contains(where: { $0 === life }) == true {
                state.calls[id]?.revoked.append((life, now))
            }
        }
    }

    /// A worker puts a copy of the message aside because the job's last call has failed.
    ///
    /// - Parameter cut: when the broker took the delivery back, if it has.
    func postponing(_ number: Int, for delay: Duration, cut: Duration?, _ life: ProcessLife) {
        state.withLock { $0.checkPostponement(number, delay, cut: cut, life) }
    }

    /// A copy has reached the delay queues.
    func postponed(_ number: Int) {
        state.withLock { state in
            state.events.append(.postponed(number))
            state.accounts[number]?.copies += 1
        }
    }

    func postponementConfirmed(_ number: Int) { state.withLock { $0.accounts[number]?.confirmedCopies += 1 } }

    /// A claim was given.
    func claimed(_ id: JobID, losses: Int) { state.withLock { $0.claimedLosses[id] = losses } }

    /// A claim was taken over from a dead worker.
    func takenOver(_ id: JobID, from holder: ProcessLife) {
        state.withLock { state in
            state.losses[id, default: 0] += 1
            if !state.victims.contains(where: { $0 === holder }) { state.outsideLosses[id, default: 0] += 1 }
        }
    }

    /// A claim was taken over from a worker that left while it could not tell the store that it gave the job up: what it had
    /// begun counts as an attempt.
    func inherited(_ id: JobID) { state.withLock { $0.lostCalls[id, default: 0] += 1 } }

    /// The job has killed a worker.
    func killed(by id: JobID, _ life: ProcessLife) {
        state.withLock { state in
            state.kills[id, default: 0] += 1
            state.victims.append(life)
        }
    }

    func replyArrived(_ reply: OutgoingReply, worker: Int) {
        state.withLock { state in
            state.events.append(.replied(reply.kind, correlationID: reply.correlationID ?? ""))
            state.replies.append(reply)
            guard let number = state.byCorrelation[reply.correlationID ?? ""] else {
                state.violations.append("a reply with the unknown correlation_id \(reply.correlationID ?? "none")")
                return
            }
            let key = "\(worker)/\(reply.correlationID ?? "")"
            switch reply.kind {
            case .reply:
                if let attempt = state.chunks[key]?.contradicts(reply.body) {
                    state.contradictions.append((number, attempt))
                }
                state.accounts[number]?.arrived.append(reply.body)
                state.checkIsStored(number, reply.body)
                state.chunks[key, default: ChunkTrack()].isReplied = true
            case .chunk:
                if let problem = state.chunks[key, default: ChunkTrack()].take(reply.body) {
                    state.violations.append("message \(number): \(problem)")
                }
            }
        }
    }

    func replyConfirmed(_ reply: OutgoingReply) {
        guard reply.kind == .reply else { return }
        update(reply) { $0.confirmed.append(reply.body) }
    }

    func replyUnroutable(_ reply: OutgoingReply) {
        state.withLock { $0.events.append(.unroutable(correlationID: reply.correlationID ?? "")) }
        if reply.kind == .reply { update(reply) { $0.unroutable += 1 } }
    }

    func replyRefused(_ reply: OutgoingReply) {
        state.withLock { $0.events.append(.refused(correlationID: reply.correlationID ?? "")) }
        if reply.kind == .reply { update(reply) { $0.refused += 1 } }
    }

    private func update(_ reply: OutgoingReply, _ change: (inout Account) -> Void) {
        state.withLock { state in
            guard let number = state.byCorrelation[reply.correlationID ?? ""] else { return }
            if var account = state.accounts[number] {
                change(&account)
                state.accounts[number] = account
            }
        }
    }

    func deadLetterArrived(_ number: Int, _ code: ErrorCode) {
        state.withLock { state in
            state.events.append(.deadLettered(number, code))
            state.accounts[number]?.deadLettersArrived.append(code)
        }
    }

    func deadLetterConfirmed(_ number: Int) { state.withLock { $0.accounts[number]?.deadLettersConfirmed += 1 } }

    func redelivered(_ number: Int) {
        state.withLock { state in
            state.events.append(.redelivered(number))
            state.accounts[number]?.redeliveries += 1
        }
    }

    func handedBack(_ number: Int) {
        state.withLock { state in
            state.events.append(.handedBack(number))
            // What a leaving worker was told is lost with it.
            if let id = state.accounts[number]?.message.id { state.calls[id]?.answered = [] }
        }
    }

    /// The worker asks for the message to be forgotten.
    func acknowledging(_ number: Int) {
        state.withLock { state in
            state.events.append(.acknowledged(number))
            state.checkOutcomeIsSafe(number, "acknowledged")
        }
    }

    /// The broker has forgotten the message.
    func left(_ number: Int) {
        state.withLock { state in
            state.checkOutcomeIsSafe(number, "gone from the queue")
            state.accounts[number]?.copies -= 1
            state.accounts[number]?.confirmedCopies -= 1
        }
    }

    /// What a call cost that came to nothing was told to the worker.
    func lost() { state.withLock { $0.lost += 1 } }

    /// What the store's ledger says of money, and what the model's service would charge for.
    package var spending: Spending { state.withLock { $0.spending } }
    func spent(_ account: Expense, wasOpen: Bool) { state.withLock { $0.spending.note(account, wasOpen: wasOpen) } }
    func spentInVain(_ account: Expense) { state.withLock { $0.spending.noteLost(account) } }
    func callOpened() { state.withLock { $0.spending.opened += 1 } }
    func callUnopened() { state.withLock { $0.spending.unopened += 1 } }
    func callsUnclosed(_ count: Int) { state.withLock { $0.spending.unclosed += count } }
    var isIncomplete: Bool {
        get { state.withLock { $0.spending.isIncomplete } }
        set { state.withLock { $0.spending.isIncomplete = newValue } }
    }
    func served(_ end: Spending.CallEnd) { state.withLock { $0.spending.served(end) } }

    func noted(_ account: Expense) {
        state.withLock { state in
            state.notes.append(account)
            if state.notes.count(where: { $0.kind == .lostCall }) > state.lost {
                state.violations.append("a call that came to nothing was noted twice")
            }
        }
    }

    func violation(_ text: String) { state.withLock { $0.violations.append(text) } }
}

/// The chunks that one worker sent for one message.
struct ChunkTrack {
    private var last = -1
    private var text = ""
    private var attempt = 1
    var isReplied = false

    /// The attempt of the reply, when its answer is not what was streamed. (The rest may be missing.)
    func contradicts(_ body: [UInt8]) -> Int? {
        guard let reply = try? Reply(decoding: body), reply.attempts == attempt, let answer = reply.answer else {
            return nil
        }
        return answer.utf8.starts(with: text.utf8) ? nil : attempt
    }

    /// What is wrong with the chunk's place, if anything.
    mutating func take(_ body: [UInt8]) -> String? {
        guard let chunk = try? Chunk(decoding: body) else { return "a chunk that cannot be read" }
        defer { last = chunk.seq }
        if chunk.delta.isEmpty { return "an empty chunk" }
        if chunk.seq == 0 { (text, attempt) = ("", chunk.attempt) }
        text += chunk.delta
        // A second call of the model, after the first was lost with its worker or its connection, counts from 0 again.
        if chunk.seq == 0 {
            isReplied = false
            return nil
        }
        if isReplied { return "chunk \(chunk.seq) came after the reply" }
        return chunk.seq == last + 1 ? nil : "chunk \(chunk.seq) came after chunk \(last)"
    }
}
