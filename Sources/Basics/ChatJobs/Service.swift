/// The services that a worker needs, by the names that settings, readiness, logs and metrics have for them.
package enum Service: String, Sendable, Hashable, CaseIterable, Comparable {
    case rabbitMQ = "rabbitmq"
    case redis
    case embeddings
    case vectors
    case model

    package static func < (a: Service, b: Service) -> Bool { a.rawValue < b.rawValue }
}
