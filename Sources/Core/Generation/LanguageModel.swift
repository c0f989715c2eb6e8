import ChatJobs

/// What a model is asked: the question, the conversation before it, and the passages found for it.
package struct GenerationRequest: Sendable {
    /// The question.
    package var query: String
    /// Earlier turns, oldest first.
    package var history: [Turn]
    /// Passages to answer from, best first; empty when nothing was looked up or found.
    package var passages: [Source]
    /// The model to ask for; nil means the configured one.
    package var model: String?
    /// 0 … 2; nil means 0.3.
    package var temperature: Double?
    /// The most tokens of the answer; nil leaves the limit to the server.
    package var maxTokens: Int?
    /// For repeatable sampling; nil means 42.
    package var seed: Int?
    /// From the call to the end of the answer. Default 60 s.
    package var timeout: Duration

    package init(
        query: String, history: [Turn] = [], passages: [Source] = [], model: String? = nil, temperature: Double? = nil,
        maxTokens: Int? = nil, seed: Int? = nil, timeout: Duration = .seconds(60)
    ) {
        self.query = query
        self.history = history
        self.passages = passages
        self.model = model
        self.temperature = temperature
        self.maxTokens = maxTokens
        self.seed = seed
        self.timeout = timeout
    }
}

/// A model's answer.
package struct Generation: Sendable, Equatable {
    package var answer: String
    /// The model that answered, as its service names it.
    package var model: String
    /// As the service counted; estimated (``TokenEstimate``) where it did not say.
    package var usage: Usage
    package var finishReason: Reply.FinishReason
    /// What the answer may cite: `[1]` is the first. A chat model's are those that fitted into its prompt,
    /// ``ExtractiveModel``'s are those it quotes.
    package var sources: [Source]
    /// About how many tokens the passages that were found have more than those that the model was shown.
    package var sparedTokens: Int

    package init(
        answer: String, model: String, usage: Usage, finishReason: Reply.FinishReason = .stop, sources: [Source] = [],
        sparedTokens: Int = 0
    ) {
        self.answer = answer
        self.model = model
        self.usage = usage
        self.finishReason = finishReason
        self.sources = sources
        self.sparedTokens = sparedTokens
    }
}

/// Takes the pieces of a streamed answer, in order; the model waits for it before it reads on.
///
/// A ``JobFailure`` it throws ends the call with that failure, any other error with `internal`.
package typealias DeltaHandler = @Sendable (_ delta: String) async throws -> Void

/// Something that answers questions.
package protocol LanguageModel: Sendable {
    /// Asks the model and waits for its answer. Runs where the caller runs: on an actor of an I/O loop, without a hop.
    ///
    /// Cancelling the task aborts the transfer; the call then throws `model_unavailable`, so a caller that cancels
    /// looks at `Task.isCancelled` before it blames the model.
    /// - Parameter onDelta: takes the answer piece by piece as it comes; nil when only the whole is wanted.
    /// - Throws: `model_rejected` (the service refuses this prompt), `model_unavailable` (it fails, cannot be reached
    ///   or answers garbage), `model_timeout`, `rate_limited` (with `retryAfter` when the service says), or what
    ///   `onDelta` threw; nothing else.
    func generate(
        _ request: GenerationRequest, onDelta: DeltaHandler?
    ) async throws(JobFailure) -> Generation

    /// Nil when the model can be used, else one sentence that says what is wrong and what to do.
    func check() async -> String?

    /// Whether its service answers at all; asks it for nothing that costs.
    func isThere() async -> Bool

    /// Sends another key from the next call on.
    func useKey(_ key: String) throws(GenerationConfigurationError)
}

extension LanguageModel {
    /// Without a service there is none that could be away.
    package func isThere() async -> Bool { true }
    package func useKey(_ key: String) {}
}

/// Hands `delta` to `handler`; errors become failures of the job.
func pass(_ delta: String, to handler: DeltaHandler) async throws(JobFailure) {
    do {
        try await handler(delta)
    } catch let failure as JobFailure {
        throw failure
    } catch {
        throw JobFailure(.internal, "a piece of the answer could not be passed on: \(error)")
    }
}
