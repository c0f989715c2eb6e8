import CoreMetrics
import Synchronization

/// An in-process registry behind swift-metrics, rendered as Prometheus text.
///
/// `Counter` and `FloatingPointCounter` become counters; `Gauge`, `Meter` and recorders that do not aggregate become
/// gauges; aggregating recorders become histograms with bounds 1, 2, 4 … 4096; timers become histograms of seconds from
/// 0.0005 to 60, and a timer whose label does not end in `_seconds` gets that ending.
///
/// Making a metric takes a lock; recording takes none and allocates nothing. The same label with the same dimensions, in
/// any order, is the same series. Characters that Prometheus does not allow in names are replaced by `_`. When one name is
/// asked for as two types, the first wins; what the others record is not shown, and a comment in the text says so.
package final class MetricsRegistry: MetricsFactory, Sendable {
    /// The most series one name may have. Further ones are counted together, labelled `overflow="true"`, so that a label
    /// taken from outside data cannot fill the memory.
    package static let maximumSeriesPerName = 1000

    struct Family {
        let kind: MetricKind
        var series: [LabelSet: any Series] = [:]
    }

    private struct State {
        var families: [String: Family] = [:]
        var help: [String: String] = [:]
        var conflicts: Set<String> = []
    }

    private let state = Mutex(State())
    /// Shown as `parley_build_info{version="…"} 1`.
    package let version: String

    /// - Parameter version: the program's version.
    package init(version: String) { self.version = version }

    /// Sets the help text of a metric, before or after it is made.
    /// - Parameters:
    ///   - label: the metric's label, as given when it is made.
    ///   - help: one sentence.
    package func describe(_ label: String, _ help: String) {
        state.withLock { $0.help[Naming.metric(label)] = help }
    }

    // MARK: Reading

    /// A counter's or gauge's value, or a histogram's number of observations; nil when there is no such series.
    package func value(of label: String, dimensions: [(String, String)] = []) -> Double? {
        find(label, dimensions)?.value
    }

    /// The sum of `value(of:dimensions:)` over all dimensions; 0 when there are none.
    package func total(of label: String) -> Double {
        let name = Naming.metric(label)
        return state.withLock { $0.families[name]?.series.values.reduce(0) { $0 + $1.value } ?? 0 }
    }

    /// A histogram as it stands; nil when there is no such series.
    package func histogram(of label: String, dimensions: [(String, String)] = []) -> HistogramSnapshot? {
        (find(label, dimensions) as? HistogramSeries)?.snapshot
    }

    /// An estimate of a quantile since the start, in seconds for timers; nil when nothing was recorded.
    package func quantile(_ quantile: Double, of label: String, dimensions: [(String, String)] = []) -> Double? {
        histogram(of: label, dimensions: dimensions)?.quantile(quantile)
    }

    private func find(_ label: String, _ dimensions: [(String, String)]) -> (any Series)? {
        let name = Naming.metric(label)
        let labels = LabelSet(dimensions)
        return state.withLock { $0.families[name]?.series[labels] }
    }

    /// Everything the text format (version 0.0.4) has to say, ordered by name and labels; served as
    /// `text/plain; version=0.0.4`.
    package func render() -> String {
        var text = Exposition()
        let (families, help, conflicts) = state.withLock { ($0.families, $0.help, $0.conflicts) }
        for (name, family) in families.sorted(by: { $0.key < $1.key }) {
            text.begin(name, type: family.kind.typeName, help: help[name])
            for (labels, series) in family.series.sorted(by: { $0.key < $1.key }) {
                if let histogram = series as? HistogramSeries {
                    text.histogram(name, labels: labels, histogram.snapshot)
                } else {
                    text.sample(name, labels: labels.text, series.value)
                }
            }
        }
        for name in conflicts.sorted() {
            text.comment("\(name) was also asked for as another type; what that records is not shown")
        }
        text.begin(ProcessMetrics.buildInfo, type: "gauge", help: "The program's version.")
        text.sample(ProcessMetrics.buildInfo, labels: LabelSet([("version", version)]).text, 1)
        text.begin(
            ProcessMetrics.logLinesDropped, type: "counter",
            help: "Log lines dropped because nobody read them in time.")
        text.sample(ProcessMetrics.logLinesDropped, labels: "", Double(LogQueue.dropped))
        for metric in ProcessMetrics.read() {
            text.begin(metric.name, type: metric.type, help: metric.help)
            text.sample(metric.name, labels: "", metric.value)
        }
        return text.text
    }

    // MARK: Making

    func series<S: Series>(
        _ name: String, _ dimensions: [(String, String)], kind: MetricKind, make: (SeriesID) -> S
    ) -> S {
        let labels = LabelSet(dimensions)
        return state.withLock { state in
            var family = state.families[name] ?? Family(kind: kind)
            guard family.kind == kind, !ProcessMetrics.names.contains(name) else {
                state.conflicts.insert(name)
                return make(SeriesID(name: name, labels: labels))
            }
            if let existing = family.series[labels] as? S { return existing }
            let isFull = family.series.count >= Self.maximumSeriesPerName
            let id = SeriesID(name: name, labels: isFull ? .overflow : labels)
            if let existing = family.series[id.labels] as? S { return existing }
            let series = make(id)
            family.series[id.labels] = series
            state.families[name] = family
            return series
        }
    }

    func remove(_ handler: AnyObject) {
        guard let series = handler as? any Series else { return }
        state.withLock { state in
            guard var family = state.families[series.id.name], family.series[series.id.labels] === series else {
                return
            }
            family.series[series.id.labels] = nil
            state.families[series.id.name] = family.series.isEmpty ? nil : family
        }
    }
}
