import CoreMetrics
import Synchronization

/// What a metric is, and so how it is rendered.
enum MetricKind: Sendable {
    case counter, gauge
    /// A histogram of plain numbers, in powers of two.
    case sizes
    /// A histogram of seconds.
    case durations

    /// The word of a `# TYPE` line.
    var typeName: String {
        switch self {
        case .counter: "counter"
        case .gauge: "gauge"
        case .sizes, .durations: "histogram"
        }
    }
}

/// Where a series stands in the registry.
struct SeriesID: Sendable {
    let name: String
    let labels: LabelSet
}

/// One name with one set of labels. Recording is lock-free and allocates nothing.
protocol Series: AnyObject, Sendable {
    var id: SeriesID { get }
    /// The value; of a histogram, how many observations there were.
    var value: Double { get }
}

/// A double that several threads add to.
struct AtomicDouble: ~Copyable, Sendable {
    private let bits = Atomic<UInt64>(Double(0).bitPattern)

    func load() -> Double { Double(bitPattern: bits.load(ordering: .relaxed)) }

    func store(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }

    func add(_ amount: Double) {
        var old = bits.load(ordering: .relaxed)
        while true {
            let new = (Double(bitPattern: old) + amount).bitPattern
            let (exchanged, current) = bits.weakCompareExchange(expected: old, desired: new, ordering: .relaxed)
            if exchanged { return }
            old = current
        }
    }
}

/// Serves `Counter` and `FloatingPointCounter` alike: whole steps stay exact however large the sum, fractions are added
/// beside them.
final class CounterSeries: Series, CounterHandler, FloatingPointCounterHandler {
    let id: SeriesID
    private let whole = Atomic<Int64>(0)
    private let fraction = AtomicDouble()

    init(id: SeriesID) { self.id = id }

    var value: Double { Double(whole.load(ordering: .relaxed)) + fraction.load() }

    /// A counter never falls: negative amounts are ignored.
    func increment(by amount: Int64) {
        guard amount >= 0 else { return }
        whole.wrappingAdd(amount, ordering: .relaxed)
    }

    func increment(by amount: Double) {
        guard amount >= 0, amount.isFinite else { return }
        fraction.add(amount)
    }

    func reset() {
        whole.store(0, ordering: .relaxed)
        fraction.store(0)
    }
}

/// Serves `Gauge` (a recorder that does not aggregate) and `Meter`.
final class GaugeSeries: Series, RecorderHandler, MeterHandler {
    let id: SeriesID
    private let current = AtomicDouble()

    init(id: SeriesID) { self.id = id }

    var value: Double { current.load() }

    func record(_ value: Int64) { current.store(Double(value)) }
    func record(_ value: Double) { current.store(value) }
    func set(_ value: Int64) { current.store(Double(value)) }
    func set(_ value: Double) { current.store(value) }
    func increment(by amount: Double) { current.add(amount) }
    func decrement(by amount: Double) { current.add(-amount) }
}
