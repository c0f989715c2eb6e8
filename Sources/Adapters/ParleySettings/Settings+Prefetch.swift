extension Settings {
    /// RabbitMQ takes back what a worker has held for 30 minutes, and closes the channel, unless the broker's
    /// `consumer_timeout` is changed (RabbitMQ documentation, Consumers, "Delivery Acknowledgement Timeout").
    static let consumerTimeout = Duration.seconds(1800)

    /// As many as the model takes at once and at least a window, but no more than it can answer before the broker takes
    /// them back, should every call last `model.timeout`.
    var defaultPrefetch: Int {
        let rounds = max(1, Int(Self.consumerTimeout / longestJob))
        let most = max(jobsAtOnce, worker.window)
        return min(most, jobsAtOnce * rounds, 65_535)
    }

    /// How many the model is busy with; where they go in batches, those of the next ones are to be here when a call ends.
    private var jobsAtOnce: Int {
        model.feed == .prompts ? 2 * model.maxConcurrency * model.maxBatch : model.maxConcurrency
    }

    /// The longest a job takes once the model has a place for it.
    private var longestJob: Duration { model.timeout + retrieval.timeout }

    /// Why the broker may take jobs back from a worker that is only slow; nil when it cannot happen.
    package var prefetchOddity: String? {
        let rounds = (worker.prefetch + jobsAtOnce - 1) / jobsAtOnce
        let longest = longestJob * rounds
        guard rounds > 1, longest > Self.consumerTimeout else { return nil }
        return
            "worker.prefetch \(worker.prefetch) with model.max_concurrency \(model.maxConcurrency): should calls last "
            + "model.timeout, the last of these jobs would be held for \(Int((longest / .seconds(60)).rounded())) minutes, and RabbitMQ takes "
            + "jobs back after its consumer_timeout, 30 minutes unless changed; lower worker.prefetch to "
            + "\(defaultPrefetch), or raise consumer_timeout"
    }
}
