import Answering
import ChatJobs
import Metrics

/// What operators can see of the pipeline. Names are part of the product; they follow Prometheus' conventions.
struct PipelineMetrics: Sendable {
    /// Jobs per window.
    let windowSize = Recorder(label: "parley_window_size")
    let inFlight = Gauge(label: "parley_jobs_in_flight")
    /// Deliveries that the broker had made before.
    let redelivered = Counter(label: "parley_redeliveries_total")
    /// Jobs answered from a stored result, without a model call.
    let replayed = Counter(label: "parley_replays_total")
    /// Replies that no queue took.
    let unroutable = Counter(label: "parley_replies_unroutable_total")
    /// Deliveries put aside because another worker answers their job.
    let conflicts = Counter(label: "parley_jobs_id_conflicts_total")
    let elsewhere = Counter(label: "parley_jobs_in_work_elsewhere_total")
    /// Jobs given up because too many workers died of them.
    let workerLost = Counter(label: "parley_worker_lost_total")
    let handedBack = Counter(label: "parley_jobs_handed_back_total")
    let chunks = Counter(label: "parley_chunks_total")
    /// From arrival in the worker to settlement.
    let duration = Timer(label: "parley_job_duration_seconds")
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
}
