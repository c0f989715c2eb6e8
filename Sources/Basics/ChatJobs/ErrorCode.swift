/// Why a job was not answered. A closed set, part of the contract (error codes of replies and dead letters).
public enum ErrorCode: String, Sendable, Hashable, CaseIterable {
    /// The message is no job: not JSON, a field of the wrong type or outside its bounds, no id, a forbidden reply_to.
    case invalidJob = "invalid_job"
    /// The id belongs to another job.
    case idConflict = "id_conflict"
    /// `content_type` is not `application/json`, or `content_encoding` is not one that is known.
    case unsupportedMediaType = "unsupported_media_type"
    /// The body, the query or a field is longer than its limit.
    case tooLarge = "too_large"
    /// The deadline passed before the answer.
    case expired
    /// An operator or the producer took the job back.
    case revoked
    /// Passages could not be fetched.
    case retrievalFailed = "retrieval_failed"
    /// The model refused this prompt; asking again would not help.
    case modelRejected = "model_rejected"
    /// The model's service failed or could not be reached.
    case modelUnavailable = "model_unavailable"
    /// The model did not answer in time.
    case modelTimeout = "model_timeout"
    /// The model's service asked to slow down.
    case rateLimited = "rate_limited"
    /// The job outlived too many worker crashes.
    case workerLost = "worker_lost"
    /// A fault of Parley's own.
    case `internal`

    /// Whether another attempt may succeed.
    public var isRetryable: Bool {
        switch self {
        case .retrievalFailed, .modelUnavailable, .modelTimeout, .rateLimited, .internal: true
        case .invalidJob, .idConflict, .unsupportedMediaType, .tooLarge, .expired, .revoked, .modelRejected,
            .workerLost:
            false
        }
    }
}
