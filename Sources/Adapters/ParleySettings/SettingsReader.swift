import Configuration
import ParleyPrimitives

/// Reads typed values and remembers every mistake instead of stopping at the first.
struct SettingsReader {
    private let config: ConfigReader
    /// The same, each by itself, the one that goes before the others first.
    private let layers: [ConfigReader]
    private let foundFile: Int?
    private(set) var problems: [String] = []
    /// What is set and has no effect, a sentence each.
    private(set) var idleness: [String] = []
    /// The files that secrets came from, by the keys whose values they hold.
    private(set) var secretFiles: [String: String] = [:]

    /// - Parameters:
    ///   - layers: the one that goes before the others first.
    ///   - foundFile: which of them is a file that nobody named.
    init(layers: [any ConfigProvider], foundFile: Int? = nil) {
        config = ConfigReader(providers: layers)
        self.layers = layers.map { ConfigReader(providers: [$0]) }
        self.foundFile = foundFile
    }

    private func text(_ key: String) -> String? { config.string(forKey: ConfigKey(key)) }

    /// Whether the value is that of a file that nobody named.
    func isOfFoundFile(_ key: String) -> Bool {
        let place = layers.firstIndex { $0.string(forKey: ConfigKey(key))?.isEmpty == false }
        return place != nil && place == foundFile
    }

    func isSet(_ key: String) -> Bool { text(key)?.isEmpty == false }

    mutating func problem(_ text: String) { problems.append(text) }

    mutating func idle(_ text: String) { idleness.append(text) }

    mutating func wrong(_ key: String, _ value: String, _ allowed: String) {
        problems.append("\(key) is \"\(value)\"; allowed: \(allowed)")
    }

    mutating func string(_ key: String, _ value: inout String) {
        if let text = text(key), !text.isEmpty { value = text }
    }

    mutating func string(_ key: String, _ value: inout String?) {
        if let text = text(key), !text.isEmpty { value = text }
    }

    /// A secret: `key`, or the text of the file that `key` with `_file` behind it names. Flags go before the environment, and
    /// that before the file, whichever of the two each has.
    mutating func secret(_ key: String, _ value: inout String) {
        var found: String?
        secret(key, &found)
        value = found ?? value
    }

    mutating func secret(_ key: String, _ value: inout String?) {
        let twin = "\(key)_file"
        for layer in layers {
            let text = layer.string(forKey: ConfigKey(key)).flatMap { $0.isEmpty ? nil : $0 }
            let path = layer.string(forKey: ConfigKey(twin)).flatMap { $0.isEmpty ? nil : $0 }
            guard let path else {
                guard let text else { continue }
                value = text
                return
            }
            guard text == nil else { return problems.append("\(key) and \(twin) are both set; one of them is allowed") }
            return read(path, key, &value)
        }
    }

    private mutating func read(_ path: String, _ key: String, _ value: inout String?) {
        secretFiles[key] = path
        do throws(SettingsError) {
            value = try SecretFile.read(path)
        } catch {
            problems.append("\(key)_file is \"\(path)\": \(error.problems[0])")
        }
    }

    mutating func flag(_ key: String, _ value: inout Bool) {
        guard let text = text(key), !text.isEmpty else { return }
        switch text.lowercased() {
        case "true", "on", "yes", "1": value = true
        case "false", "off", "no", "0": value = false
        default: wrong(key, text, "true, false")
        }
    }

    mutating func int(_ key: String, _ value: inout Int, in range: ClosedRange<Int>) {
        guard let text = text(key), !text.isEmpty else { return }
        guard let number = Int(text), range.contains(number) else {
            return wrong(key, text, "an integer from \(range.lowerBound) to \(range.upperBound)")
        }
        value = number
    }

    mutating func int(_ key: String, _ value: inout Int?, in range: ClosedRange<Int>) {
        var number = value ?? range.lowerBound
        let before = problems.count
        int(key, &number, in: range)
        if problems.count == before, text(key)?.isEmpty == false { value = number }
    }

    mutating func double(_ key: String, _ value: inout Double, in range: ClosedRange<Double>) {
        guard let text = text(key), !text.isEmpty else { return }
        guard let number = Double(text), range.contains(number) else {
            return wrong(key, text, "a number from \(range.lowerBound) to \(range.upperBound)")
        }
        value = number
    }

    mutating func duration(_ key: String, _ value: inout Duration, in range: ClosedRange<Duration>) {
        guard let text = text(key), !text.isEmpty else { return }
        guard let duration = Quantity.duration(text), range.contains(duration) else {
            let (low, high) = (Quantity.text(range.lowerBound), Quantity.text(range.upperBound))
            return wrong(key, text, "a duration such as 500ms, 30s, 10m, 24h, from \(low) to \(high)")
        }
        value = duration
    }

    mutating func duration(_ key: String, _ value: inout Duration?, in range: ClosedRange<Duration>) {
        var duration = value ?? range.lowerBound
        let before = problems.count
        self.duration(key, &duration, in: range)
        if problems.count == before, text(key)?.isEmpty == false { value = duration }
    }

    mutating func size(_ key: String, _ value: inout Int, in range: ClosedRange<Int>) {
        guard let text = text(key), !text.isEmpty else { return }
        guard let size = Quantity.size(text), range.contains(size) else {
            return wrong(key, text, "a size such as 4096, 256KiB, 1MiB, up to \(range.upperBound / (1 << 20))MiB")
        }
        value = size
    }

    mutating func choice<T: RawRepresentable & CaseIterable>(_ key: String, _ value: inout T)
    where T.RawValue == String {
        guard let text = text(key), !text.isEmpty else { return }
        guard let choice = T(rawValue: text) else {
            return wrong(key, text, T.allCases.map(\.rawValue).joined(separator: ", "))
        }
        value = choice
    }

    /// Several of a set, separated by commas.
    mutating func choices<T: RawRepresentable & CaseIterable & Equatable>(_ key: String, _ value: inout [T])
    where T.RawValue == String {
        guard let text = text(key), !text.isEmpty else { return }
        var choices: [T] = []
        for part in text.split(whereSeparator: { $0 == "," || $0 == " " }) {
            guard let choice = T(rawValue: String(part)) else {
                return wrong(key, text, T.allCases.map(\.rawValue).joined(separator: ", ") + ", separated by commas")
            }
            if !choices.contains(choice) { choices.append(choice) }
        }
        value = choices
    }

    /// Names with `*`, separated by commas.
    mutating func patterns(_ key: String, _ value: inout [String], placeholders: [String] = []) {
        guard let text = text(key), !text.isEmpty else { return }
        let patterns = text.split(separator: ",").map { String($0.trimmingSpaces()) }
        let areFine = patterns.allSatisfy { pattern in
            let rest = placeholders.reduce(pattern) { $0.replacing($1, with: "") }
            return !pattern.isEmpty && !rest.contains { $0 == "{" || $0 == "}" }
        }
        guard areFine, !patterns.isEmpty else {
            let own = placeholders.isEmpty ? "" : ", with \(placeholders.joined(separator: " and ")) for the job's own"
            return wrong(key, text, "names separated by commas, * for any characters\(own)")
        }
        value = patterns
    }

    /// Texts separated by commas.
    mutating func list(_ key: String, _ value: inout [String]) {
        guard let text = text(key), !text.isEmpty else { return }
        value = text.split(separator: ",").map { String($0.trimmingSpaces()) }.filter { !$0.isEmpty }
    }

    /// `a=b, c=d`
    mutating func pairs(_ key: String, _ value: inout [String: String]) {
        guard let text = text(key), !text.isEmpty else { return }
        var pairs: [String: String] = [:]
        for part in text.split(separator: ",") {
            let pair = part.split(separator: "=", maxSplits: 1).map { String($0.trimmingSpaces()) }
            guard pair.count == 2, !pair[0].isEmpty, !pair[1].isEmpty, pairs[pair[0]] == nil else {
                return wrong(key, text, "user=tenant pairs with different users, such as shop1=shop-eu, shop2=shop-eu")
            }
            pairs[pair[0]] = pair[1]
        }
        value = pairs
    }

    /// `20, shop-eu=50`: a number for every tenant, and others for some.
    mutating func perTenant(_ key: String, _ value: inout Settings.Limits.PerTenant, in range: ClosedRange<Int>) {
        guard let text = text(key), !text.isEmpty else { return }
        var read = Settings.Limits.PerTenant()
        for part in text.split(separator: ",") {
            let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                .map { String($0.trimmingSpaces()) }
            let isNew = pair.count == 2 ? read.own[pair[0]] == nil && !pair[0].isEmpty : read.everybody == nil
            guard isNew, let number = pair.last.flatMap({ Int($0) }), range.contains(number) else {
                return wrong(
                    key, text,
                    "a number from \(range.lowerBound) to \(range.upperBound) for every tenant, tenant=number for some, or both: "
                        + "20, shop-eu=50")
            }
            if pair.count == 2 { read.own[pair[0]] = number } else { read.everybody = number }
        }
        value = read
    }

    mutating func lanes(_ key: String, _ value: inout [Settings.Queue.Lane]) {
        guard let text = text(key), !text.isEmpty else { return }
        var lanes: [Settings.Queue.Lane] = []
        for part in text.split(separator: ",") {
            let pair = part.split(separator: ":").map { $0.filter { $0 != " " } }
            guard pair.count == 2, let weight = Int(pair[1]), (1...1000).contains(weight), !pair[0].isEmpty,
                pair[0].utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }), pair[0] != "dead", !pair[0].hasPrefix("delay"),
                !lanes.contains(where: { $0.name == pair[0] })
            else { return wrong(key, text, "name:weight pairs with different names, such as high:8, bulk:1") }
            lanes.append(.init(name: pair[0], weight: weight))
        }
        value = lanes
    }
}

/// Durations (`500ms`, `30s`, `10m`, `24h`, `7d`) and sizes (`4096`, `256KiB`, `1MiB`, `1GiB`) as they are written.
package enum Quantity {
    private static let durations: [(String, Duration)] = [
        ("ms", .milliseconds(1)), ("s", .seconds(1)), ("m", .seconds(60)), ("h", .seconds(3600)),
        ("d", .seconds(86_400)),
    ]

    /// Nil when `text` is no duration; a unit is required, a fraction allowed (`1.5s`).
    package static func duration(_ text: String) -> Duration? {
        for (unit, length) in durations where text.hasSuffix(unit) {
            guard let count = Double(text.dropLast(unit.count)), count.isFinite, (0...1e9).contains(count) else {
                continue
            }
            return count == count.rounded() ? length * Int(count) : length * count
        }
        return text == "0" ? .zero : nil
    }

    /// Nil when `text` is no size. `KiB` is 1,024 bytes; `KB`, `kB` is 1,000; `B` or nothing is bytes.
    package static func size(_ text: String) -> Int? {
        let units = [
            ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("KB", 1000), ("kB", 1000), ("MB", 1_000_000),
            ("B", 1),
            ("", 1),
        ]
        for (unit, factor) in units where text.hasSuffix(unit) {
            guard let count = Int(text.dropLast(unit.count).filter { $0 != " " }), (0...Int(Int32.max)).contains(count)
            else { continue }
            return count * factor
        }
        return nil
    }

    /// The shortest way to write a duration with one unit.
    package static func text(_ duration: Duration) -> String {
        for (unit, length) in durations.reversed() where duration >= length {
            let count = duration / length
            if count == count.rounded() { return "\(Int(count))\(unit)" }
        }
        return duration == .zero ? "0s" : "\(duration)"
    }
}
