import ParleyJSON

/// Turns a message into a ``Job``, or into the reason why it is none.
package struct JobDecoder: Sendable {
    /// The most bytes of a body, after decompression. Default 1 MiB.
    package var maxBody: Int
    /// The most bytes of `query`. Default 32 KiB.
    package var maxQuery: Int
    /// Queues a reply must never go to: the job queue and its relatives.
    package var ownQueues: OwnQueues
    /// Whose jobs are.
    package var tenancy = Tenancy()

    /// The most bytes of `metadata`.
    package static let maxMetadata = 16 * 1024
    /// The most bytes of a short text field: `user_id`, `tenant`, `agent`, `options.model`.
    package static let maxName = 256
    /// The most turns of `history`.
    package static let maxTurns = 1000

    package init(maxBody: Int = 1 << 20, maxQuery: Int = 32 << 10, ownQueues: OwnQueues = OwnQueues(base: "chat.jobs"))
    {
        self.maxBody = maxBody
        self.maxQuery = maxQuery
        self.ownQueues = ownQueues
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
    }

    /// Decodes a message.
    ///
    /// - Parameter inflate: undoes `content_encoding: gzip`, giving at most the number of bytes asked for, or throws.
    /// - Throws: ``Refusal`` with one of `invalid_job`, `unsupported_media_type`, `too_large`.
    package func decode(
        _ body: [UInt8], _ envelope: Envelope, inflate: (_ body: [UInt8], _ limit: Int) throws(JobFailure) -> [UInt8]
    ) throws(Refusal) -> Job {
        do throws(JobFailure) {
            try checkReplyTo(envelope.replyTo)
            try checkContentType(envelope.contentType)
            try checkSize(envelope.discardedBytes ?? body.count, wasDiscarded: envelope.discardedBytes != nil)
            let text = try decompressed(body, envelope.contentEncoding, inflate)
            let fields = try JobFields(text)
            var job = try job(fields, id: try agreedID(envelope.messageID, fields))
            job.tenant = try tenancy.tenant(claimed: job.tenant, user: envelope.userID)
            return job
        } catch {
            throw refusal(error, body, envelope, inflate)
        }
    }

    /// A body of so many times the size allowed is still looked at for what its producer knows it by.
    private static let legibleBodies = 4

    /// The property's id names the failure even when the body cannot be read; what can be read of that is echoed.
    private func refusal(
        _ failure: JobFailure, _ body: [UInt8], _ envelope: Envelope,
        _ inflate: ([UInt8], Int) throws(JobFailure) -> [UInt8]
    ) -> Refusal {
        var refusal = Refusal(id: envelope.messageID.flatMap(JobID.init), failure: failure)
        if body.count / Self.legibleBodies < maxBody,
            let text = try? decompressed(body, envelope.contentEncoding, inflate), let fields = try? JobFields(text)
        {
            if envelope.messageID == nil {
                refusal.id = (try? fields.string("id", max: 128)).flatMap { $0 }.flatMap(JobID.init)
            }
            refusal.agent = (try? fields.string("agent", max: Self.maxName)).flatMap { $0 }
            refusal.metadata = (try? fields.metadata(max: Self.maxMetadata)).flatMap { $0 }
        }
        let tenant = (try? tenancy.tenant(claimed: nil, user: envelope.userID)).flatMap { $0 }
        refusal.key = refusal.id.flatMap { tenancy.key($0, tenant: tenant) }
        return refusal
    }

    private func checkReplyTo(_ replyTo: String?) throws(JobFailure) {
        guard let replyTo, ownQueues.contains(replyTo) else { return }
        throw JobFailure(
            .invalidJob,
            "reply_to names \(shown(replyTo)), a queue of Parley's own: replies there would come back as jobs")
    }

    private func checkContentType(_ contentType: String?) throws(JobFailure) {
        guard let contentType, contentType != "application/json" else { return }
        let parts = contentType.split(separator: ";", omittingEmptySubsequences: false)
            .map { $0.trimmingSpaces().lowercased() }
        let charset = parts.dropFirst().first { $0.hasPrefix("charset=") }.map { $0.dropFirst(8) }
        let charsetIsFine = charset.map { $0 == "utf-8" || $0 == "\"utf-8\"" || $0 == "utf8" } ?? true
        guard parts.first == "application/json", charsetIsFine else {
            throw JobFailure(
                .unsupportedMediaType, "content_type is \(shown(contentType)); application/json (UTF-8) is allowed")
        }
    }

    private func checkSize(_ size: Int, wasDiscarded: Bool) throws(JobFailure) {
        guard !wasDiscarded, size <= maxBody else {
            throw JobFailure(.tooLarge, "the body has \(size) bytes; at most \(maxBody) are allowed")
        }
    }

    private func decompressed(
        _ body: [UInt8], _ encoding: String?, _ inflate: ([UInt8], Int) throws(JobFailure) -> [UInt8]
    ) throws(JobFailure) -> [UInt8] {
        switch encoding?.lowercased() {
        case nil, "", "utf-8", "utf8", "identity": return body
        case "gzip", "x-gzip": return try inflate(body, maxBody)
        default:
            throw JobFailure(
                .unsupportedMediaType, "content_encoding is \(shown(encoding ?? "")); utf-8 and gzip are allowed")
        }
    }

    private func agreedID(_ messageID: String?, _ fields: JobFields) throws(JobFailure) -> JobID {
        let bodyID = try fields.string("id", max: Int.max)
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

    private func job(_ fields: JobFields, id: JobID) throws(JobFailure) -> Job {
        var job = Job(id: id, query: try fields.query(max: maxQuery))
        job.userID = try fields.string("user_id", max: Self.maxName)
        job.tenant = try fields.string("tenant", max: Self.maxName)
        job.agent = try fields.string("agent", max: Self.maxName)
        job.history = try fields.history(maxTurns: Self.maxTurns)
        job.stream = try fields.bool("stream") ?? false
        job.notBefore = try fields.timestamp("not_before")
        job.deadline = try fields.timestamp("deadline")
        job.options = try fields.options(maxName: Self.maxName)
        job.metadata = try fields.metadata(max: Self.maxMetadata)
        return job
    }
}

/// The queues whose names Parley derives from the job queue's.
package struct OwnQueues: Sendable, Equatable {
    /// `queue.name`.
    package var base: String
    /// Lane suffixes, `chat.jobs.<lane>`.
    package var lanes: [String]

    package init(base: String, lanes: [String] = []) {
        self.base = base
        self.lanes = lanes
    }

    /// The dead-letter queue.
    package var dead: String { base + ".dead" }

    /// Whether `queue` is the job queue, a lane, the dead-letter queue or one of the delay queues.
    package func contains(_ queue: String) -> Bool {
        guard queue.hasPrefix(base) else { return false }
        return queue == base || queue == dead || queue.hasPrefix(base + ".delay")
            || lanes.contains { queue == "\(base).\($0)" }
    }
}

func shown(_ text: String) -> String {
    // C0, DEL and C1: a message goes to terminals and logs.
    let clean = text.unicodeScalars.prefix(80).map { scalar in
        scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) ? "\u{FFFD}" : String(scalar)
    }
    return "\"\(clean.joined())\(text.unicodeScalars.count > 80 ? "…" : "")\""
}

extension Substring {
    func trimmingSpaces() -> Substring {
        var rest = self
        while rest.first == " " || rest.first == "\t" { rest.removeFirst() }
        while rest.last == " " || rest.last == "\t" { rest.removeLast() }
        return rest
    }
}
