import ChatJobs
import Generation
import Pipeline

/// A language model as the pipeline's answering port.
public struct GeneratedAnswers: AnswerModel {
    let model: any LanguageModel

    public init(model: any LanguageModel) { self.model = model }

    public var isLocal: Bool { model is ExtractiveModel || model is EchoModel }

    public func answer(
        _ job: Job, passages: [Source], timeout: Duration, onDelta: DeltaSink?
    ) async throws(JobFailure) -> Answer {
        let request = GenerationRequest(
            query: job.query, history: job.history, passages: passages, model: job.options.model,
            temperature: job.options.temperature, maxTokens: job.options.maxTokens, seed: job.options.seed,
            timeout: timeout)
        let made: Generation
        if model is ExtractiveModel {
            made = try await offTheLoop { () throws(JobFailure) in try await model.generate(request, onDelta: onDelta) }
        } else {
            made = try await model.generate(request, onDelta: onDelta)
        }
        return Answer(text: made.answer, model: made.model, usage: made.usage, sources: made.sources)
    }

    public func probe() async -> Bool { await model.isThere() }
}
