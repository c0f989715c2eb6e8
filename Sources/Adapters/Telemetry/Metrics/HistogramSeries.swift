import CoreMetrics
import Synchronization

/// The upper bounds of a histogram's buckets.
struct BucketLayout: Sendable {
    /// Ascending, in the unit that is recorded.
    let recorded: [Double]
    /// The same bounds in the unit that is rendered.
    let rendered: [Double]
    /// Recorded units in one rendered unit.
    let unitsPerRendered: Double

    init(rendered: [Double], unitsPerRendered: Double = 1) {
        precondition(rendered.count < HistogramSeries.capacity, "a histogram has room for fewer buckets")
        self.rendered = rendered
        self.unitsPerRendered = unitsPerRendered
        recorded = rendered.map { ($0 * unitsPerRendered).rounded() }
    }

    /// 1, 2, 4 … 4096: windows, batches, prompts.
    static let sizes = BucketLayout(rendered: (0...12).map { Double(1 << $0) })

    /// Recorded in nanoseconds, rendered in seconds: fine around a worker's own millisecond, and around the second
    /// that a model takes, up to the minute that a call may last.
    static let durations = BucketLayout(
        rendered: [
            0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 20, 30, 60,
        ], unitsPerRendered: 1_000_000_000)

    /// The bucket that `value` falls into; one past the last bound for what is larger than all.
    func index(of value: Double) -> Int {
        var low = 0
        var high = recorded.count
        while low < high {
            let middle = (low + high) / 2
            if value <= recorded[middle] { high = middle } else { low = middle + 1 }
        }
        return low
    }
}

/// Serves `Recorder` (aggregating) and `Timer`.
final class HistogramSeries: Series, RecorderHandler, TimerHandler {
    /// Buckets a series has room for, the one for everything larger included.
    static let capacity = 24

    let id: SeriesID
    private let layout: BucketLayout
    /// Not cumulative: an observation touches one bucket and the sum, and their total is the count, so that a scrape
    /// amid recording still shows a histogram that agrees with itself.
    private let counts: InlineArray<24, Atomic<Int>>
    private let sum = AtomicDouble()

    init(id: SeriesID, layout: BucketLayout) {
        self.id = id
        self.layout = layout
        counts = InlineArray { _ in Atomic(0) }
    }

    var value: Double { Double(snapshot.count) }

    var snapshot: HistogramSnapshot {
        HistogramSnapshot(
            bounds: layout.rendered, counts: (0...layout.rendered.count).map { counts[$0].load(ordering: .relaxed) },
            sum: sum.load() / layout.unitsPerRendered)
    }

    func record(_ value: Int64) { record(Double(value)) }

    /// Infinities and NaN are ignored: one of them would spoil the sum for good.
    func record(_ value: Double) {
        guard value.isFinite else { return }
        counts[layout.index(of: value)].wrappingAdd(1, ordering: .relaxed)
        sum.add(value)
    }

    /// A negative duration (a clock that jumped) counts as none.
    func recordNanoseconds(_ duration: Int64) { record(Double(max(0, duration))) }
}
