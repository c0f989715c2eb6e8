/// Writes Prometheus' text format, version 0.0.4.
/// https://prometheus.io/docs/instrumenting/exposition_formats/
struct Exposition {
    private(set) var text = ""

    init() { text.reserveCapacity(16 * 1024) }

    /// The lines that come once before a name's samples.
    mutating func begin(_ name: String, type: String, help: String?) {
        if let help { text += "# HELP \(name) \(Self.escapeHelp(help))\n" }
        text += "# TYPE \(name) \(type)\n"
    }

    mutating func comment(_ comment: String) { text += "# \(comment)\n" }

    mutating func sample(_ name: String, labels: String, _ value: Double) {
        text += name
        if !labels.isEmpty { text += "{\(labels)}" }
        text += " \(Self.number(value))\n"
    }

    mutating func histogram(_ name: String, labels: LabelSet, _ histogram: HistogramSnapshot) {
        let prefix = labels.text.isEmpty ? "" : labels.text + ","
        var below = 0
        for (bound, count) in zip(histogram.bounds + [.infinity], histogram.counts) {
            below += count
            sample(name + "_bucket", labels: "\(prefix)le=\"\(Self.number(bound))\"", Double(below))
        }
        sample(name + "_sum", labels: labels.text, histogram.sum)
        sample(name + "_count", labels: labels.text, Double(below))
    }

    static func number(_ value: Double) -> String {
        if let whole = Int(exactly: value), abs(whole) < 1 << 53 { return "\(whole)" }
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        return "\(value)"
    }

    private static func escapeHelp(_ help: String) -> String {
        var escaped = ""
        for character in help.unicodeScalars {
            switch character {
            case "\\": escaped += "\\\\"
            case "\n": escaped += "\\n"
            default: escaped.unicodeScalars.append(character)
            }
        }
        return escaped
    }
}
