import Answering
import ChatJobs

// Every requirement runs where its caller does (SE-0461), on the pipeline's executor: a port that has nothing to wait for
// costs a function call and not two changes of thread.

/// Where jobs come from, and where their deliveries are settled.
package protocol Intake: Sendable {
    /// Everything that has arrived, at most `limit` messages, waiting for the first; nil when the intake has stopped.
    func nextWindow(atMost limit: Int) async -> [Incoming]?
    /// The job's outcome is safe: the broker may forget it. Void receipts are dropped.
    func acknowledge(_ receipt: Receipt) async
    /// Back to the queue, unchanged, for another worker. For shutdown only, never for a failure.
    func handBack(_ receipt: Receipt) async
    /// Whether the connection that delivered it has ended: then the broker has taken the delivery back.
    func isVoid(_ receipt: Receipt) async -> Bool
    /// No more is pushed; what was pushed and not taken goes back. What was taken can still be settled.
    func pause() async
    func resume() async
}

/// Where replies are kept, and who works on what.
package protocol ResultStore: Sendable {
    /// What is known of each job, in order, in one round trip. Atomic for each id: of two workers, one gets the claim.
    ///
    /// - Parameters:
    ///   - anew: claims unless a success is stored: for jobs whose stored failure does not count.
    ///   - purpose: what a worker's death with the claim means.
    func begin(_ jobs: [JobIdentity], anew: Bool, for purpose: ClaimPurpose) async throws(Outage) -> [ClaimState]
    /// The same without claiming any: each is ``ClaimState/stored(_:)``, ``ClaimState/revoked``, ``ClaimState/conflict`` or
    /// ``ClaimState/free``.
    func look(_ jobs: [JobIdentity]) async throws(Outage) -> [ClaimState]
    /// Keeps `reply` unless a succeeded one is there already, or the id belongs to another job, and ends this worker's
    /// claim on the job; another's stays. Atomic: of two workers that store a success, one is told of the other's. While
    /// the reply is kept the id belongs to the job.
    ///
    /// - Parameters:
    ///   - fingerprint: of the job; nil when the message was none, and then no id belongs to it.
    ///   - account: what the ledger notes with it, all or nothing: of a reply that is kept all, of one that another came
    ///     before what was spent.
    func store(
        _ key: JobKey, _ fingerprint: Fingerprint?, _ reply: [UInt8], status: Reply.Status, account: Account?
    ) async throws(Outage) -> StoreOutcome
    /// The ledger notes what belongs to no reply. Lost when the store is away.
    func note(_ account: Account) async
    /// A call begins. When this worker has ended and it is not closed, by an account that says so or by ``close(_:)``, the
    /// ledger notes what is given here. Nobody waits for that; lost when the store is away.
    func open(_ mark: CallMark, _ account: Account)
    /// Calls that there is nothing to note of.
    func close(_ marks: [CallMark])
    /// Gives a claim up, if it is this worker's. Losses, and which job the id belongs to, are remembered.
    ///
    /// - Parameter starts: how many starts the next claim counts on from; nil forgets them.
    func release(_ key: JobKey, keepingStarts starts: Int?) async throws(Outage)
    /// Lets this worker's claims among them live on.
    func renew(_ keys: [JobKey]) async throws(Outage)
    /// Drops what is stored for the job, if it still is this.
    func discard(_ key: JobKey, _ stored: [UInt8]) async throws(Outage)
    /// Those of `keys` that have been revoked.
    func revoked(among keys: [JobKey]) async throws(Outage) -> [JobKey]
    /// Returns when the store may be asked again, or the task is cancelled.
    func untilAvailable() async
}

/// What jobs are claimed for.
package enum ClaimPurpose: Sendable, Equatable {
    /// To be begun beside others: a worker that dies is a loss. But those that so many workers have died over are not begun
    /// yet, they wait for a trial: a worker that dies meanwhile died of something else.
    case work(suspectsFrom: Int)
    /// A trial of one job: a worker that dies is a loss.
    case trial
    /// A trial of several: a worker that dies is no loss, but the next worker is told `mustBeAlone`.
    case groupTrial
}

/// What became of a reply that was to be kept.
package enum StoreOutcome: Sendable, Equatable {
    case kept
    /// This one was there before.
    case winner([UInt8])
    /// The id belongs to another job.
    case conflict
}

/// Where replies and dead letters go. Every call returns after the broker's confirm.
package protocol Outbox: Sendable {
    func publish(_ reply: OutgoingReply) async throws(Outage) -> ReplyFate
    /// Puts the message into the dead-letter queue, unchanged but for Parley's headers.
    func deadLetter(_ incoming: Incoming, _ failure: JobFailure, attempts: Int, id: JobID?)
        async throws(Outage)
    /// Puts the message aside in the broker; when its time has come it is back in the queue that it came from, as a new
    /// message with the counts given.
    func postpone(_ incoming: Incoming, _ postponement: Postponement) async throws(Outage)
    /// Returns when the outbox may be asked again, or the task is cancelled.
    func untilAvailable() async
}

/// What became of a message to a reply queue.
package enum ReplyFate: Sendable, Equatable {
    case confirmed
    /// No queue takes it: nobody waits for it.
    case unroutable
    /// The queue is there and does not take it at the moment: it is full, or has lost its majority.
    case refused
}

/// A message to a reply queue.
package struct OutgoingReply: Sendable, Equatable {
    /// The AMQP `type` (contract, section 2).
    package enum Kind: String, Sendable {
        case reply = "chat.reply"
        case chunk = "chat.chunk"
    }

    package var kind: Kind
    package var replyTo: String
    /// Nil only when the message that failed carried neither a correlation id nor a readable id.
    package var correlationID: String?
    /// What it was before it was made text: when it is not UTF-8, and only then.
    package var correlationBytes: [UInt8]?
    /// The same for every publication of one reply, so that subscribers can deduplicate; nil when there is no id.
    package var messageID: String?
    package var priority: UInt8?
    package var traceparent: String?
    package var body: [UInt8]

    /// A message to whoever waits for the answer to `incoming`.
    ///
    /// - Parameter id: the job's, when it could be read.
    init(
        _ kind: Kind, to replyTo: String, answering incoming: Incoming, id: JobID?, body: [UInt8], messageID: String?
    ) {
        self.kind = kind
        self.replyTo = replyTo
        correlationID = incoming.envelope.correlationID ?? id?.text ?? incoming.envelope.messageID
        correlationBytes = incoming.envelope.correlationBytes
        self.messageID = messageID
        priority = incoming.envelope.priority
        traceparent = TraceContext.continued(incoming.envelope.traceparent)
        self.body = body
    }
}
