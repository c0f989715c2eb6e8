/// A question as it is recorded for `parley warm --top`: what decides its answer, and whose it is.
package struct RecordedQuestion: Hashable, Sendable {
    /// A job's body without an id: the same bytes for the same question.
    package let body: [UInt8]
    /// Who asked; nil when the job does not say.
    package let userID: String?

    /// Longer ones are hardly asked twice.
    private static let longest = 4096

    /// - Parameter perUser: each user has answers of its own (`cache.scope: user`): then the body names the user.
    /// - Returns: nil when it could not be asked ahead: it belongs to a conversation, or its answer is not kept.
    package init?(_ job: Job, perUser: Bool) {
        guard job.history.isEmpty, job.options.cache == .use else { return nil }
        var question = Job(id: job.id, query: job.query)
        question.userID = perUser ? job.userID : nil
        question.tenant = job.tenant
        question.agent = job.agent
        question.rewrittenQuery = job.rewrittenQuery
        question.options = job.options
        body = question.encoded(withID: false)
        userID = job.userID
        guard body.count <= Self.longest else { return nil }
    }
}
