import ChatJobs

/// How a delivery ends: the reply to keep and to publish, and why the message becomes a dead letter, if it does.
///
/// A class, and made by functions that do not wait and are not inlined: what an `async` function has about it, its inlined
/// callees' variables included, is part of the job's task until it returns, and a reply takes kilobytes.
final class Outcome: Sendable {
    /// What the reply is kept under; nil when the message had no readable id.
    let id: JobID?
    /// The `id` that the reply itself has.
    let replyID: String?
    let status: Reply.Status
    let attempts: Int
    /// The reply as it is kept and published.
    let body: [UInt8]
    /// It is kept already.
    let isStored: Bool
    /// The message was no job.
    let isRefusal: Bool
    let deadLetter: JobFailure?

    /// - Parameter stored: the reply's bytes, when it comes from the store.
    init(
        _ reply: Reply, id: JobID?, stored: [UInt8]? = nil, isRefusal: Bool = false, deadLetter: JobFailure? = nil
    ) {
        self.id = id
        replyID = reply.id
        status = reply.status
        attempts = reply.attempts
        body = stored ?? reply.encoded()
        isStored = stored != nil
        self.isRefusal = isRefusal
        self.deadLetter = deadLetter
    }
}
