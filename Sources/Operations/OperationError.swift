import ChatJobs
import RabbitMQ
import Redis

/// Why an operator's command could not be done, or not to its end.
public struct OperationError: Error, Sendable, Hashable, CustomStringConvertible {
    public enum Code: Sendable { case wrong, refused, unreachable }

    /// `wrong`: what was asked or configured; `refused`: a server does not allow it; `unreachable`: a server is away.
    public let code: Code
    /// One sentence for a terminal.
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { message }

    init(_ error: RabbitMQError, at address: String) {
        switch error.code {
        case .invalidConfiguration, .invalidMessage: self.init(.wrong, "rabbitmq.url: \(error.message)")
        case .authenticationFailed, .accessRefused, .preconditionFailed, .notFound, .resourceLocked, .nacked:
            self.init(.refused, "\(address): \(error.message)")
        default: self.init(.unreachable, "\(error.message) (rabbitmq.url is \(address))")
        }
    }

    init(_ error: RedisError, at address: String) {
        switch error.code {
        case .invalidConfiguration, .invalidCommand: self.init(.wrong, "redis.url: \(error.message)")
        case .unreachable, .notConnected, .connectionLost, .timedOut, .protocolViolation, .bufferFull:
            self.init(.unreachable, "\(error.message) (redis.url)")
        default: self.init(.refused, "\(address): \(error.message)")
        }
    }
}
