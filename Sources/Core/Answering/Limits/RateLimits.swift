import ChatJobs

/// `limits.requests_per_minute`, `limits.tokens_per_minute`, `limits.concurrent`; nil: there is none.
package struct RateLimits: Sendable, Equatable {
    package var requests: Int?
    package var tokens: Int?
    package var concurrent: Int?

    package init(requests: Int? = nil, tokens: Int? = nil, concurrent: Int? = nil) {
        self.requests = requests
        self.tokens = tokens
        self.concurrent = concurrent
    }

    package var areNone: Bool { self == RateLimits() }
}

/// Whose limits there are.
package struct LimitRules: Sendable, Equatable {
    /// Of each model.
    package var model = RateLimits()
    package var agents: [String: RateLimits] = [:]
    package var tenants: [String: RateLimits] = [:]

    package init() {}

    package var areNone: Bool {
        model.areNone && agents.values.allSatisfy(\.areNone) && tenants.values.allSatisfy(\.areNone)
    }
}

/// What calls of one owner are counted in, wherever they are made.
package struct LimitBucket: Sendable, Hashable {
    package enum Scope: String, Sendable, CaseIterable { case model, agent, tenant }
    package let scope: Scope
    /// The same in all workers.
    package let name: String
    package let limits: RateLimits

    package init(_ scope: Scope, _ name: String, _ limits: RateLimits) {
        self.scope = scope
        self.name = name
        self.limits = limits
    }

    package static func == (a: LimitBucket, b: LimitBucket) -> Bool { (a.scope, a.name) == (b.scope, b.name) }
    package func hash(into hasher: inout Hasher) {
        hasher.combine(scope)
        hasher.combine(name)
    }
}

/// What became of a wish for a call.
package enum LimitAnswer: Sendable, Equatable {
    case granted
    /// - wait: until it may be granted.
    /// - interval: from then on, between one call and the next.
    /// - bucket: the place of the one that is empty.
    /// - tokens: what the interval is for when tokens are lacking; others need more or less. 0: it is the same for each call.
    case refused(wait: Duration, interval: Duration, bucket: Int, tokens: Int)
}

/// Buckets that all workers share.
package protocol LimitStore: Sendable {
    /// Takes a call from all of the buckets, or from none.
    ///
    /// - Parameters:
    ///   - tokens: that it will take, by estimate.
    ///   - call: names it.
    ///   - life: when it has not ended by then, its worker is dead.
    /// - Returns: nil when the store cannot be asked; and how many workers take from it.
    func take(
        _ buckets: [LimitBucket], tokens: Int, call: String, life: Duration
    ) async -> (answer: LimitAnswer, workers: Int)?
    /// A call has ended.
    ///
    /// - Parameters:
    ///   - tokens: that it took beyond the estimate, or less.
    ///   - wasMade: if not, it is as if it had not been taken.
    func end(_ buckets: [LimitBucket], tokens: Int, call: String, wasMade: Bool) async
}

extension JobFailure {
    /// It waits in the broker, at no expense of its own.
    static func heldBack(for delay: Duration) -> JobFailure {
        JobFailure(
            .rateLimited, "as many calls were made as limits.* allow; the job waits for its turn", retryAfter: delay,
            blame: .absence)
    }
}
