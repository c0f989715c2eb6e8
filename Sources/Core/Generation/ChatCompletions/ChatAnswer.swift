import ChatJobs
import ParleyJSON

/// What a service answered, gathered from one object or from many.
struct ChatAnswer: Sendable {
    /// The name its service gives the model.
    private(set) var model: String?
    /// Text has come, thinking included.
    private(set) var hasBegun = false
    /// Anything that belongs to an answer has come.
    private(set) var hasChoice = false
    /// A whole answer in one object, which needs no word for its end.
    private(set) var isWhole = false
    /// How much has come, to see whether more comes.
    private(set) var pieces = 0
    private(set) var promptTokens: Int?
    private(set) var completionTokens: Int?
    private(set) var cachedTokens: Int?

    /// That of the choice which is read.
    private var index: Int?
    private(set) var finishReason: String?
    /// What stands behind a gateway's word for the end.
    private var nativeReason: String?
    private var refusal = ""

    private(set) var thinking = ThinkingFilter()
    private let keepsThinking: Bool
    /// Text and thinking, when that is kept.
    private var kept = ""
    private var isThinkingApart = false
    private var hasThoughtApart = false
    /// What came as whole messages, one after the other.
    private var snapshot: String?

    init(keepsThinking: Bool = false, expectation: ThinkingFilter.Expectation = .no) {
        self.keepsThinking = keepsThinking
        thinking.expect(expectation)
    }

    /// The answer as it is wanted.
    var text: String { keepsThinking ? kept : thinking.answer }

    /// Text has come that is no thinking.
    var hasText: Bool { !thinking.answer.isEmpty }

    /// A model has been at work.
    var isOfModel: Bool { hasBegun || hasChoice || promptTokens != nil }

    /// The model has said why it stopped.
    var hasEnded: Bool { isWhole || reason != nil }

    var reason: FinishReason? { finishReason.flatMap { FinishReason($0) } }

    // MARK: - Taking

    /// Takes what a whole answer or a piece of one brings.
    ///
    /// - Parameter isAlone: it did not come as an event of a stream.
    /// - Returns: what it adds to ``text``.
    mutating func take(_ root: JSONElement, isAlone: Bool) throws(UnreadableContent) -> String {
        if model == nil, let named = root["model"]?.string, !named.isEmpty {
            model = named
            if !hasBegun { thinking.expect(ThinkingFilter.Expectation(ofModel: named)) }
        }
        let choices = root["choices"]?.elements ?? []
        let choice = choice(among: choices)
        takeUsage(root["usage"] ?? choice?["usage"] ?? root["x_groq"]?["usage"])
        if let choice {
            takeReason(choice["finish_reason"], native: choice["native_finish_reason"] ?? root["native_finish_reason"])
            let delta = choice["delta"]
            if let message = choice["message"], message.kind == .object, delta?.count ?? 0 == 0 {
                guard isAlone else { return try take(message: message) }
                isWhole = true
                return try take(part: message)
            }
            if let delta, delta.kind == .object { return try take(part: delta) }
            guard let text = choice["text"]?.string else { return "" }
            if isAlone { isWhole = true }
            hasChoice = true
            return add(text)
        }
        // Ollama's own interface, a line a piece.
        guard choices.isEmpty, let done = root["done"]?.bool, let message = root["message"], message.kind == .object
        else { return "" }
        let text = try take(part: message)
        if done {
            finishReason = root["done_reason"]?.string ?? "stop"
            takeUsage(prompt: root["prompt_eval_count"], completion: root["eval_count"])
        }
        return text
    }

    /// One answer is asked for, with the index 0; some servers count from one.
    private mutating func choice(among choices: [JSONElement]) -> JSONElement? {
        let wanted = index ?? 0
        let named = choices.first { ($0["index"]?.int ?? 0) == wanted }
        guard let choice = named ?? (index == nil ? choices.first : nil) else { return nil }
        index = choice["index"]?.int ?? 0
        return choice
    }

    /// The text has ended: what it adds to ``text``.
    mutating func end() -> String {
        let rest = thinking.end(isCut: reason == .cut)
        return keepsThinking ? keep(closeThought()) : keep(rest)
    }

    /// Messages in a stream hold all of the answer so far, or repeat what came in pieces.
    private mutating func take(message: JSONElement) throws(UnreadableContent) -> String {
        hasChoice = true
        if snapshot == nil, hasBegun { return "" }
        let content = try Content(message)
        let before = snapshot ?? ""
        let goesOn = content.text.utf8.starts(with: before.utf8)
        snapshot = goesOn ? content.text : before + content.text
        let added =
            goesOn ? String(decoding: content.text.utf8.dropFirst(before.utf8.count), as: UTF8.self) : content.text
        return take(Content(text: added, thinking: content.thinking, refusal: content.refusal))
    }

    private mutating func take(part: JSONElement) throws(UnreadableContent) -> String {
        hasChoice = true
        return take(try Content(part))
    }

    private mutating func take(_ content: Content) -> String {
        refusal += content.refusal
        var added = content.thinking.isEmpty ? "" : add(thought: content.thinking)
        if !content.text.isEmpty { added += add(content.text) }
        return added
    }

    private mutating func add(_ text: String) -> String {
        guard !text.isEmpty else { return "" }
        hasBegun = true
        pieces += 1
        let added = thinking.feed(text)
        return keepsThinking ? keep(closeThought() + text) : keep(added)
    }

    private mutating func add(thought: String) -> String {
        hasBegun = true
        pieces += 1
        hasThoughtApart = true
        let released = thinking.thinkingComesApart()
        guard keepsThinking else { return keep(released) }
        let opening = isThinkingApart ? "" : "<think>\n"
        isThinkingApart = true
        return keep(opening + thought)
    }

    private mutating func closeThought() -> String {
        guard isThinkingApart else { return "" }
        isThinkingApart = false
        return "\n</think>\n\n"
    }

    private mutating func keep(_ added: String) -> String {
        if keepsThinking { kept += added }
        return added
    }

    private mutating func takeReason(_ reason: JSONElement?, native: JSONElement?) {
        if let word = native?.string, !word.isEmpty { nativeReason = word }
        guard let reason, !reason.isNull else { return }
        hasChoice = true
        // SGLang's own: {"type": "stop", "matched": 2}.
        let word = reason.string ?? reason["type"]?.string ?? String(decoding: reason.raw.prefix(40), as: UTF8.self)
        guard FinishReason(word) != nil else { return }
        finishReason = word
    }

    // MARK: - Judging

    /// Whether this is an answer to be delivered. An end is believed only where it is known to be none of a failure, and
    /// text is what an answer is made of.
    func check(_ failures: FailureMapping) throws(JobFailure) {
        let kinds = [reason, nativeReason.flatMap { FinishReason($0) }]
        if kinds.contains(.filtered) {
            throw failures.unusable("its content filter refused this prompt or its answer (\(shownReasons(failures)))")
        }
        let isEmpty = thinking.answer.isEmpty
        if kinds.contains(.broken) {
            let what = isEmpty ? "its answer is empty, it failed" : "its answer broke off"
            throw failures.garbage("\(what) (\(shownReasons(failures)))")
        }
        guard isEmpty else { return }
        if !refusal.trimmed.isEmpty { throw failures.unusable("it refused: \(failures.clean(refusal.trimmed))") }
        guard hasChoice else { throw failures.garbage("its answer is empty, it has no choices") }
        if reason == .cut {
            throw failures.unusable(
                "its answer is empty: thinking used up all the tokens it may write (\(shownReasons(failures))); allow more "
                    + "with max_tokens, or have it think less")
        }
        let but = hasBegun ? ", it only thought" : ""
        throw failures.garbage("its answer is empty\(but) (\(shownReasons(failures)))")
    }

    private func shownReasons(_ failures: FailureMapping) -> String {
        func shown(_ word: String?) -> String {
            word.map { "\"\(failures.clean(String($0.prefix(40))))\"" } ?? "missing"
        }
        return "finish_reason \(shown(finishReason))"
            + (nativeReason == nil ? "" : ", native_finish_reason \(shown(nativeReason))")
    }

    // MARK: - Usage

    private mutating func takeUsage(_ usage: JSONElement?) {
        guard let usage, usage.kind == .object else { return }
        takeUsage(
            prompt: usage["prompt_tokens"] ?? usage["input_tokens"],
            completion: usage["completion_tokens"] ?? usage["output_tokens"])
        // OpenAI, vLLM, llama.cpp; DeepSeek; Moonshot; Anthropic.
        let details = usage["prompt_tokens_details"] ?? usage["input_tokens_details"]
        cachedTokens =
            Self.count(
                details?["cached_tokens"] ?? usage["prompt_cache_hit_tokens"] ?? usage["cached_tokens"]
                    ?? usage["cache_read_input_tokens"]) ?? cachedTokens
    }

    private mutating func takeUsage(prompt: JSONElement?, completion: JSONElement?) {
        promptTokens = Self.count(prompt) ?? promptTokens
        completionTokens = Self.count(completion) ?? completionTokens
    }

    /// Nil for what is no count: null, negative, absurd. A prompt or an answer of no tokens was not counted.
    private static func count(_ value: JSONElement?) -> Int? {
        guard let number = value?.double, number.isFinite, number > 0, number < 1e12 else { return nil }
        return Int(number.rounded(.up))
    }

    /// As counted by the service, else estimated.
    func usage(of messages: @autoclosure () -> [ChatMessage]) -> Usage {
        let prompt =
            promptTokens
            ?? messages().reduce(0) { $0 + TokenEstimate.tokens(in: $1.content) + TokenEstimate.perMessage }
        var usage = Usage(
            promptTokens: prompt, completionTokens: completionTokens ?? TokenEstimate.tokens(in: text),
            cachedTokens: min(cachedTokens ?? 0, prompt))
        usage.isEstimated = promptTokens == nil || completionTokens == nil
        return usage
    }
}

/// A message's content is of a kind that is no text.
struct UnreadableContent: Error, Sendable {}
