/// How questions are answered; names as in the configuration file.
package struct AnsweringConfiguration: Sendable {
    /// Of the default agent.
    package var agent = AgentConfiguration()
    /// `priority.max_wait`: whoever has waited for the model for so long goes first. Default 60 s.
    package var priorityMaxWait: Duration = .seconds(60)
    /// Failures in a row after which a service counts as away. Default 10.
    package var breakerThreshold = 10
    /// The longest that a service that asks for a pause is left alone: a minute, or `retry.max` when that is more.
    package var longestPause: Duration = .seconds(600)

    /// `tenants.<name>.weight`; 1 where there is none.
    package var tenantWeights: [String: Int] = [:]
    /// `limits.requests_per_minute` and so on.
    package var limits = LimitRules()

    /// `cache.*`; nil: no answer is given twice.
    package var cache: CacheSettings?

    package init() {}
}
