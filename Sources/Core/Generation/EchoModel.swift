import ChatJobs

/// Answers with the question: for measuring everything around the model, and for trying out producers.
package struct EchoModel: LanguageModel {
    static let url = "builtin:echo"

    package init() {}

    /// Streamed, the answer comes word by word.
    package func generate(
        _ request: GenerationRequest, onDelta: DeltaHandler?
    ) async throws(JobFailure) -> Generation {
        if let onDelta {
            for word in words(of: request.query) { try await pass(String(word), to: onDelta) }
        }
        let tokens = TokenEstimate.tokens(in: request.query)
        return Generation(
            answer: request.query, model: Self.url, usage: Usage(promptTokens: tokens, completionTokens: tokens))
    }

    package func check() async -> String? { nil }

    /// Words, each with the white space behind it: joined they are the text again.
    private func words(of text: String) -> [Substring] {
        var words: [Substring] = []
        var start = text.startIndex
        var afterSpace = false
        for index in text.indices {
            let isSpace = text[index].isWhitespace
            if afterSpace, !isSpace {
                words.append(text[start..<index])
                start = index
            }
            afterSpace = isSpace && index != text.startIndex
        }
        if start < text.endIndex { words.append(text[start...]) }
        return words
    }
}
