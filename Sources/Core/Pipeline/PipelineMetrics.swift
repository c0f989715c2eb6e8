import Answering
import ChatJobs
import Metrics

/// What operators can see of the pipeline. Names are part of the product; they follow Prometheus' conventions.
struct PipelineMetrics: Sendable {
    /// Jobs per window.
    let windowSize = Recorder(label: "parley_window_size")
    let inFlight = Gauge(label: "parley_jobs_in_flight")
    let modelRunning = Gauge(label: "parley_model_calls_in_flight")
    let modelQueued = Gauge(label: "parley_model_queue")
    /// Deliveries that the broker had made before.
    let redelivered = Counter(label: "parley_redeliveries_total")
    /// Jobs answered from a stored result, without a model call.
    let replayed = Counter(label: "parley_replays_total")
    /// Replies that no queue took.
    let unroutable = Counter(label: "parley_replies_unroutable_total")
    /// Deliveries put aside because another worker answers their job.
    let elsewhere = Counter(label: "parley_jobs_in_work_elsewhere_total")
    /// Jobs given up because too many workers died of them.
    let workerLost = Counter(label: "parley_worker_lost_total")
    let handedBack = Counter(label: "parley_jobs_handed_back_total")
    let chunks = Counter(label: "parley_chunks_total")
    let modelCalls = Counter(label: "parley_model_calls_total")
    let promptTokens = Counter(label: "parley_prompt_tokens_total")
    let completionTokens = Counter(label: "parley_completion_tokens_total")
    /// From arrival in the worker to settlement.
    let duration = Timer(label: "parley_job_duration_seconds")
    let retrieval = Timer(label: "parley_stage_duration_seconds", dimensions: [("stage", "retrieve")])
    let generation = Timer(label: "parley_stage_duration_seconds", dimensions: [("stage", "generate")])
    let settling = Timer(label: "parley_stage_duration_seconds", dimensions: [("stage", "settle")])

    private let statuses: [Reply.Status: Counter]
    private let deadLetters: [ErrorCode: Counter]
    private let retries: [ErrorCode: Counter]
    private let delayed = Counter(label: "parley_delayed_total")

    init() {
        statuses = Dictionary(
            uniqueKeysWithValues: Reply.Status.allCases.map {
                ($0, Counter(label: "parley_jobs_total", dimensions: [("status", $0.rawValue)]))
            })
        deadLetters = Dictionary(
            uniqueKeysWithValues: ErrorCode.allCases.map {
                ($0, Counter(label: "parley_dead_letters_total", dimensions: [("code", $0.rawValue)]))
            })
        retries = Dictionary(
            uniqueKeysWithValues: ErrorCode.allCases.filter(\.isRetryable).map {
                ($0, Counter(label: "parley_retries_total", dimensions: [("code", $0.rawValue)]))
            })
    }

    func settled(_ status: Reply.Status) { statuses[status]?.increment() }
    func deadLettered(_ code: ErrorCode) { deadLetters[code]?.increment() }
    /// A job went to the delay queues: after a failure, or for another reason.
    func postponed(_ code: ErrorCode?) { if let code { retries[code]?.increment() } else { delayed.increment() } }
    func away(_ service: Dependency, _ isAway: Bool) {
        Gauge(label: "parley_service_away", dimensions: [("service", service.description)]).record(isAway ? 1 : 0)
    }
}

extension Duration {
    /// For timers; wraps after 292 years.
    var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds.multipliedReportingOverflow(by: 1_000_000_000).partialValue &+ attoseconds / 1_000_000_000
    }

    var milliseconds: Double { Double(nanoseconds) / 1e6 }
}
