import ChatJobs

/// How questions are answered; names as in the configuration file.
package struct AnsweringConfiguration: Sendable {
    /// `model.max_concurrency`: the most model calls in flight. Default 512.
    package var modelConcurrency = 512
    /// `model.timeout`: for one call; a job's deadline may shorten it. Default 60 s.
    package var modelTimeout: Duration = .seconds(60)
    /// `retrieval.timeout`: for a window's embedding and search. Default 10 s.
    package var retrievalTimeout: Duration = .seconds(10)
    /// `retrieval.mode`: for jobs that say nothing. Default `auto`.
    package var retrieve: JobOptions.Retrieve = .auto
    /// `retrieval.top_k`: for jobs that say nothing. Default 4.
    package var topK = 4
    /// `priority.max_wait`: whoever has waited for the model for so long goes first. Default 60 s.
    package var priorityMaxWait: Duration = .seconds(60)
    /// Failures in a row after which a service counts as away. Default 10.
    package var breakerThreshold = 10
    /// The longest that a service that asks for a pause is left alone: a minute, or `retry.max` when that is more.
    package var longestPause: Duration = .seconds(600)

    /// `cache.*`; nil: no answer is given twice.
    package var cache: CacheSettings?

    /// `model.prices`; nil: replies say nothing of money.
    package var prices: Prices?

    package init() {}
}
