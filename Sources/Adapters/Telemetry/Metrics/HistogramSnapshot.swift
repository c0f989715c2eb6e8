/// A histogram at one moment, in the unit it is rendered in (seconds for timers).
package struct HistogramSnapshot: Sendable, Hashable {
    /// The buckets' upper bounds, inclusive, ascending.
    package let bounds: [Double]
    /// Observations per bucket, not cumulative; one more than `bounds`: the last is for everything larger.
    package let counts: [Int]
    /// The sum of all observations.
    package let sum: Double

    /// How many observations there were.
    package var count: Int { counts.reduce(0, +) }

    /// The mean; nil when there were no observations.
    package var mean: Double? { count > 0 ? sum / Double(count) : nil }

    /// An estimate of a quantile: linear within the bucket it falls into, as Prometheus' `histogram_quantile` does; the
    /// largest bound when it lies beyond; nil when there were no observations.
    /// - Parameter quantile: 0…1; 0.99 for p99.
    package func quantile(_ quantile: Double) -> Double? {
        let rank = min(max(quantile, 0), 1) * Double(count)
        guard count > 0, rank.isFinite else { return nil }
        var below = 0.0
        for (index, bound) in bounds.enumerated() {
            let inside = Double(counts[index])
            if inside > 0, below + inside >= rank {
                let lower = index == 0 ? min(0, bound) : bounds[index - 1]
                return lower + (bound - lower) * max(0, rank - below) / inside
            }
            below += inside
        }
        return bounds.last
    }

    /// What was observed after `earlier`, a snapshot of the same histogram: for rates and recent quantiles.
    package func since(_ earlier: HistogramSnapshot) -> HistogramSnapshot {
        guard earlier.bounds == bounds else { return self }
        return HistogramSnapshot(
            bounds: bounds, counts: zip(counts, earlier.counts).map { max(0, $0 - $1) }, sum: sum - earlier.sum)
    }
}
