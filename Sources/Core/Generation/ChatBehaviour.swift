/// What a request to a chat model can do without.
package enum ChatParameter: String, Sendable, CaseIterable {
    case temperature
    case seed
    case maxTokens = "max_tokens"
    case streamOptions = "stream_options"
}

/// What an operator decides about the requests to a chat model and about its answers.
package struct ChatBehaviour: Sendable, Equatable {
    /// Have the server stream even when the job does not want to. Some servers, llama.cpp among them, notice an abandoned
    /// request late unless it streams, so cancelled jobs keep their slot; streaming costs some CPU on both sides.
    package var alwaysStreams: Bool
    /// Never sent, not even when a job asks for them.
    package var omitted: Set<ChatParameter>
    /// Leave a model's thinking in its answer, between `<think>` and `</think>` at the front.
    package var keepsThinking: Bool

    package init(alwaysStreams: Bool = false, omitted: Set<ChatParameter> = [], keepsThinking: Bool = false) {
        self.alwaysStreams = alwaysStreams
        self.omitted = omitted
        self.keepsThinking = keepsThinking
    }
}
