import Answering
import ChatJobs
import Generation

/// A language model that takes several prompts in a call, as the pipeline's answering port.
package struct BatchedAnswers: BatchAnswerModel {
    let model: ArrayModel
    private let chats: GeneratedAnswers

    package init(model: ArrayModel) {
        self.model = model
        chats = GeneratedAnswers(model: model)
    }

    package var isLocal: Bool { false }
    package var name: String { chats.name }
    package var maxBatch: Int { model.maxBatch }
    package var maxBatchTokens: Int { model.maxTokens }

    package func answer(
        _ job: Job, passages: [Source], timeout: Duration, onDelta: DeltaSink?
    ) async throws(JobFailure) -> Answer {
        try await chats.answer(job, passages: passages, timeout: timeout, onDelta: onDelta)
    }

    package func probe() async -> Bool { await chats.probe() }

    package func prompt(for job: Job, passages: [Source], timeout: Duration) -> BatchPrompt {
        let prompt = model.prepare(GeneratedAnswers.request(job, passages, timeout))
        return BatchPrompt(
            group: prompt.group, tokens: model.tokens(of: prompt), promptTokens: prompt.promptTokens, content: prompt)
    }

    package func answers(
        to prompts: [BatchPrompt], timeout: Duration
    ) async -> [Result<Answer, JobFailure>] {
        await model.answers(to: prompts.compactMap { $0.content as? ArrayPrompt }, within: timeout)
            .map { $0.map(Answer.init) }
    }
}

extension Answer {
    convenience init(_ made: Generation) {
        self.init(
            text: made.answer, model: made.model, usage: made.usage, finishReason: made.finishReason,
            sources: made.sources, sparedTokens: made.sparedTokens)
    }
}

/// A language model as the answering port that suits it.
package func answeringPort(of model: any LanguageModel) -> any AnswerModel {
    (model as? ArrayModel).map { BatchedAnswers(model: $0) } ?? GeneratedAnswers(model: model)
}
