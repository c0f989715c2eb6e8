import Logging
import Metrics
import ParleyRabbitMQ
import ParleyRedis
import Synchronization

/// Turns connection events into log lines, one for each change, and metrics.
final class ConnectionWatch: Sendable {
    private let logger: Logger
    /// Services that have been reported away and not yet back, and why.
    private let away = Mutex<[String: Absence]>([:])

    private enum Absence: Equatable {
        case unreachable
        /// The server is there and refuses, for a reason that waiting does not mend.
        case refused(RabbitMQError.Code)
    }

    init(logger: Logger) { self.logger = logger }

    func rabbitMQ(_ event: ConnectionEvent, role: String) {
        let service = "rabbitmq.\(role)"
        switch event {
        case .connected(let endpoint): back(service, "\(endpoint.host):\(endpoint.port)")
        case .disconnected(let error, _): lost(service, error)
        case .blocked(let reason):
            logger.warning("the broker takes no messages", metadata: ["service": "\(service)", "reason": "\(reason)"])
            gauge("parley_rabbitmq_blocked", 1)
        case .unblocked:
            logger.notice("the broker takes messages again", metadata: ["service": "\(service)"])
            gauge("parley_rabbitmq_blocked", 0)
        case .consumerCancelled(let queue):
            logger.error(
                "the broker ended the consumer: its queue was deleted; it is declared again",
                metadata: ["queue": "\(queue)"])
        }
    }

    /// Metrics only: the Redis client logs each change itself.
    func redis(_ event: RedisEvent) {
        switch event {
        case .connected: gauge("parley_connected", 1, "redis")
        case .disconnected: disconnected("redis")
        case .attemptFailed: gauge("parley_connected", 0, "redis")
        }
    }

    private func back(_ service: String, _ address: String) {
        gauge("parley_connected", 1, service)
        away.withLock { _ = $0.removeValue(forKey: service) }
        logger.info("connected", metadata: ["service": "\(service)", "address": "\(address)"])
    }

    private func disconnected(_ service: String) {
        gauge("parley_connected", 0, service)
        Counter(label: "parley_disconnects_total", dimensions: [("service", service)]).increment()
    }

    private func lost(_ service: String, _ error: RabbitMQError) {
        disconnected(service)
        switch error.code {
        case .authenticationFailed, .tlsFailed, .accessRefused, .preconditionFailed: refused(service, error)
        default:
            let isNews = away.withLock { away in
                defer { away[service] = .unreachable }
                return away[service] != .unreachable
            }
            logger.log(
                level: isNews ? .warning : .debug, "not connected, trying again until it is",
                metadata: ["service": "\(service)", "reason": "\(error.message)"])
        }
    }

    /// Once for both connections: they log in as the same user.
    private func refused(_ service: String, _ error: RabbitMQError) {
        let isNews = away.withLock { away in
            defer { away[service] = .refused(error.code) }
            return !away.values.contains(.refused(error.code))
        }
        var metadata: Logger.Metadata = ["service": "\(service)", "reason": "\(error.message)"]
        if let argument = error.argument { metadata["argument"] = "\(argument)" }
        logger.log(level: isNews ? .error : .debug, Self.sentence(for: error), metadata: metadata)
    }

    private static func sentence(for error: RabbitMQError) -> Logger.Message {
        switch error.code {
        case .accessRefused:
            "RabbitMQ refuses what a worker needs, trying again until it does not: check the permissions of rabbitmq.url's user"
        case .preconditionFailed:
            """
            a queue or exchange is there with other arguments than a worker needs, trying again until it is not: delete it \
            when it is empty, or choose another queue.name
            """
        default: "RabbitMQ refuses the worker, trying again until it does not: check rabbitmq.url"
        }
    }

    private func gauge(_ label: String, _ value: Int, _ service: String? = nil) {
        Gauge(label: label, dimensions: service.map { [("service", $0)] } ?? []).record(value)
    }
}
