import Configuration
import ParleyPrimitives
import Yams

/// `model.fallbacks`, of the default agent or of another: `URL|NAME, URL|NAME`, or in the file a list, of such texts or of
/// mappings with a model's keys.
extension Settings {
    /// What a fallback in a list may have.
    private static let fallbackKeys: Set<String> = [
        "url", "name", "api_key", "api_key_file", "omit", "stream", "reasoning", "timeout", "max_concurrency",
        "concurrency", "prices",
    ]
    private static let mostFallbacks = 8

    static func isFallbacks(_ key: String) -> Bool {
        key == "model.fallbacks" || (isAgentKey(key) && key.hasSuffix(".model.fallbacks"))
    }

    /// Says what a list in the file has that no fallback has.
    static func checkFallbacks(_ list: Node.Sequence, _ key: String, _ path: String, _ problems: inout [String]) {
        for (place, entry) in list.enumerated() {
            if let text = entry.scalar?.string {
                if let problem = problem(with: text) {
                    problems.append(
                        "\(key) in \(path): entry \(place + 1) is \"\(URLText.redacted(text))\": \(problem)")
                }
                continue
            }
            guard let mapping = entry.mapping else {
                problems.append("\(key) in \(path): entry \(place + 1) is neither URL|NAME nor a mapping with a url")
                continue
            }
            for (name, value) in mapping
            where !fallbackKeys.contains(name.string ?? "") || value.mapping != nil
                || (value.sequence?.contains { $0.scalar == nil } ?? false)
            {
                problems.append(
                    "\(key) in \(path): \(name.string ?? "?") of entry \(place + 1) is no key of a fallback; allowed: "
                        + fallbackKeys.sorted().joined(separator: ", "))
            }
            if mapping["url"] == nil { problems.append("\(key) in \(path): entry \(place + 1) has no url") }
        }
    }

    /// The file's values by their keys. A list's entries are `KEY.0`, `KEY.1` and so on when they have keys of their own.
    static func values(in root: Node) -> [AbsoluteConfigKey: ConfigValue] {
        var values: [AbsoluteConfigKey: ConfigValue] = [:]
        collect(root, [], &values)
        return values
    }

    private static func collect(_ node: Node, _ key: [String], _ values: inout [AbsoluteConfigKey: ConfigValue]) {
        switch node {
        case .scalar(let scalar):
            // `key:` and `key: ~` say nothing.
            let isNull = scalar.style == .plain && ["", "~", "null"].contains(scalar.string.lowercased())
            if !isNull { values[AbsoluteConfigKey(key)] = ConfigValue(.string(scalar.string), isSecret: false) }
        case .mapping(let mapping):
            for (name, value) in mapping {
                collect(value, key + (name.string ?? "?").split(separator: ".").map(String.init), &values)
            }
        case .sequence(let list):
            if list.allSatisfy({ $0.scalar != nil }) {
                let text = list.compactMap(\.scalar?.string).joined(separator: ",")
                values[AbsoluteConfigKey(key)] = ConfigValue(.string(text), isSecret: false)
            } else {
                for (place, entry) in list.enumerated() {
                    guard let text = entry.scalar?.string else {
                        collect(entry, key + ["\(place)"], &values)
                        continue
                    }
                    let (url, name) = parts(of: text)
                    values[AbsoluteConfigKey(key + ["\(place)", "url"])] = ConfigValue(.string(url), isSecret: false)
                    if let name {
                        values[AbsoluteConfigKey(key + ["\(place)", "name"])] = ConfigValue(
                            .string(name), isSecret: false)
                    }
                }
            }
        case .alias: break
        }
    }

    /// What is wrong with a text for a fallback; nil when it is `URL|NAME` or a URL alone.
    private static func problem(with text: String) -> String? {
        let bars = text.count { $0 == "|" }
        if !parts(of: text).url.contains(":") { return "it has no URL; allowed: URL|NAME, or a URL alone" }
        if bars > 1 { return "it has \(bars) bars; allowed: URL|NAME, and a comma before the next" }
        if bars == 1, parts(of: text).name == nil {
            return "no name follows the bar; allowed: URL|NAME, or a URL alone"
        }
        return nil
    }

    /// `URL|NAME`, or a URL alone.
    private static func parts(of text: String) -> (url: String, name: String?) {
        let parts = text.split(separator: "|", maxSplits: 1, omittingEmptySubsequences: false)
            .map { String($0.trimmingSpaces()) }
        return (parts.first ?? "", parts.count > 1 && !parts[1].isEmpty ? parts[1] : nil)
    }

    /// - Parameter model: what they stand in for, and whose they are when nothing is said.
    mutating func fallbacks(
        _ key: String, of model: Model, _ reader: inout SettingsReader, openAIKey: String?
    ) -> [Model] {
        var text: String?
        reader.string(key, &text)
        var fallbacks: [Model] = []
        if let text {
            for part in text.split(separator: ",", omittingEmptySubsequences: false) {
                var fallback = Self.standIn(for: model)
                (fallback.url, fallback.name) = Self.parts(of: String(part))
                if let problem = Self.problem(with: String(part)) {
                    reader.problem(
                        "\(key) is \"\(URLText.redacted(text))\": of its entry \(fallbacks.count + 1), \(problem); URL|NAME, URL|NAME are "
                            + "further models, in the order in which they are asked")
                    return []
                }
                withhold(key, &fallback, of: model, reader.isOfFoundFile(key), openAIKey)
                fallbacks.append(fallback)
            }
        } else {
            while fallbacks.count <= Self.mostFallbacks {
                let prefix = "\(key).\(fallbacks.count)."
                var url: String?
                reader.string(prefix + "url", &url)
                guard let url else { break }
                var fallback = Self.standIn(for: model)
                fallback.url = url
                reader.string(prefix + "name", &fallback.name)
                reader.secret(prefix + "api_key", &fallback.apiKey)
                withhold(
                    "\(key).\(fallbacks.count)", &fallback, of: model, reader.isOfFoundFile(prefix + "url"), openAIKey)
                reader.choices(prefix + "omit", &fallback.omit)
                reader.choice(prefix + "stream", &fallback.stream)
                reader.choice(prefix + "reasoning", &fallback.reasoning)
                reader.duration(prefix + "timeout", &fallback.timeout, in: .milliseconds(1) ... .seconds(1500))
                reader.int(prefix + "max_concurrency", &fallback.maxConcurrency, in: 1...65_535)
                reader.choice(prefix + "concurrency", &fallback.concurrency)
                reader.prices(prefix + "prices", &fallback.prices)
                fallbacks.append(fallback)
            }
            if fallbacks.isEmpty { return model.fallbacks }
        }
        guard fallbacks.count <= Self.mostFallbacks else {
            reader.problem("\(key) has more than \(Self.mostFallbacks) models; allowed: \(Self.mostFallbacks)")
            return []
        }
        return fallbacks
    }

    /// As patient with it, and as many calls, as with the model that it stands in for.
    private static func standIn(for model: Model) -> Model {
        var fallback = Model()
        fallback.timeout = model.timeout
        fallback.maxConcurrency = model.maxConcurrency
        fallback.concurrency = model.concurrency
        fallback.reasoning = model.reasoning
        return fallback
    }

    /// A key goes to the server that it was given for, and `OPENAI_API_KEY` to no host of a file that nobody named.
    private mutating func withhold(
        _ key: String, _ fallback: inout Model, of model: Model, _ isOfFoundFile: Bool, _ openAIKey: String?
    ) {
        guard fallback.apiKey == nil, !fallback.url.hasPrefix("builtin:") else { return }
        if Self.areServers([fallback.url], among: model.urls) {
            fallback.apiKey = model.apiKey
        } else if let openAIKey {
            if isOfFoundFile { withheldKeys.append(key) } else { fallback.apiKey = openAIKey }
        }
    }
}

extension SettingsReader {
    /// `IN, CACHED, OUT`
    mutating func prices(_ key: String, _ value: inout [Double]?) {
        var text: String?
        string(key, &text)
        guard let text else { return }
        let numbers = text.split(separator: ",", omittingEmptySubsequences: false).map { Double($0.trimmingSpaces()) }
        guard numbers.count == 3, numbers.allSatisfy({ $0.map { (0...1_000_000).contains($0) } ?? false }) else {
            return wrong(key, text, "three numbers, per million tokens: IN, CACHED, OUT")
        }
        value = numbers.compactMap(\.self)
    }
}
