import ChatJobs

/// Why a question has no passages.
package struct PassageFailure: Error, Sendable, Equatable {
    /// Its code is `retrieval_failed`.
    package let failure: JobFailure
    /// Which service failed; nil when that is not known, or none did.
    package let dependency: Dependency?

    package init(_ failure: JobFailure, _ dependency: Dependency? = nil) {
        self.failure = failure
        self.dependency = dependency
    }
}

/// What passages are looked for with, and whose question it is: a tenant's passages are found by nobody else.
package struct PassageQuestion: Sendable, Equatable {
    package let text: String
    package let tenant: String?

    package init(_ text: String, tenant: String?) {
        self.text = text
        self.tenant = tenant
    }
}

/// Which state of the knowledge questions are answered from.
package struct KnowledgeState: Sendable, Equatable {
    /// Another after each change of it, the same in all workers; `none` when there is nothing to search.
    package let version: String
    /// Some of it is one tenant's alone: two tenants' questions have two answers.
    package let hasTenants: Bool

    package init(_ version: String, hasTenants: Bool = false) {
        self.version = version
        self.hasTenants = hasTenants
    }
}

/// Finds passages.
package protocol PassageSource: Sendable {
    /// It asks no service: what is found twice costs nothing.
    var isLocal: Bool { get }
    /// Whether there is anything to search, for `retrieve: auto`.
    func isReady() async -> Bool
    /// Nil when it cannot be told.
    func state() async -> KnowledgeState?
    /// The nearest passages of each question, nearest first, in one call for the whole window. One question's failure
    /// is that question's alone. All of it, retries included, ends within `timeout`.
    func passages(
        for questions: [PassageQuestion], topK: Int, timeout: Duration
    ) async -> [Result<[Source], PassageFailure>]
    /// Whether the service answers; costs nothing. One that times out is not there.
    func probe(_ dependency: Dependency) async -> Bool
}

/// What the model made of a question. A class, since it is passed on through a dozen hands that wait.
package final class Answer: Sendable, Equatable {
    package let text: String
    package let model: String
    package let usage: Usage
    package let finishReason: Reply.FinishReason
    /// The passages the answer rests on.
    package let sources: [Source]
    /// About how many tokens of passages its prompt did without.
    package let sparedTokens: Int
    /// The calls that it took, as they were opened in the ledger: whoever notes what it cost closes them.
    package let openCalls: [CallMark]

    package init(
        text: String, model: String, usage: Usage, finishReason: Reply.FinishReason = .stop, sources: [Source],
        sparedTokens: Int = 0, openCalls: [CallMark] = []
    ) {
        self.text = text
        self.model = model
        self.usage = usage
        self.finishReason = finishReason
        self.sources = sources
        self.sparedTokens = sparedTokens
        self.openCalls = openCalls
    }

    /// The same, for which something else was spent.
    package func spending(_ usage: Usage, _ openCalls: [CallMark]) -> Answer {
        Answer(
            text: text, model: model, usage: usage, finishReason: finishReason, sources: sources,
            sparedTokens: sparedTokens, openCalls: openCalls)
    }

    package static func == (a: Answer, b: Answer) -> Bool {
        a === b
            || (a.text, a.model, a.usage, a.finishReason) == (b.text, b.model, b.usage, b.finishReason)
                && (a.sources, a.sparedTokens, a.openCalls) == (b.sources, b.sparedTokens, b.openCalls)
    }

    /// It is in no reply.
    var asLost: LostCall { LostCall(model: model, usage: usage, marks: openCalls) }
}

/// Notes what is spent before it is known, and afterwards what stands in no reply.
package protocol ExpenseLog: Sendable {
    /// A call is about to begin. Should this worker end before what came of it is noted, that call is noted as one that came to
    /// no answer, and this as what was spent. Nobody waits for it.
    func open(_ estimate: Usage, of model: String, for job: Job, by agent: Agent) -> CallMark
    /// The call has cost nothing.
    func close(_ marks: [CallMark])
    /// On an answer that nobody had asked for at that moment.
    func note(_ answer: Answer, to job: Job, by agent: Agent) async
    /// On a call that came to no answer.
    func note(_ call: LostCall, for job: Job, by agent: Agent) async
}

/// Takes the pieces of an answer as they come; its return is the back-pressure.
package typealias DeltaSink = @Sendable (_ delta: String) async -> Void

/// Answers questions.
package protocol AnswerModel: Sendable {
    /// It asks no service: what is answered twice costs nothing.
    var isLocal: Bool { get }
    /// What it is asked for by, where a job names no model; empty when that is left to its service.
    var name: String { get }
    /// - Parameter onDelta: called with each piece of the answer as it comes, when the job streams.
    func answer(
        _ job: Job, passages: [Source], timeout: Duration, onDelta: DeltaSink?
    ) async throws(JobFailure) -> Answer
    /// Whether the service behind it answers; costs nothing. One that times out is not there.
    func probe() async -> Bool
}

extension AnswerModel {
    package var name: String { "" }
}

/// Time as the pipeline sees it; simulated in tests.
package protocol PipelineClock: Sendable {
    /// Monotonic.
    var now: Duration { get }
    /// What the wall clock shows, for deadlines that producers set.
    var wall: Timestamp { get }
    /// Waits; a cancelled task wakes at once.
    func sleep(for duration: Duration) async
    /// Uniform in 0 ..< 1, for jitter.
    func random() -> Double
}
