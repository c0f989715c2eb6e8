import ChatJobs

/// Whether a failed job is tried again, when, and at whose expense.
///
/// | blame | counts as | bound |
/// |---|---|---|
/// | `job` | an attempt | `retry.max_attempts` |
/// | `absence` | an outage | none but the job's deadline |
/// | `gateway` | an outage while the service is known to be away, else a deferral | 4 × `retry.max_attempts` deferrals |
/// | `overload` | a deferral | the same |
///
/// An attempt of which subscribers have seen chunks counts whatever ended it.
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

    /// A job that is only ever put off is given up after so many deferrals for each attempt allowed.
    package static let deferralsPerAttempt = 4
    /// The longest wait for a service that is away: soon after its return every job is back.
    static let longestOutageWait = Duration.seconds(30)

    /// A failed try.
    struct Failure {
        let failure: JobFailure
        /// From 1.
        let attempt: Int
        /// How often the job was put aside before, by cause.
        let deferrals: Int
        let outages: Int
        /// Subscribers have seen chunks of it.
        var hasStreamed = false
        /// The service is known to be away, for everybody.
        var isServiceDown = false
    }

    /// When the job is tried again; nil when it has failed for good.
    ///
    /// A back-off is drawn uniformly from 0 to base × factor^(n−1), at most max ("full jitter": Brooker, Exponential
    /// Backoff And Jitter, AWS Architecture Blog, 2015); for outages from the upper half of that, so that a lone job does
    /// not knock at a dead door. A service's own wish (Retry-After) is the least it can be.
    ///
    /// - Parameter random: uniform in 0 ..< 1.
    func next(after failed: Failure, random: Double) -> Postponement? {
        guard failed.failure.isRetryable else { return nil }
        var next = Postponement(
            delay: .zero, attempts: failed.attempt - 1, deferrals: failed.deferrals, outages: failed.outages)
        var share = random
        let step: Int
        var longest = max
        switch charge(failed) {
        case .attempt:
            guard failed.attempt < maxAttempts else { return nil }
            step = failed.attempt
            next.attempts = failed.attempt
        case .deferral:
            guard failed.deferrals < maxAttempts * Self.deferralsPerAttempt else { return nil }
            step = failed.deferrals + 1
            next.deferrals += 1
        case .outage:
            step = failed.outages + 1
            next.outages += 1
            longest = Swift.min(max, Self.longestOutageWait)
            share = 0.5 + random / 2
        }
        var delay = ceiling(step, longest) * share
        if let wish = failed.failure.retryAfter { delay = Swift.max(delay, wish / .seconds(1) * (1 + random / 10)) }
        next.delay = .milliseconds(Int64((delay * 1000).rounded(.up)))
        return next
    }

    private enum Charge { case attempt, deferral, outage }

    private func charge(_ failed: Failure) -> Charge {
        if failed.hasStreamed { return .attempt }
        switch failed.failure.blame {
        case .job: return .attempt
        case .absence: return .outage
        case .gateway: return failed.isServiceDown ? .outage : .deferral
        case .overload: return .deferral
        }
    }

    /// Seconds.
    private func ceiling(_ step: Int, _ longest: Duration) -> Double {
        var ceiling = base / .seconds(1)
        let limit = longest / .seconds(1)
        for _ in stride(from: 1, to: Swift.min(step, 1000), by: 1) where ceiling < limit { ceiling *= factor }
        return Swift.min(limit, ceiling)
    }
}

/// A job's wait in the broker.
package struct Postponement: Sendable, Equatable {
    package var delay: Duration
    /// Attempts that count when it is back.
    package var attempts: Int
    /// How often it has been put aside without one: a service refused it for want of capacity, or a gateway for it.
    package var deferrals: Int
    /// How often it has been put aside because a service was not there.
    package var outages: Int
    /// How often it has been put aside, its result stored, because its reply queue refused the reply.
    package var refusals: Int

    package init(delay: Duration, attempts: Int, deferrals: Int, outages: Int, refusals: Int = 0) {
        self.delay = delay
        self.attempts = attempts
        self.deferrals = deferrals
        self.outages = outages
        self.refusals = refusals
    }

    /// With the counts that the message came with.
    init(unchanged envelope: Envelope, delay: Duration) {
        self.init(
            delay: delay, attempts: envelope.earlierAttempts, deferrals: envelope.deferrals, outages: envelope.outages,
            refusals: envelope.refusals)
    }
}
