import JSON

/// What a requeue or a purge came to.
public struct LetterSummary: Sendable, Equatable {
    /// What was asked for; names the count in JSON.
    public enum Action: String, Sendable { case requeue, purge }
    public let action: Action
    /// Letters that the filters and the limit mean.
    public var matched = 0
    /// Of these, requeued (confirmed by the broker) or purged.
    public var done = 0
    /// Of these, refused by the broker, or with an unknown fate: they are dead letters still.
    public var failed = 0
    /// Letters looked at.
    public var scanned = 0
    public var isDryRun = false
    public var isInterrupted = false
    /// Another command was looking at letters: what it held was not met.
    public var hadCompany = false
    public var seconds = 0.0
    /// Why it did not come to its end, or why letters failed.
    public var problem: OperationError?
    /// Source queues that do not exist any more, and how many letters went to the job queue instead.
    public var missingQueues: [String: Int] = [:]

    init(_ action: Action, dryRun: Bool = false) {
        self.action = action
        isDryRun = dryRun
    }

    /// One object: `matched`, `requeued` or `purged`, `failed`, `scanned`, `dry_run`, `interrupted`, `seconds`.
    public func write(to json: inout JSONWriter) {
        json.object {
            $0.member("matched", matched)
            switch action {
            case .requeue: $0.member("requeued", done)
            case .purge: $0.member("purged", done)
            }
            $0.member("failed", failed)
            $0.member("scanned", scanned)
            $0.member("dry_run", isDryRun)
            $0.member("interrupted", isInterrupted)
            $0.key("seconds")
            $0.rounded(seconds)
        }
    }
}
