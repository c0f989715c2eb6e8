import Answering
import ChatJobs

/// What the ledger notes of an answer (`parley costs`): whose it is, and what was spent on it.
package struct Account: Sendable, Equatable {
    package let tenant: String?
    package let agent: String?
    package let model: String
    package let isReused: Bool
    package let usage: Usage
    /// When it was settled, by the wall clock.
    package let at: Timestamp

    init(_ job: Job, _ route: Route, _ answer: Answer, _ reuse: Reuse?, at: Timestamp) {
        tenant = job.tenant
        agent = job.agent ?? route.agent.name
        model = answer.model
        isReused = reuse != nil
        usage = reuse == nil ? answer.usage : answer.usage.unpaid
        self.at = at
    }
}
