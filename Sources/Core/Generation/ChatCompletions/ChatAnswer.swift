import ChatJobs
import ParleyJSON

/// What a service answered, whole or gathered from a stream.
struct ChatAnswer {
    var text = ""
    var model: String?
    var finishReason: String?
    var counted: Usage?

    init() {}

    /// Reads a `chat.completion` object.
    init(_ body: [UInt8], _ failures: FailureMapping) throws(JobFailure) {
        let root: JSONElement
        do throws(JSONError) { root = try JSONDocument(body).root } catch {
            throw failures.garbage("its answer is not JSON (\(error))")
        }
        // Some gateways answer 200 and mean an error.
        if let error = root["error"], !error.isNull { throw failures.failure(midAnswer: error) }
        guard let choice = root["choices"]?.elements.first else { throw failures.garbage("its answer has no choices") }
        guard let message = choice["message"], message.kind == .object else {
            throw failures.garbage("its answer has no message")
        }
        takeFacts(root, choice)
        switch message["content"] {
        case let content? where content.kind == .string: text = content.string ?? ""
        case nil: break
        case let content? where content.isNull: break
        default: throw failures.garbage("its message's content is not a string")
        }
        try check(failures)
    }

    /// Takes what whole answers and chunks have in common.
    mutating func takeFacts(_ root: JSONElement, _ choice: JSONElement?) {
        if model == nil, let named = root["model"]?.string, !named.isEmpty { model = named }
        if let reason = choice?["finish_reason"]?.string { finishReason = reason }
        if let usage = root["usage"], let prompt = usage["prompt_tokens"]?.int,
            let completion = usage["completion_tokens"]?.int
        {
            counted = Usage(promptTokens: max(0, prompt), completionTokens: max(0, completion))
        }
    }

    /// An empty answer counts only when the model chose to say nothing, or was not allowed to say more.
    func check(_ failures: FailureMapping) throws(JobFailure) {
        if finishReason == "content_filter" {
            throw JobFailure(
                .modelRejected, "the model's content filter at \(failures.url) refused this prompt or its answer")
        }
        guard text.isEmpty, finishReason != "stop", finishReason != "length" else { return }
        throw failures.garbage(
            "its answer is empty (finish_reason \(finishReason.map { "\"\($0.prefix(40))\"" } ?? "missing"))")
    }

    /// As counted by the service, else estimated.
    func usage(of messages: [ChatMessage]) -> Usage {
        counted
            ?? Usage(
                promptTokens: messages.reduce(0) {
                    $0 + TokenEstimate.tokens(in: $1.content) + TokenEstimate.perMessage
                },
                completionTokens: TokenEstimate.tokens(in: text))
    }
}
