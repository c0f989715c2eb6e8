/// Why a model stopped, in the words of many servers.
enum FinishReason: Sendable, Equatable {
    /// It said what it had to say.
    case end
    /// The limit of tokens was reached.
    case cut
    /// The content was objected to.
    case filtered
    /// Something failed: what came before is no whole answer.
    case broken
    /// A word that is not known. What came with it is believed.
    case unknown

    /// Nil when `word` says nothing: the model has not stopped.
    init?(_ word: String) {
        // What nearly all answers end with.
        if word == "stop" {
            self = .end
            return
        }
        let word = String(word.lowercased().map { $0 == "-" || $0 == " " ? "_" : $0 })
        if Self.nothing.contains(word) { return nil }
        self =
            if Self.ends.contains(word) {
                .end
            } else if Self.cuts.contains(word) {
                .cut
            } else if Self.objections.contains(word) || word.contains("content_filter") {
                .filtered
            } else if Self.failures.contains(word) || word.hasPrefix("error") || word.hasSuffix("_error")
                || word.contains("malformed")
            {
                .broken
            } else {
                .unknown
            }
    }

    private static let nothing: Set<String> = ["", "null", "none", "nil", "undefined"]
    private static let ends: Set<String> = [
        "stop", "stopped", "end", "eos", "eos_token", "eot", "endoftext", "end_of_text", "end_of_sequence", "end_turn",
        "end_of_turn", "stop_sequence", "stop_token", "stop_string", "stop_str", "stop_word", "tool_calls", "tool_call",
        "tool_use", "function_call", "complete", "completed", "finish", "finished", "done", "success", "normal",
    ]
    private static let cuts: Set<String> = [
        "length", "limit", "max_tokens", "max_length", "max_new_tokens", "max_output_tokens", "max_completion_tokens",
        "model_length", "token_limit", "context_length", "context_window", "model_context_window_exceeded",
        "incomplete",
    ]
    private static let objections: Set<String> = [
        "content_filter", "content_filtered", "content_policy", "content_policy_violation", "safety", "sensitive",
        "refusal", "recitation", "blocklist", "prohibited_content", "spii", "image_safety", "guardrail",
        "guardrail_intervened", "guardrails", "moderation", "violation", "error_toxic",
    ]
    private static let failures: Set<String> = [
        "abort", "aborted", "insufficient_system_resource", "cancel", "cancelled", "canceled", "timeout", "timed_out",
        "time_limit", "failed", "failure", "engine_overloaded", "overloaded", "oom", "out_of_memory", "interrupted",
        "user_cancel", "preempted", "disconnect", "disconnected", "unavailable", "crash", "exception",
        "unexpected_tool_call",
    ]
}
