import ChatJobs
import ParleyPrimitives

/// Asks a model of an agent's, and says what came of it to those who watch over it.
struct ModelCaller: Sendable {
    let agent: Agent
    let choice: ModelChoice
    let health: HealthMonitor
    let expenses: (any ExpenseLog)?
    let clock: any PipelineClock

    final class Call: Sendable {
        let result: Result<Answer, JobFailure>
        let length: Duration

        init(result: Result<Answer, JobFailure>, length: Duration) {
            self.result = result
            self.length = length
        }

        var failure: JobFailure? {
            if case .failure(let failure) = result { failure } else { nil }
        }
    }

    /// - Parameter left: until the answer is of no use any more; nil when that is not known.
    /// - Parameter trail: it may have a rival, which is to go to another endpoint.
    func call(
        _ inquiry: Inquiry, _ sources: [Source], within left: Duration?, onDelta: DeltaSink?, trail: CallTrail? = nil
    ) async -> Call {
        await call(choice.model, job(of: inquiry), sources, within: left, onDelta: onDelta, trail)
    }

    /// Not inlined, like all that needs much room for a moment: it would be in the frames of all who wait for an answer.
    @inline(never)
    private func job(of inquiry: Inquiry) -> Job {
        guard choice.isFallback else { return inquiry.job }
        var job = inquiry.job
        job.options.model = nil
        return job
    }

    /// What is asked together with others; nil when the model is asked for one answer at a time.
    func prompt(_ inquiry: Inquiry, _ sources: [Source]) -> BatchPrompt? {
        guard let model = choice.model as? any BatchAnswerModel else { return nil }
        let prompt = model.prompt(for: job(of: inquiry), passages: sources, timeout: choice.timeout)
        // What was tried before may be what a call fails of: its neighbours are not to share that.
        guard inquiry.isFirstTry else {
            return BatchPrompt(
                group: "\(inquiry.token) \(prompt.group)", tokens: prompt.tokens, promptTokens: prompt.promptTokens,
                content: prompt.content)
        }
        return prompt
    }

    /// Asks for several answers in one call.
    ///
    /// - Parameter jobs: whose prompts they are.
    /// - Returns: also what the call is for those who watch over the model: answered when any of them is.
    func call(
        _ prompts: [BatchPrompt], for jobs: [Job]
    ) async -> (results: [Result<Answer, JobFailure>], call: Call) {
        guard let model = choice.model as? any BatchAnswerModel else {
            return ([], Call(result: .failure(absence), length: .zero))
        }
        let started = clock.now
        let metrics = agent.metrics
        metrics.modelCalls.increment()
        let marks = zip(jobs, prompts).map { open(model, $0, promptTokens: $1.promptTokens) }
        var results = await model.answers(to: prompts, timeout: choice.timeout)
        for place in results.indices {
            let mark = marks.indices.contains(place) ? marks[place] : []
            results[place] = results[place].map { counted($0, mark) }.mapError { counted($0, mark) }
        }
        for mark in marks.dropFirst(results.count) { expenses?.close(mark) }
        let length = clock.now - started
        metrics.generation.recordNanoseconds(length.wholeNanoseconds)
        metrics.batch.record(prompts.count)
        let isAnswered = { (result: Result<Answer, JobFailure>) in (try? result.get()) != nil }
        let result = results.first(where: isAnswered) ?? results.first ?? .failure(absence)
        return (results, Call(result: result, length: length))
    }

    /// Has the model make a question stand alone: a short call, with its own prompt.
    func rewrite(_ inquiry: Inquiry, by rewriter: any AnswerModel, within left: Duration?) async -> Call {
        var job = inquiry.job
        job.stream = false
        job.options.temperature = 0
        job.options.maxTokens = Self.longestRewriting
        return await call(rewriter, job, [], within: left, onDelta: nil)
    }

    /// Tokens.
    private static let longestRewriting = 128

    @inline(never)
    private func call(
        _ model: any AnswerModel, _ job: Job, _ sources: [Source], within left: Duration?, onDelta: DeltaSink?,
        _ trail: CallTrail? = nil
    ) async -> Call {
        let started = clock.now
        agent.metrics.modelCalls.increment()
        let marks = open(model, job, sources)
        do throws(JobFailure) {
            // A rival goes elsewhere, where there is an elsewhere.
            let model = trail.flatMap { (model as? PooledAnswers)?.leaving($0) } ?? model
            let answer = try await model.answer(
                job, passages: sources, timeout: min(left ?? choice.timeout, choice.timeout), onDelta: onDelta)
            return ended(.success(counted(answer, marks)), since: started)
        } catch {
            return ended(.failure(counted(error, marks)), since: started)
        }
    }

    @inline(never)
    private func ended(_ result: Result<Answer, JobFailure>, since started: Duration) -> Call {
        let length = clock.now - started
        agent.metrics.generation.recordNanoseconds(length.wholeNanoseconds)
        return Call(result: result, length: length)
    }

    /// Opens a call in the ledger, in the turn of the loop in which it begins. What costs nothing is in none.
    @inline(never)
    private func open(_ model: any AnswerModel, _ job: Job, _ sources: [Source]) -> [CallMark] {
        model.isLocal ? [] : open(model, job, promptTokens: PromptSize.tokens(of: job, sources))
    }

    private func open(_ model: any AnswerModel, _ job: Job, promptTokens: Int) -> [CallMark] {
        guard let expenses, !model.isLocal else { return [] }
        var estimate = Usage(promptTokens: promptTokens, completionTokens: 0)
        estimate.isEstimated = true
        estimate.cost = choice.prices?.cost(of: estimate)
        return [expenses.open(estimate, of: job.options.model ?? model.name, for: job, by: agent)]
    }

    @inline(never)
    private func counted(_ answer: Answer, _ marks: [CallMark]) -> Answer {
        agent.metrics.promptTokensSpared.increment(by: answer.sparedTokens)
        return answer.spending(counted(answer.usage), marks)
    }

    @inline(never)
    private func counted(_ failure: JobFailure, _ marks: [CallMark]) -> JobFailure {
        agent.metrics.modelCallsFailed.increment()
        guard let call = failure.call else {
            expenses?.close(marks)
            return failure
        }
        return failure.losing(LostCall(model: call.model, usage: counted(call.usage), marks: marks))
    }

    /// With what it costs.
    private func counted(_ usage: Usage) -> Usage {
        var usage = usage
        usage.cost = choice.prices?.cost(of: usage)
        agent.metrics.promptTokens.increment(by: usage.promptTokens)
        agent.metrics.completionTokens.increment(by: usage.completionTokens)
        return usage
    }

    /// What a call says of the model's service.
    ///
    /// - Parameter isFirstTry: a job that is tried again says nothing of the service when it fails.
    /// - Returns: what the gate is to learn of it.
    func judge(_ call: Call, isFirstTry: Bool) -> Gate.Result {
        guard let failure = call.failure else {
            health.succeeded(choice.service)
            return .answered(after: call.length)
        }
        return judge(failure, after: call.length, isFirstTry)
    }

    @inline(never)
    private func judge(_ failure: JobFailure, after length: Duration, _ isFirstTry: Bool) -> Gate.Result {
        // Its pool of endpoints has taken note.
        if failure.isOfOneEndpoint {
            return failure.blame == .job && failure.code != .modelTimeout ? .answered(after: length) : .unanswered
        }
        switch failure.blame {
        case .overload:
            health.pause(choice.service, failure.message, for: failure.retryAfter)
            return .overloaded
        case .absence:
            health.failed(choice.service, failure.message, .absent)
            return .unanswered
        case .gateway:
            if isFirstTry { health.failed(choice.service, failure.message, .absent) }
            return .unanswered
        case .job:
            if failure.code == .modelRejected {
                health.succeeded(choice.service)
            } else if isFirstTry, failure.code != .internal {
                health.failed(choice.service, failure.message, .ill)
            }
            return failure.code == .modelTimeout ? .unanswered : .answered(after: length)
        }
    }

    /// What a job is told that the gate does not let in.
    var absence: JobFailure {
        let absence = health.absence(of: choice.service)
        return JobFailure(
            .modelUnavailable, absence?.reason ?? "the model is away", retryAfter: absence?.retryAfter,
            blame: .absence)
    }
}
