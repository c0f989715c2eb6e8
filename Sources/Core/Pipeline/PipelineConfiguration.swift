import Answering

/// The pipeline's own settings; names as in the configuration file.
package struct PipelineConfiguration: Sendable {
    /// `worker.window`: the most jobs in one window. Default 64.
    package var window = 64
    /// `retry.*`.
    package var retry = RetryPolicy()
    /// `results.ttl`, for messages. Default 24 h.
    package var resultLife: Duration = .seconds(24 * 3600)
    /// `reply.max_inline`: bytes of an answer in a reply. Default 256 KiB.
    package var maxInline = 256 << 10
    /// The longest that a result is kept, `results.ttl_jitter` included: so long its answer is, too. Default 27 h.
    package var objectLife: Duration = .seconds(27 * 3600)
    /// `limits.in_flight`: the most jobs of a tenant in work in one worker.
    package var inFlight = TenantCeiling()
    /// `limits.chunks_per_second`: of a tenant, in one worker.
    package var chunksPerSecond = TenantCeiling()
    /// `stream.flush`: the least time between two chunks of a stream.
    package var flush = Duration.zero
    /// `cache.scope: user`: recorded questions name their users.
    package var recordsUsers = false
    /// How questions are answered.
    package var answering = AnsweringConfiguration()

    package init() {}
}
