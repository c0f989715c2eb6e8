/// What a job cannot ask for, whatever its producer is allowed to publish: `limits.*` and `models.allow`.
package struct JobCeilings: Sendable, Equatable {
    /// `limits.metadata`: the most bytes of `metadata`. Default 16 KiB.
    package var metadata = 16 * 1024
    /// `limits.max_tokens`: the most that `options.max_tokens` may be. Nil: no more than the contract's own bound.
    package var maxTokens: Int?
    /// `limits.not_before`: how far off `not_before` may be. Default 30 days.
    package var notBefore: Duration = .seconds(30 * 86_400)
    /// `models.allow`: which models a job may name. One that names none gets the worker's own.
    package var models = NamePatterns.all

    package init() {}

    func check(_ options: JobOptions) throws(JobFailure) {
        if let maxTokens, let wanted = options.maxTokens, wanted > maxTokens {
            throw JobFailure(
                .invalidJob, "options.max_tokens is \(wanted); at most \(maxTokens) are allowed (limits.max_tokens)")
        }
        if !models.allowsAll, let model = options.model, !models.allow(model) {
            throw JobFailure(
                .invalidJob, "options.model is \(shown(model)); allowed are \(models) (models.allow), or none")
        }
    }

    /// Why the job may not wait for so long; nil when it may.
    package func refusal(of job: Job, wall: Timestamp) -> JobFailure? {
        guard let time = job.notBefore, time.since(wall) > notBefore else { return nil }
        let seconds = Int(notBefore / .seconds(1))
        let allowed = seconds >= 172_800 ? "\(seconds / 86_400) days" : "\(seconds) s"
        return JobFailure(
            .invalidJob,
            "not_before is \(time.rfc3339), too far off; at most \(allowed) are allowed (limits.not_before)")
    }
}
