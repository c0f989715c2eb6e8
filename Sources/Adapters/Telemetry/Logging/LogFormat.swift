/// How log lines look.
package struct LogFormat: Sendable, Hashable, CaseIterable, CustomStringConvertible {
    private let name: String

    /// Text when standard error is a terminal, JSON otherwise. The default.
    package static let auto = LogFormat(name: "auto")
    /// For people: time, level, message, `key=value`.
    package static let text = LogFormat(name: "text")
    /// For machines: one JSON object a line.
    package static let json = LogFormat(name: "json")

    package static let allCases: [LogFormat] = [.auto, .text, .json]

    private init(name: String) { self.name = name }

    /// - Parameter name: `auto`, `text` or `json`; nil for anything else.
    package init?(_ name: String) {
        guard let format = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = format
    }

    package var description: String { name }
}
