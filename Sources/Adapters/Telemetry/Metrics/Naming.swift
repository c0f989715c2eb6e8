/// Names as Prometheus' data model allows them; anything else is replaced by `_`.
/// https://prometheus.io/docs/concepts/data_model/
enum Naming {
    /// `[a-zA-Z_:][a-zA-Z0-9_:]*`
    static func metric(_ text: String) -> String { sanitize(text, allowsColon: true) }

    /// `[a-zA-Z_][a-zA-Z0-9_]*`; names that begin with `__`, and `le`, belong to Prometheus.
    static func label(_ text: String) -> String {
        let name = sanitize(text, allowsColon: false)
        return name == "le" || name.hasPrefix("__") ? "label_" + name : name
    }

    private static func sanitize(_ text: String, allowsColon: Bool) -> String {
        var name = ""
        for character in text.unicodeScalars {
            switch character {
            case "a"..."z", "A"..."Z", "_": name.unicodeScalars.append(character)
            case ":" where allowsColon: name.unicodeScalars.append(character)
            case "0"..."9":
                if name.isEmpty { name = "_" }
                name.unicodeScalars.append(character)
            default: name += "_"
            }
        }
        return name.isEmpty ? "_" : name
    }
}

/// A series' labels as they are rendered, `a="1",b="2"`: sorted by name, so that their order does not matter.
struct LabelSet: Sendable, Hashable, Comparable {
    let text: String

    /// Takes the series that a name has no room for.
    static let overflow = LabelSet([("overflow", "true")])

    init(_ dimensions: [(String, String)]) {
        guard !dimensions.isEmpty else {
            text = ""
            return
        }
        var names: Set<String> = []
        var labels: [(name: String, value: String)] = []
        for (label, value) in dimensions {
            var name = Naming.label(label)
            while !names.insert(name).inserted { name += "_" }
            labels.append((name, value))
        }
        labels.sort { $0.name < $1.name }
        text = labels.map { "\($0.name)=\"\(Self.escape($0.value))\"" }.joined(separator: ",")
    }

    static func < (a: LabelSet, b: LabelSet) -> Bool { a.text < b.text }

    private static func escape(_ value: String) -> String {
        var escaped = ""
        for character in value.unicodeScalars {
            switch character {
            case "\\": escaped += "\\\\"
            case "\"": escaped += "\\\""
            case "\n": escaped += "\\n"
            default: escaped.unicodeScalars.append(character)
            }
        }
        return escaped
    }
}
