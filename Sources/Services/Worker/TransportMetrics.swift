import Metrics
import ParleyHTTP
import ParleyPrimitives
import Telemetry

extension HTTPWaiting {
    /// Requests to `service` that wait for a connection, as metrics.
    init(service: String) {
        let dimensions = [("service", service)]
        let waiting = Gauge(label: "parley_http_waiting", dimensions: dimensions)
        let waits = Timer(label: "parley_http_wait_seconds", dimensions: dimensions)
        self.init(
            changed: { waiting.record($0) },
            ended: { waits.recordNanoseconds($0.wholeNanoseconds) })
    }
}

/// Says what the metrics mean: each has its sentence (docs/runbook.md says when to worry).
func describeMetrics(in registry: MetricsRegistry) {
    let sentences: KeyValuePairs = [
        "parley_service_away": "1 while no jobs are taken because of the service.",
        "parley_connected": "Whether there is a connection to the service.",
        "parley_disconnects_total": "Connections lost, and attempts that failed.",
        "parley_rabbitmq_blocked": "1 while the broker takes no messages: a memory or disk alarm.",
        "parley_jobs_total": "Jobs ended, by the status of their reply.",
        "parley_jobs_in_flight": "Jobs taken and not yet settled.",
        "parley_jobs_handed_back_total": "Jobs given back to their queue at shutdown.",
        "parley_jobs_id_conflicts_total": "Jobs under an id that belongs to another job.",
        "parley_jobs_in_work_elsewhere_total": "Jobs put aside because another worker has them.",
        "parley_job_duration_seconds": "From a job's arrival in the worker to its settlement.",
        "parley_stage_duration_seconds": "How long a stage of a job took.",
        "parley_window_size": "Jobs in a window.",
        "parley_chunks_total": "Pieces of streamed answers published.",
        "parley_replays_total": "Jobs answered from a stored result.",
        "parley_replies_unroutable_total": "Replies whose queue was gone.",
        "parley_dead_letters_total": "Dead letters written, by error code.",
        "parley_retries_total": "Failures that are tried again, by error code.",
        "parley_delayed_total": "Jobs put aside without a failure.",
        "parley_redeliveries_total": "Deliveries that the broker had made before.",
        "parley_worker_lost_total": "Jobs given up because workers died of them.",
        "parley_questions_total": "Questions, by the agent that answers them.",
        "parley_retrievals_reused_total": "Searches not made, because what they find was known.",
        "parley_retrievals_spared_total": "Searches not made, because the question needs no passages.",
        "parley_answers_refused_total": "Questions answered with prompt.refusal, since no passages were found.",
        "parley_answers_ungrounded_total": "Answers that name none of the passages that the model was given.",
        "parley_embeddings_reused_total": "Questions whose vectors were known: the embedder was not asked.",
        "parley_reranks_total": "Questions whose passages the reranking service was asked about, by what came of it.",
        "parley_model_calls_total": "Calls to the model.",
        "parley_model_calls_failed_total": "Calls to the model that came to no answer.",
        "parley_model_calls_in_flight": "Calls to the model that are under way.",
        "parley_model_concurrency_limit": "Calls to the model that may be under way now.",
        "parley_model_batch_size": "Prompts in a call to a model that takes several.",
        "parley_batches_total": "Batches of bulk jobs at the model's provider, by what became of them.",
        "parley_endpoint_requests_total":
            "Calls that an endpoint of a model was asked, those that others then answered included.",
        "parley_endpoint_failures_total": "Calls that an endpoint of a model did not answer.",
        "parley_endpoint_calls_in_flight": "Calls to the endpoint that are under way.",
        "parley_endpoint_away": "1 while an endpoint of a model is left out: it is away, ill, or wants a pause.",
        "parley_hedges_total": "Second calls to the model, made because the first was late.",
        "parley_hedges_won_total": "Second calls to the model that answered before the first.",
        "parley_fallbacks_total": "Answers given by a model that stood in for the agent's own.",
        "parley_limit_waits_total": "Times that a limit of a model, agent or tenant was found used up.",
        "parley_limit_delays_total": "Jobs put off to the delay queues because a limit is used up.",
        "parley_objects_total": "Answers kept as objects, and bodies read from them.",
        "parley_objects_failed_total": "Objects that could not be kept, or read.",
        "parley_model_queue": "Jobs that wait for a call to the model.",
        "parley_prompt_tokens_total": "Tokens of prompts, as the model's service counts them.",
        "parley_answers_reused_total": "Answers given that were not made for the job, by where they came from.",
        "parley_cache_misses_total": "Questions whose answer was not there, and had to be made.",
        "parley_tokens_saved_total": "Tokens of the model's calls that reused answers made needless.",
        "parley_prompt_tokens_spared_total":
            "Tokens, about, of passages that were found and not shown to the model: said before, or beyond prompt.context_tokens.",
        "parley_cache_refreshes_total": "Answers made anew before they expired, while the old ones were given.",
        "parley_cache_memory_bytes": "What the answers kept in memory take, about.",
        "parley_cache_memory_entries": "Answers kept in memory.",
        "parley_completion_tokens_total":
            "Tokens of answers, those that broke off included, as the model's service counts them.",
    ]
    for (label, sentence) in sentences { registry.describe(label, sentence) }
    registry.describe(
        "parley_loop_lag_seconds",
        "How long the turns of the I/O loop took: a heartbeat, a timer or an answer that came meanwhile waited so long."
    )
    registry.describe("parley_http_waiting", "Requests that wait for a connection to the service.")
    registry.describe(
        "parley_http_wait_seconds", "How long those requests waited for a connection that had to; others do not count.")
}
