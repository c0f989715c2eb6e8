import ParleyJSON

/// Turns a message into a ``Job``, or into the reason why it is none.
package struct JobDecoder: Sendable {
    /// The most bytes of a body, after decompression. Default 1 MiB.
    package var maxBody: Int
    /// The most bytes of `query`. Default 32 KiB.
    package var maxQuery: Int
    package var ceilings: JobCeilings
    /// Where replies may go.
    package var replies: ReplyRule
    /// Whose jobs are.
    package var tenancy = Tenancy()
    /// Jobs may name where their body is: `body_ref`.
    package var takesReferences = false

    /// The most bytes of a short text field: `user_id`, `tenant`, `agent`, `options.model`.
    package static let maxName = 256
    /// The most turns of `history`.
    package static let maxTurns = 1000

    package init(
        maxBody: Int = 1 << 20, maxQuery: Int = 32 << 10, ceilings: JobCeilings = JobCeilings(),
        ownQueues: OwnQueues = OwnQueues(base: "chat.jobs"), repliesAllowed: NamePatterns = .all
    ) {
        self.maxBody = maxBody
        self.maxQuery = maxQuery
        self.ceilings = ceilings
        replies = ReplyRule(ownQueues: ownQueues, allowed: repliesAllowed)
    }

    /// What could be read of a message that is no job, so that it can be answered all the same.
    package struct Refusal: Error, Sendable, Equatable {
        /// The id, when one could be read and is well-formed.
        package var id: JobID?
        /// What the answer is kept under; nil when it cannot be said whose it is.
        package var key: JobKey?
        package var failure: JobFailure
        /// What replies echo, when it could be read and is within its bounds.
        package var agent: String?
        package var metadata: [UInt8]?
        package var warnings: [String] = []
        /// Whether a reply may go to its `reply_to`.
        package var isAnswerable = true

        /// Of a job that could be read, and is not to be worked on.
        package init(_ job: Job, _ key: JobKey?, _ failure: JobFailure) {
            self.init(id: job.id, failure: failure)
            self.key = key
            agent = job.agent
            metadata = job.metadata
            warnings = job.warnings
        }

        init(id: JobID?, failure: JobFailure) {
            self.id = id
            self.failure = failure
        }
    }

    /// Decodes a message.
    ///
    /// - Parameter inflate: undoes `content_encoding: gzip`, giving at most the number of bytes asked for, or throws.
    /// - Throws: ``Refusal`` with one of `invalid_job`, `unsupported_media_type`, `too_large`.
    package func decode(
        _ body: [UInt8], _ envelope: Envelope, inflate: (_ body: [UInt8], _ limit: Int) throws(JobFailure) -> [UInt8]
    ) throws(Refusal) -> Job {
        do throws(JobFailure) {
            if let problem = MediaType.problem(envelope.contentType) {
                throw JobFailure(.unsupportedMediaType, problem)
            }
            try checkSize(envelope.discardedBytes ?? body.count, wasDiscarded: envelope.discardedBytes != nil)
            let text = try decompressed(body, envelope.contentEncoding, inflate)
            let fields = try JobFields(text)
            guard fields["body_ref"] == nil else {
                throw JobFailure(
                    .invalidJob,
                    takesReferences
                        ? "the body that body_ref names has a body_ref itself; a job is needed there"
                        : "body_ref is not taken here: objects.url is not set")
            }
            var job = try job(fields, envelope, id: try agreedID(envelope.messageID, fields))
            job.tenant = try tenancy.tenant(claimed: job.tenant, user: envelope.userID)
            if let replyTo = envelope.replyTo {
                let user = envelope.userID ?? job.userID
                if let failure = replies.refusal(
                    of: replyTo, isUncertain: envelope.isReplyToUncertain, tenant: job.tenant, user: user)
                {
                    throw failure
                }
            }
            return job
        } catch {
            throw refusal(error, body, envelope, inflate)
        }
    }

    /// Where the body is that the message stands for, and the job's id; nil when the message is the job itself.
    package func reference(
        in body: [UInt8], _ envelope: Envelope, inflate: (_ body: [UInt8], _ limit: Int) throws(JobFailure) -> [UInt8]
    ) throws(Refusal) -> (id: JobID, body: BodyReference)? {
        // A look at the bytes first: nearly all messages are jobs.
        guard takesReferences, envelope.discardedBytes == nil, body.count <= Self.longestReference,
            let text = try? decompressed(body, envelope.contentEncoding, inflate), Self.mayRefer(text),
            MediaType.problem(envelope.contentType) == nil, let fields = try? JobFields(text),
            let named = fields["body_ref"]
        else { return nil }
        do throws(JobFailure) {
            guard fields["query"] == nil else {
                throw JobFailure(.invalidJob, "query and body_ref are both there; one of them is allowed")
            }
            return (try agreedID(envelope.messageID, fields), try BodyReference(reading: named, maxBody: maxBody))
        } catch {
            throw refusal(error, body, envelope, inflate)
        }
    }

    private static let longestReference = 64 << 10

    private static func mayRefer(_ text: [UInt8]) -> Bool {
        text.withUnsafeBufferPointer { text in
            text.indices.contains { place in
                text[place] == UInt8(ascii: "_") && place >= 4 && place + 4 <= text.count
                    && text[(place - 4)..<(place + 4)].elementsEqual("body_ref".utf8)
            }
        }
    }

    /// A message whose body, which it names, is not to be had.
    package func refusal(
        _ failure: JobFailure, of body: [UInt8], _ envelope: Envelope,
        inflate: (_ body: [UInt8], _ limit: Int) throws(JobFailure) -> [UInt8]
    ) -> Refusal { refusal(failure, body, envelope, inflate) }

    /// A body of so many times the size allowed is still looked at for what its producer knows it by.
    private static let legibleBodies = 4

    /// The property's id names the failure even when the body cannot be read; what can be read of that is echoed.
    private func refusal(
        _ failure: JobFailure, _ body: [UInt8], _ envelope: Envelope,
        _ inflate: ([UInt8], Int) throws(JobFailure) -> [UInt8]
    ) -> Refusal {
        var refusal = Refusal(id: envelope.messageID.flatMap(JobID.init), failure: failure)
        // With tenants that the broker's users decide on, nobody is believed to be another here either.
        var user = envelope.userID
        let owner = (try? tenancy.tenant(claimed: nil, user: user)).flatMap { $0 }
        var tenant = owner
        if body.count / Self.legibleBodies < maxBody,
            let text = try? decompressed(body, envelope.contentEncoding, inflate), let fields = try? JobFields(text)
        {
            func name(_ member: String) -> String? {
                (try? fields.string(member, max: Self.maxName)).flatMap { $0 }
            }
            if envelope.messageID == nil {
                refusal.id = (try? fields.string("id", max: 128)).flatMap { $0 }.flatMap(JobID.init)
            }
            refusal.agent = name("agent")
            refusal.metadata = (try? fields.metadata(max: ceilings.metadata)).flatMap { $0 }
            refusal.warnings = fields.warnings(envelope)
            if tenancy.mode == .open {
                tenant = name("tenant")
                user = user ?? name("user_id")
            }
        }
        if let foreign = ForeignMessage.recognized(body, envelope) {
            refusal.failure = JobFailure(failure.code, "\(failure.message); \(foreign.hint)")
            refusal.isAnswerable = foreign.isAnswerable
            if envelope.messageID == nil, refusal.id == nil {
                refusal.id = (foreign.id ?? envelope.correlationID).flatMap(JobID.init)
            }
        }
        if let replyTo = envelope.replyTo, !replies.mayAnswer(replyTo, tenant: tenant, user: user) {
            refusal.isAnswerable = false
        }
        refusal.key = refusal.id.flatMap { tenancy.key($0, tenant: owner) }
        return refusal
    }

    private func checkSize(_ size: Int, wasDiscarded: Bool) throws(JobFailure) {
        guard !wasDiscarded, size <= maxBody else {
            throw JobFailure(.tooLarge, "the body has \(size) bytes; at most \(maxBody) are allowed")
        }
    }

    private func decompressed(
        _ body: [UInt8], _ encoding: String?, _ inflate: ([UInt8], Int) throws(JobFailure) -> [UInt8]
    ) throws(JobFailure) -> [UInt8] {
        switch MediaType.encoding(encoding) {
        case .none: return body
        case .gzip: return try inflate(body, maxBody)
        case .unknown:
            throw JobFailure(
                .unsupportedMediaType, "content_encoding is \(shown(encoding ?? "")); utf-8 and gzip are allowed")
        }
    }

    private func agreedID(_ messageID: String?, _ fields: JobFields) throws(JobFailure) -> JobID {
        let bodyID = try fields.string("id", max: Int.max).nonEmpty
        guard let text = messageID ?? bodyID else {
            throw JobFailure(.invalidJob, "no id: set the property message_id or the body's field id")
        }
        if let messageID, let bodyID, messageID != bodyID {
            throw JobFailure(
                .invalidJob, "message_id \(shown(messageID)) and id \(shown(bodyID)) differ; they must agree")
        }
        guard let id = JobID(text) else {
            throw JobFailure(.invalidJob, "id is \(shown(text)); allowed are \(JobID.rule)")
        }
        return id
    }

    private func job(_ fields: JobFields, _ envelope: Envelope, id: JobID) throws(JobFailure) -> Job {
        var job = Job(id: id, query: try fields.query(max: maxQuery))
        job.userID = try fields.string("user_id", max: Self.maxName).nonEmpty
        job.tenant = try fields.string("tenant", max: Self.maxName).nonEmpty
        job.agent = try fields.string("agent", max: Self.maxName).nonEmpty
        job.rewrittenQuery = try fields.rewrittenQuery(max: maxQuery)
        job.history = try fields.history(maxTurns: Self.maxTurns)
        job.stream = try fields.bool("stream") ?? false
        job.notBefore = try fields.timestamp("not_before")
        job.deadline = try fields.timestamp("deadline")
        job.options = try fields.options(maxName: Self.maxName)
        job.metadata = try fields.metadata(max: ceilings.metadata)
        job.warnings = fields.warnings(envelope)
        try ceilings.check(job.options)
        return job
    }
}

extension String? {
    /// Empty counts as absent.
    fileprivate var nonEmpty: String? { self?.isEmpty == true ? nil : self }
}

func shown(_ text: String) -> String {
    // C0, DEL and C1: a message goes to terminals and logs.
    let clean = text.unicodeScalars.prefix(80).map { scalar in
        scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) ? "\u{FFFD}" : String(scalar)
    }
    return "\"\(clean.joined())\(text.unicodeScalars.count > 80 ? "…" : "")\""
}
