import ParleyRabbitMQ
import ParleyRedis

/// Why a client could not do what it was asked.
public struct ParleyClientError: Error, Sendable, Equatable, CustomStringConvertible {
    public enum Code: String, Sendable {
        /// RabbitMQ or Redis does not answer, or not in time.
        case unreachable
        /// A server answered and refused: permissions, a queue declared otherwise.
        case refused
        /// What was asked or configured is wrong: credentials, too.
        case invalid
        /// No queue takes the job: its queue does not exist.
        case unroutable
        /// The answer did not come in time; the job may still be answered, and its result stored.
        case timedOut
        /// The client has been closed.
        case closed
    }

    public let code: Code
    /// One sentence that names the thing, the value and what to do.
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    static let isClosed = ParleyClientError(.closed, "the client has been closed")

    public var description: String { message }
}

extension ParleyClientError {
    init(_ error: RabbitMQError) {
        switch error.code {
        case _ where error.isWrongLogin:
            self.init(.invalid, "rabbitmq.url: \(error.message); check user, password and virtual host")
        case .invalidConfiguration, .invalidMessage: self.init(.invalid, error.message)
        case .accessRefused, .preconditionFailed, .notFound, .resourceLocked, .nacked,
            .unacceptable:
            self.init(.refused, "\(error)")
        case .closed: self.init(.closed, error.message)
        default: self.init(.unreachable, "\(error)")
        }
    }

    init(_ error: RedisError) {
        switch error.code {
        case .authenticationFailed: self.init(.invalid, "redis.url: \(error.message)")
        case .invalidConfiguration, .invalidCommand: self.init(.invalid, "\(error)")
        default: self.init(.unreachable, "\(error)")
        }
    }
}
