/// Something outside the process that jobs need: one broker, one store, one model.
package struct Dependency: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// What it does. The raw values name it in settings, readiness, logs and metrics.
    package enum Kind: String, Sendable, Hashable, CaseIterable {
        case rabbitMQ = "rabbitmq"
        case redis
        case embeddings
        case vectors
        case model
    }

    package let kind: Kind
    /// Tells several of a kind apart; empty for the only one.
    package let name: String

    package init(_ kind: Kind, name: String = "") {
        self.kind = kind
        self.name = name
    }

    package static let rabbitMQ = Dependency(.rabbitMQ)
    package static let redis = Dependency(.redis)
    package static let embeddings = Dependency(.embeddings)
    package static let vectors = Dependency(.vectors)
    package static let model = Dependency(.model)

    /// `model`, or `model:NAME`.
    package var description: String { name.isEmpty ? kind.rawValue : "\(kind.rawValue):\(name)" }

    package static func < (a: Dependency, b: Dependency) -> Bool { a.description < b.description }
}
