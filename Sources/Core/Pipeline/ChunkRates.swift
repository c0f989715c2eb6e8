import Synchronization

/// How many chunks a second each tenant's streams may make (`limits.chunks_per_second`): a bucket of a second's worth for each.
struct ChunkRates {
    private struct Bucket {
        var chunks: Double
        var at: Duration
    }

    private let ceiling: TenantCeiling
    private var buckets: [String?: Bucket] = [:]
    /// Tenants are named by producers: what is remembered of them is bounded.
    private static let mostBuckets = 1024

    init(_ ceiling: TenantCeiling) { self.ceiling = ceiling }

    /// Takes a chunk.
    /// - Parameter mustPass: also when there is none; later ones wait for it.
    /// - Returns: how long to wait before asking again; nil when it was taken.
    mutating func take(_ tenant: String?, now: Duration, mustPass: Bool = false) -> Duration? {
        guard let rate = ceiling.of(tenant).map(Double.init) else { return nil }
        var bucket = buckets[tenant] ?? Bucket(chunks: rate, at: now)
        bucket.chunks = min(rate, bucket.chunks + (now - bucket.at) / .seconds(1) * rate)
        bucket.at = now
        defer { keep(bucket, tenant, rate) }
        guard bucket.chunks >= 1 || mustPass else {
            return max(.milliseconds(1), .seconds(1) * ((1 - bucket.chunks) / rate))
        }
        // No more debt than a second's, or the ends of a thousand streams would silence the next ones for long.
        bucket.chunks = max(-rate, bucket.chunks - 1)
        return nil
    }

    private mutating func keep(_ bucket: Bucket, _ tenant: String?, _ rate: Double) {
        if buckets.count >= Self.mostBuckets, buckets[tenant] == nil {
            // Whoever made none for a second has a full bucket, like a new one.
            buckets = buckets.filter { bucket.at - $0.value.at < .seconds(2) }
        }
        buckets[tenant] = bucket
    }
}

/// The rates, shared by the streams of a worker.
final class ChunkPace: Sendable {
    private let rates: Mutex<ChunkRates>

    init(_ ceiling: TenantCeiling) { rates = Mutex(ChunkRates(ceiling)) }

    func take(_ tenant: String?, now: Duration, mustPass: Bool) -> Duration? {
        rates.withLock { $0.take(tenant, now: now, mustPass: mustPass) }
    }
}
