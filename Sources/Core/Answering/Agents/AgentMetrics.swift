import Metrics

/// What operators can see of an agent's answering. Names are part of the product; they follow Prometheus' conventions. Those
/// of the default agent have no label.
struct AgentMetrics: Sendable {
    let questions: Counter
    let retrievalsSpared: Counter
    /// Whose passages were known.
    let retrievalsReused: Counter
    let refused: Counter
    let ungrounded: Counter
    let modelCalls: Counter
    /// Those that came to no answer.
    let modelCallsFailed: Counter
    /// Answers that a model gave which stood in.
    let fallbacks: Counter
    /// Second calls, made because the first was late; and those that answered before it.
    let hedges: Counter
    let hedgesWon: Counter
    /// Prompts in a call, of models that take several.
    let batch: Recorder
    let promptTokens: Counter
    /// Of passages that were found and not shown.
    let promptTokensSpared: Counter
    let completionTokens: Counter
    let retrieval: Timer
    let generation: Timer

    init(agent: String?) {
        let label = agent.map { [("agent", $0)] } ?? []
        questions = Counter(label: "parley_questions_total", dimensions: label)
        retrievalsSpared = Counter(label: "parley_retrievals_spared_total", dimensions: label)
        retrievalsReused = Counter(label: "parley_retrievals_reused_total", dimensions: label)
        refused = Counter(label: "parley_answers_refused_total", dimensions: label)
        ungrounded = Counter(label: "parley_answers_ungrounded_total", dimensions: label)
        modelCalls = Counter(label: "parley_model_calls_total", dimensions: label)
        modelCallsFailed = Counter(label: "parley_model_calls_failed_total", dimensions: label)
        fallbacks = Counter(label: "parley_fallbacks_total", dimensions: label)
        hedges = Counter(label: "parley_hedges_total", dimensions: label)
        hedgesWon = Counter(label: "parley_hedges_won_total", dimensions: label)
        batch = Recorder(label: "parley_model_batch_size", dimensions: label)
        promptTokens = Counter(label: "parley_prompt_tokens_total", dimensions: label)
        promptTokensSpared = Counter(label: "parley_prompt_tokens_spared_total", dimensions: label)
        completionTokens = Counter(label: "parley_completion_tokens_total", dimensions: label)
        retrieval = Timer(label: "parley_stage_duration_seconds", dimensions: [("stage", "retrieve")] + label)
        generation = Timer(label: "parley_stage_duration_seconds", dimensions: [("stage", "generate")] + label)
    }
}

/// What operators can see of the gate in front of a model, under the name of the service: without a label for the default
/// agent's own model, else `agent`, or `model` for one that stands in.
struct GateMetrics: Sendable {
    let running: Gauge
    let queued: Gauge
    let limit: Gauge

    init(_ choice: ModelChoice) {
        let name = choice.service.name
        let label = name.isEmpty ? [] : [(choice.isFallback ? "model" : "agent", name)]
        running = Gauge(label: "parley_model_calls_in_flight", dimensions: label)
        queued = Gauge(label: "parley_model_queue", dimensions: label)
        limit = Gauge(label: "parley_model_concurrency_limit", dimensions: label)
    }
}
