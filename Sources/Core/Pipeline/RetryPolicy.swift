import ChatJobs

/// Whether a failed job gets another attempt, and when.
package struct RetryPolicy: Sendable, Equatable {
    /// `retry.max_attempts`: attempts in all. Default 5.
    package var maxAttempts = 5
    /// `retry.base`: the ceiling of the first back-off. Default 1 s.
    package var base: Duration = .seconds(1)
    /// `retry.factor`: how the ceiling grows with each attempt. Default 2.
    package var factor = 2.0
    /// `retry.max`: the highest ceiling. Default 10 min.
    package var max: Duration = .seconds(600)
    /// `retry.max_deliveries`: how many workers a job may take down with it. Default 3.
    package var maxDeliveries = 3

    package init() {}

    /// A job that is only ever refused for want of capacity is given up after so many refusals for each attempt allowed.
    static let deferralsPerAttempt = 4

    /// When the job is tried again; nil when it has failed for good.
    ///
    /// A back-off is drawn uniformly from 0 to base × factor^(n−1), at most max ("full jitter": Brooker, Exponential
    /// Backoff And Jitter, AWS Architecture Blog, 2015). A service's own wish (Retry-After) is the least it can be.
    ///
    /// - Parameters:
    ///   - attempt: the attempt that failed, from 1.
    ///   - deferrals: how often the job was put aside without an attempt being counted.
    ///   - isCounted: whether the failed attempt counts.
    ///   - random: uniform in 0 ..< 1.
    func next(
        after failure: JobFailure, attempt: Int, deferrals: Int, isCounted: Bool, random: Double
    ) -> Postponement? {
        guard failure.code.isRetryable else { return nil }
        if !isCounted, failure.blame == .absence || failure.blame == .gateway {
            // No growing back-off: while the service is away nobody takes jobs.
            let delay = Swift.max(.seconds(1), failure.retryAfter ?? .zero) + .milliseconds(Int(2000 * random))
            return Postponement(delay: delay, attempts: attempt - 1, deferrals: deferrals)
        }
        let step: Int
        if isCounted {
            guard attempt < maxAttempts else { return nil }
            step = attempt
        } else {
            guard deferrals < maxAttempts * Self.deferralsPerAttempt else { return nil }
            step = deferrals + 1
        }
        let ceiling = Swift.min(max / .seconds(1), base / .seconds(1) * power(factor, step - 1))
        var delay = ceiling * random
        if let wish = failure.retryAfter { delay = Swift.max(delay, wish / .seconds(1) * (1 + random / 10)) }
        return Postponement(
            delay: .milliseconds(Int64((delay * 1000).rounded(.up))), attempts: isCounted ? attempt : attempt - 1,
            deferrals: isCounted ? deferrals : deferrals + 1)
    }

    private func power(_ base: Double, _ exponent: Int) -> Double {
        var result = 1.0
        for _ in 0..<Swift.min(exponent, 1000) { result *= base }
        return result
    }
}

/// A job's wait in the broker.
struct Postponement: Sendable, Equatable {
    var delay: Duration
    /// Attempts that count when it is back.
    var attempts: Int
    var deferrals: Int
}
