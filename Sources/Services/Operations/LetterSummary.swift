import ParleyJSON

/// What a requeue or a purge came to.
package struct LetterSummary: Sendable, Equatable {
    /// What was asked for; names the count in JSON.
    package enum Action: String, Sendable { case requeue, purge }
    package let action: Action
    /// Letters that the filters and the limit mean.
    package var matched = 0
    /// Of these, requeued (confirmed by the broker) or purged.
    package var done = 0
    /// Of these, refused by the broker, or with an unknown fate: they are dead letters still.
    package var failed = 0
    /// Letters looked at.
    package var scanned = 0
    package var isDryRun = false
    package var isInterrupted = false
    /// Another command was looking at letters: what it held was not met.
    package var hadCompany = false
    package var seconds = 0.0
    /// Why it did not come to its end, or why letters failed.
    package var problem: OperationError?
    /// Source queues that do not exist any more or are none of the job queues, and how many letters went to the job queue
    /// instead.
    package var missingQueues: [String: Int] = [:]

    init(_ action: Action, dryRun: Bool = false) {
        self.action = action
        isDryRun = dryRun
    }

    /// One object: `matched`, `requeued` or `purged`, `failed`, `scanned`, `dry_run`, `interrupted`, `seconds`.
    package func write(to json: inout JSONWriter) {
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
