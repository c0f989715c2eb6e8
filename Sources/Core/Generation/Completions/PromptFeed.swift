import ChatJobs

/// `model.feed: prompts`: how many prompts a call of `/completions` has, and how they are written.
package struct PromptFeed: Sendable, Equatable {
    /// `model.template`
    package var template: ChatTemplate
    /// `model.max_batch`
    package var maxBatch: Int
    /// `model.max_batch_tokens`: prompts and answers of a call, by estimate.
    package var maxTokens: Int

    package init(template: ChatTemplate, maxBatch: Int = 16, maxTokens: Int = 32_768) {
        self.template = template
        self.maxBatch = maxBatch
        self.maxTokens = maxTokens
    }
}

/// What a job makes of itself for a call that it shares with others.
package final class ArrayPrompt: Sendable {
    let request: GenerationRequest
    let text: String
    /// The passages that are in it.
    let offered: [Source]
    /// See ``Generation/sparedTokens``.
    let sparedTokens: Int
    /// Of the prompt, by estimate.
    package let promptTokens: Int
    /// The most that its answer may have.
    let answerTokens: Int

    /// For jobs that name no `max_tokens`: servers' own default is 16.
    static let usualAnswer = 1024

    init(_ request: GenerationRequest, _ prompt: PromptTemplate, _ template: ChatTemplate) {
        let (messages, offered, spared) = prompt.prompt(for: request)
        self.request = request
        self.offered = offered
        sparedTokens = spared
        text = template.prompt(for: messages)
        promptTokens = TokenEstimate.tokens(in: text)
        answerTokens = request.maxTokens ?? Self.usualAnswer
    }

    /// What has to be equal among the prompts of one call.
    package var group: String {
        func text(_ value: (some CustomStringConvertible)?) -> String { value.map(\.description) ?? "-" }
        return "\(text(request.temperature)) \(text(request.maxTokens)) \(text(request.seed)) \(text(request.model))"
    }
}
