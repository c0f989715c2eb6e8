import Answering
import ChatJobs
import Generation
import Pipeline

/// A language model as the pipeline's answering port.
package struct GeneratedAnswers: AnswerModel {
    let model: any LanguageModel
    /// It computes, and must not hold up the loop.
    private let isExtractive: Bool
    package let isLocal: Bool
    package let name: String

    package init(model: any LanguageModel) {
        self.model = model
        isExtractive = model is ExtractiveModel
        isLocal = isExtractive || model is EchoModel
        name = ((model as? ArrayModel)?.chat ?? model as? ChatCompletionsModel)?.name ?? ""
    }

    package func answer(
        _ job: Job, passages: [Source], timeout: Duration, onDelta: DeltaSink?
    ) async throws(JobFailure) -> Answer {
        if isExtractive { return try await computed(Self.request(job, passages, timeout), onDelta) }
        return Answer(try await model.generate(Self.request(job, passages, timeout), onDelta: onDelta))
    }

    @inline(never)
    private func computed(_ request: GenerationRequest, _ onDelta: DeltaSink?) async throws(JobFailure) -> Answer {
        Answer(try await offTheLoop { () throws(JobFailure) in try await model.generate(request, onDelta: onDelta) })
    }

    @inline(never)
    static func request(_ job: Job, _ passages: [Source], _ timeout: Duration) -> GenerationRequest {
        GenerationRequest(
            query: job.query, history: job.history, passages: passages, model: job.options.model,
            temperature: job.options.temperature, maxTokens: job.options.maxTokens, seed: job.options.seed,
            timeout: timeout)
    }

    package func probe() async -> Bool { await model.isThere() }
}
