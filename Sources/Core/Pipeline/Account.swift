import Answering
import ChatJobs

/// What the ledger notes of an answer (`parley costs`): whose it is, and what was spent on it.
package struct Account: Sendable, Equatable {
    package enum Kind: Sendable, Equatable {
        /// Of a job's answer, made for it or given once more.
        case answer, reused
        /// Of calls that are in no reply: made ahead of time, or in vain.
        case renewal, lostCall
    }

    package let tenant: String?
    package let agent: String?
    package let model: String
    package let kind: Kind
    package let usage: Usage
    /// By the wall clock.
    package let at: Timestamp

    init(_ job: Job, _ route: Route, _ answer: Answer, _ reuse: Reuse?, at: Timestamp) {
        tenant = job.tenant
        agent = job.agent ?? route.agent.name
        model = answer.model
        kind = reuse == nil ? .answer : .reused
        usage = reuse == nil ? answer.usage : answer.usage.unpaid
        self.at = at
    }

    /// Of a call that came to no answer.
    init(losing call: LostCall, for job: Job, by agent: Agent, at: Timestamp) {
        tenant = job.tenant
        self.agent = job.agent ?? agent.name
        model = call.model
        kind = .lostCall
        usage = call.usage
        self.at = at
    }

    /// Of an answer that was made anew while the old one was given.
    init(renewing answer: Answer, to job: Job, by agent: Agent, at: Timestamp) {
        tenant = job.tenant
        self.agent = job.agent ?? agent.name
        model = answer.model
        kind = .renewal
        usage = answer.usage
        self.at = at
    }
}

/// Notes what is in no reply.
struct Expenses: ExpenseLog {
    let results: any ResultStore
    let clock: any PipelineClock

    func note(_ answer: Answer, to job: Job, by agent: Agent) async {
        await results.note(Account(renewing: answer, to: job, by: agent, at: clock.wall))
    }

    func note(_ call: LostCall, for job: Job, by agent: Agent) async {
        await results.note(Account(losing: call, for: job, by: agent, at: clock.wall))
    }
}
