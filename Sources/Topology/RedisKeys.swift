import ChatJobs

/// The names of Parley's keys in Redis (contract, section 3; those but the result are private).
public struct RedisKeys: Sendable, Equatable {
    /// `redis.prefix`.
    public let prefix: String

    public init(prefix: String = "chat") { self.prefix = prefix }

    /// The job's reply, as JSON.
    public func result(_ id: JobID) -> String { "\(prefix):result:\(id.text)" }
    /// Who works on the job: `TOKEN STARTS LOSSES`, the token empty when nobody does.
    public func claim(_ id: JobID) -> String { "\(prefix):claim:\(id.text)" }
    /// There when the job was revoked.
    public func revoked(_ id: JobID) -> String { "\(prefix):revoked:\(id.text)" }
    /// Counts revocations, so that workers see that there is a new one.
    public var revocations: String { "\(prefix):revocations" }
    /// There while the worker of this token lives; holds what `parley status` shows of it, as JSON.
    public func worker(_ token: String) -> String { "\(prefix):worker:\(token)" }
    /// A stream of what operators did: requeues, purges, revocations.
    public var audit: String { "\(prefix):audit" }
}
