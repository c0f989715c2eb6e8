import Answering
import ChatJobs

/// What the ledger notes of an answer (`parley costs`): whose it is, and what was spent on it.
package struct Account: Sendable, Equatable {
    package let tenant: String?
    package let agent: String?
    package let model: String
    /// Of a job's answer; if not, of a call that was made for nobody.
    package let isAnswer: Bool
    package let isReused: Bool
    package let usage: Usage
    /// When it was settled, by the wall clock.
    package let at: Timestamp

    init(_ job: Job, _ route: Route, _ answer: Answer, _ reuse: Reuse?, at: Timestamp) {
        tenant = job.tenant
        agent = job.agent ?? route.agent.name
        model = answer.model
        isAnswer = true
        isReused = reuse != nil
        usage = reuse == nil ? answer.usage : answer.usage.unpaid
        self.at = at
    }

    /// Of an answer that was made anew while the old one was given.
    init(renewing answer: Answer, to job: Job, by agent: Agent, at: Timestamp) {
        tenant = job.tenant
        self.agent = job.agent ?? agent.name
        model = answer.model
        isAnswer = false
        isReused = false
        usage = answer.usage
        self.at = at
    }
}

/// Notes what answers cost that nobody waited for.
struct Expenses: ExpenseLog {
    let results: any ResultStore
    let clock: any PipelineClock

    func note(_ answer: Answer, to job: Job, by agent: Agent) async {
        await results.note(Account(renewing: answer, to: job, by: agent, at: clock.wall))
    }
}
