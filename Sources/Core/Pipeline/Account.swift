import Answering
import ChatJobs
import Synchronization

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
    /// The calls that are closed with it.
    package let closes: [CallMark]

    package init(
        tenant: String?, agent: String?, model: String, kind: Kind, usage: Usage, at: Timestamp, closes: [CallMark] = []
    ) {
        self.tenant = tenant
        self.agent = agent
        self.model = model
        self.kind = kind
        self.usage = usage
        self.at = at
        self.closes = closes
    }

    init(_ job: Job, _ route: Route, _ answer: Answer, _ reuse: Reuse?, at: Timestamp) {
        tenant = job.tenant
        agent = job.agent ?? route.agent.name
        model = answer.model
        kind = reuse == nil ? .answer : .reused
        usage = reuse == nil ? answer.usage : answer.usage.unpaid
        self.at = at
        closes = reuse == nil ? answer.openCalls : []
    }

    /// Of a call that came to no answer.
    init(losing call: LostCall, for job: Job, by agent: Agent, at: Timestamp) {
        tenant = job.tenant
        self.agent = job.agent ?? agent.name
        model = call.model
        kind = .lostCall
        usage = call.usage
        self.at = at
        closes = call.marks
    }

    /// Of an answer that was made anew while the old one was given.
    init(renewing answer: Answer, to job: Job, by agent: Agent, at: Timestamp) {
        tenant = job.tenant
        self.agent = job.agent ?? agent.name
        model = answer.model
        kind = .renewal
        usage = answer.usage
        self.at = at
        closes = answer.openCalls
    }
}

/// Opens calls, and notes what is in no reply.
final class Expenses: ExpenseLog {
    private let results: any ResultStore
    private let clock: any PipelineClock
    private let opened = Atomic<UInt64>(0)

    init(results: any ResultStore, clock: any PipelineClock) {
        self.results = results
        self.clock = clock
    }

    func open(_ estimate: Usage, of model: String, for job: Job, by agent: Agent) -> CallMark {
        let mark = CallMark(opened.add(1, ordering: .relaxed).newValue)
        results.open(
            mark,
            Account(
                tenant: job.tenant, agent: job.agent ?? agent.name, model: model, kind: .lostCall, usage: estimate,
                at: clock.wall))
        return mark
    }

    func close(_ marks: [CallMark]) {
        if !marks.isEmpty { results.close(marks) }
    }

    func note(_ answer: Answer, to job: Job, by agent: Agent) async {
        await results.note(Account(renewing: answer, to: job, by: agent, at: clock.wall))
    }

    func note(_ call: LostCall, for job: Job, by agent: Agent) async {
        await results.note(Account(losing: call, for: job, by: agent, at: clock.wall))
    }
}
