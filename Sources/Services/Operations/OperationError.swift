import ChatJobs
import ParleyRabbitMQ
import ParleyRedis

/// Why an operator's command could not be done, or not to its end.
package struct OperationError: Error, Sendable, Hashable, CustomStringConvertible {
    package enum Code: Sendable { case wrong, refused, unreachable }

    /// `wrong`: what was asked or configured; `refused`: a server does not allow it; `unreachable`: a server is away.
    package let code: Code
    /// One sentence for a terminal.
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }

    init(_ error: RabbitMQError, at address: String) {
        switch error.code {
        case _ where error.isWrongLogin:
            self.init(.wrong, "rabbitmq.url: \(error.message); check user, password and virtual host")
        case .invalidConfiguration, .invalidMessage: self.init(.wrong, "rabbitmq.url: \(error.message)")
        case .accessRefused, .preconditionFailed, .notFound, .resourceLocked, .nacked:
            self.init(.refused, "\(address): \(error.message)")
        default: self.init(.unreachable, "\(error.message) (rabbitmq.url is \(address))")
        }
    }

    init(_ error: RedisError, at address: String) {
        switch error.code {
        case .invalidConfiguration, .invalidCommand, .authenticationFailed:
            self.init(.wrong, "redis.url: \(error.message)")
        case .unreachable, .notConnected, .connectionLost, .timedOut, .protocolViolation, .bufferFull:
            self.init(.unreachable, "\(error.message) (redis.url)")
        default: self.init(.refused, "\(address): \(error.message)")
        }
    }
}
