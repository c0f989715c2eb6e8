import ParleyPrimitives

/// The same buckets, in one worker alone: while the shared ones cannot be asked each worker has its last known share of them.
struct LocalLimits {
    private struct Level {
        var requests: Double
        var tokens: Double
        var at: Duration
    }

    private var levels: [LimitBucket: Level] = [:]
    private var running: [LimitBucket: Int] = [:]
    /// Tenants are named by producers: what is remembered is bounded.
    private static let most = 1024

    /// - Parameter workers: among whom the limits are shared out.
    mutating func take(_ buckets: [LimitBucket], tokens: Int, workers: Int, now: Duration) -> LimitAnswer {
        if levels.count > Self.most { levels = levels.filter { now - $0.value.at < .seconds(60) } }
        let share = 1 / Double(max(1, workers))
        var taken: [LimitBucket: Level] = [:]
        for (place, bucket) in buckets.enumerated() {
            let requests = bucket.limits.requests.map { max(1, Double($0) * share) }
            let most = bucket.limits.tokens.map { max(1, Double($0) * share) }
            var level = levels[bucket] ?? Level(requests: requests ?? 0, tokens: most ?? 0, at: now)
            let minutes = (now - level.at) / .seconds(60)
            level.at = now
            if let requests {
                level.requests = min(requests, level.requests + minutes * requests)
                if level.requests < 1 {
                    return .refused(
                        wait: .seconds(60 * (1 - level.requests) / requests), interval: .seconds(60 / requests),
                        bucket: place, tokens: 0)
                }
                level.requests -= 1
            }
            if let most {
                level.tokens = min(most, level.tokens + minutes * most)
                let needed = min(Double(tokens), most)
                if level.tokens < needed {
                    return .refused(
                        wait: .seconds(60 * (needed - level.tokens) / most), interval: .seconds(60 * needed / most),
                        bucket: place, tokens: Int(needed))
                }
                level.tokens -= needed
            }
            if let concurrent = bucket.limits.concurrent,
                running[bucket, default: 0] >= max(1, Int(Double(concurrent) * share))
            {
                return .refused(wait: Self.look, interval: .seconds(1 / Double(concurrent)), bucket: place, tokens: 0)
            }
            taken[bucket] = level
        }
        for (bucket, level) in taken {
            levels[bucket] = level
            if bucket.limits.concurrent != nil { running[bucket, default: 0] += 1 }
        }
        return .granted
    }

    mutating func end(_ buckets: [LimitBucket], tokens: Int, wasMade: Bool) {
        for bucket in buckets {
            levels[bucket]?.tokens -= Double(tokens)
            if !wasMade { levels[bucket]?.requests += 1 }
            if let count = running[bucket] { running[bucket] = count > 1 ? count - 1 : nil }
        }
    }

    /// Nobody knows when a call ends: it is looked again so soon.
    static let look = Duration.milliseconds(100)
}
