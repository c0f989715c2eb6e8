import Metrics

/// What operators can see of answering. Names are part of the product; they follow Prometheus' conventions.
struct AnsweringMetrics: Sendable {
    let modelRunning = Gauge(label: "parley_model_calls_in_flight")
    let modelQueued = Gauge(label: "parley_model_queue")
    let modelCalls = Counter(label: "parley_model_calls_total")
    let promptTokens = Counter(label: "parley_prompt_tokens_total")
    let completionTokens = Counter(label: "parley_completion_tokens_total")
    let retrieval = Timer(label: "parley_stage_duration_seconds", dimensions: [("stage", "retrieve")])
    let generation = Timer(label: "parley_stage_duration_seconds", dimensions: [("stage", "generate")])
}
