import ChatJobs

/// A provider's asynchronous batch interface (`model.feed: batch`): a file of questions goes there, and within a day a file
/// of answers is there. What is done twice with it is paid twice: ``BatchOffice`` sees to that it is not.
package protocol BatchService: Sendable {
    /// A question as a line of a batch, and what its answer is completed with.
    func line(_ number: Int, of batch: String, _ job: Job, _ passages: [Source]) -> (bytes: [UInt8], draft: BatchDraft)
    /// Brings the lines there. Costs nothing. A failure with the code `too_large`: fewer might do.
    ///
    /// - Returns: the name of the file.
    func upload(_ lines: [[UInt8]], batch: String) async throws(JobFailure) -> String
    /// Has the questions of a file answered: from here on they are paid for.
    ///
    /// - Parameter batch: is found again by ``find(_:)``.
    /// - Returns: what the service calls it.
    func create(_ file: String, batch: String) async throws(BatchCreationFailure) -> String
    /// What the service calls a batch that was created under this name; nil when there is none.
    func find(_ batch: String) async throws(JobFailure) -> String?
    /// How far a batch is; when it has ended, with all that came of it.
    ///
    /// - Parameter batch: what it was created as: nothing else is taken for its lines.
    func look(at id: String, batch: String) async throws(JobFailure) -> BatchProgress
    /// The rest of a batch is not to be answered. What fails is left.
    func cancel(_ id: String) async
    /// Reads a line of what came of a batch.
    func answer(_ line: [UInt8], to job: Job, _ draft: BatchDraft) -> BatchAnswer
}

/// Why a batch was not created.
package enum BatchCreationFailure: Error, Sendable, Equatable {
    /// The service has said so, or was not reached.
    case refused(JobFailure)
    /// It may have been created all the same.
    case unclear(JobFailure)
}

/// How far a batch is.
package enum BatchProgress: Sendable, Equatable {
    case running
    /// - lines: of those questions that something came of, by their numbers.
    /// - failure: what is wrong with the batch as a whole.
    /// - isCutShort: not all questions had their turn.
    /// - isLacking: there ought to be more lines, and there may be later.
    case ended(lines: [Int: [UInt8]], failure: JobFailure?, isCutShort: Bool = false, isLacking: Bool = false)
    /// The service knows nothing of it.
    case unknown
}

/// What a line of a batch's results says.
package enum BatchAnswer: Sendable, Equatable {
    case answered(Answer)
    case failed(JobFailure)
    /// The batch has ended before its turn: it was not asked.
    case unasked
}

/// What is known of an answer before it is there.
package struct BatchDraft: Sendable, Equatable {
    /// The passages that the model is shown.
    package var sources: [Source]
    package var sparedTokens: Int
    /// Of the call that made the question stand alone.
    package var rewriting: Usage?

    package init(sources: [Source] = [], sparedTokens: Int = 0, rewriting: Usage? = nil) {
        self.sources = sources
        self.sparedTokens = sparedTokens
        self.rewriting = rewriting
    }
}

/// What all workers know of batches and of the questions in them. An ``Outage``: it cannot be asked.
///
/// A question is found by any of its names. Its entry is there as long as its batch's state is; both expire.
package protocol BatchRecords: Sendable {
    /// Names this worker.
    var worker: String { get }
    /// A question's entry.
    ///
    /// - Parameters:
    ///   - names: the first is given to what is found by another.
    ///   - payer: who asks. The first who finds an answer is the one who has to account for it.
    /// - Returns: nil when it is in no batch.
    func look(for names: [String], payer: String) async throws(Outage) -> BatchEntry?
    /// This worker is about to make a batch of these.
    ///
    /// - Returns: of each whether it is in it; those that are not are in another.
    func begin(_ batch: String, _ items: [(names: [String], draft: BatchDraft)]) async throws(Outage) -> [Bool]
    /// Changes a batch's state, when it still is the other.
    ///
    /// - Parameters:
    ///   - state: nil: there is no such batch any more, and its questions are in none.
    ///   - lease: how long others leave it in this state even if this worker seems dead.
    func move(_ batch: String, from old: BatchState, to state: BatchState?, lease: Duration?) async throws(Outage)
        -> Bool
    func state(of batch: String) async throws(Outage) -> BatchState?
    /// Whether it is this worker's turn to ask the service for a batch; nobody else's for so long then.
    func takeTurn(at batch: String, for time: Duration) async throws(Outage) -> Bool
    /// The batch is not there, and its questions are in none; should it come up later, it is to be cancelled.
    ///
    /// - Parameter service: whose batch it is.
    func giveUp(_ batch: String, of service: String, at time: Timestamp) async throws(Outage)
    /// Those that were given up since then, the newest first; older ones are forgotten.
    func givenUp(of service: String, since time: Timestamp) async throws(Outage) -> [String]
    /// It needs no more looking for.
    func settle(_ batch: String, of service: String) async throws(Outage)
    /// Keeps what came of a batch.
    func keep(_ lines: [Int: [UInt8]], of batch: String) async throws(Outage)
    /// The question is in no batch any more. What cannot be forgotten is found once more.
    func forget(_ names: [String]) async
}

/// A question in a batch.
package struct BatchEntry: Sendable, Equatable {
    package var batch: String
    package var state: BatchState
    package var draft: BatchDraft
    /// What came of it.
    package var line: [UInt8]?
    /// Whoever asked accounts for its call.
    package var pays: Bool
    /// The worker that makes the batch lives.
    package var isMakerAlive: Bool
    /// The maker's lease is not over.
    package var isLeased: Bool

    package init(
        batch: String, state: BatchState, draft: BatchDraft, line: [UInt8]? = nil, pays: Bool = true,
        isMakerAlive: Bool = true, isLeased: Bool = false
    ) {
        self.batch = batch
        self.state = state
        self.draft = draft
        self.line = line
        self.pays = pays
        self.isMakerAlive = isMakerAlive
        self.isLeased = isLeased
    }
}

/// How far a batch is, as workers write it down before each step.
package enum BatchState: Sendable, Equatable {
    /// A worker brings its lines to the service. Nothing was created, nothing is paid for.
    case uploading(worker: String)
    /// The same worker has it created. Whether it was, the service knows.
    case creating(worker: String)
    case created(id: String, at: Timestamp)
    /// What came of it is kept.
    case ended(JobFailure?)
    /// Likewise; what there is nothing of had not its turn.
    case cutShort

    package var text: String {
        switch self {
        case .uploading(let worker): "uploading \(worker)"
        case .creating(let worker): "creating \(worker)"
        case .created(let id, let at): "created \(at.milliseconds) \(id)"
        case .cutShort: "cut"
        case .ended(nil): "ended"
        case .ended(let failure?):
            "ended \(failure.code.rawValue) \(failure.blame == .overload ? "overload" : "gateway") \(failure.message)"
        }
    }

    /// Nil when it is none.
    package init?(text: String) {
        let words = text.split(separator: " ", maxSplits: 3).map(String.init)
        switch (words.first, words.count) {
        case ("uploading", 2): self = .uploading(worker: words[1])
        case ("creating", 2): self = .creating(worker: words[1])
        case ("created", 3):
            guard let at = Int64(words[1]), (0..<253_402_300_800_000).contains(at) else { return nil }
            self = .created(id: words[2], at: Timestamp(milliseconds: at))
        case ("cut", 1): self = .cutShort
        case ("ended", 1): self = .ended(nil)
        case ("ended", 4):
            guard let code = ErrorCode(rawValue: words[1]) else { return nil }
            self = .ended(JobFailure(code, words[3], blame: words[2] == "overload" ? .overload : .gateway))
        default: return nil
        }
    }
}
