/// Why a connection, or a command, failed.
///
/// An error that the *server* answers a command with is not thrown: it is a ``RedisValue/error(_:)``.
package struct RedisError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What kind of failure it is; compare with `==`.
    package let code: Code
    /// What happened, with which server, and what to do about it. Never contains a password.
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }

    /// The kinds of failure. More may be added.
    package struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Kind: Hashable {
            case unreachable, authenticationFailed, connectionLost, timedOut, notConnected, protocolViolation
            case invalidConfiguration, invalidCommand, bufferFull
            case server(String)
        }
        private let kind: Kind

        /// No connection could be made: name not found, nobody listening, no answer in time, or still starting.
        package static let unreachable = Code(kind: .unreachable)
        /// The server wants other credentials, or more rights than these have.
        package static let authenticationFailed = Code(kind: .authenticationFailed)
        /// The connection ended while the reply was outstanding: the command may or may not have been executed.
        package static let connectionLost = Code(kind: .connectionLost)
        /// No reply within the command timeout: the command may or may not have been executed.
        package static let timedOut = Code(kind: .timedOut)
        /// There is no connection at the moment, or the client is closed: the command was not sent.
        package static let notConnected = Code(kind: .notConnected)
        /// The peer does not speak the Redis protocol, or sent more than this client accepts.
        package static let protocolViolation = Code(kind: .protocolViolation)
        /// The URL or another setting is wrong.
        package static let invalidConfiguration = Code(kind: .invalidConfiguration)
        /// The command cannot be sent over a shared, pipelined connection.
        package static let invalidCommand = Code(kind: .invalidCommand)
        /// More bytes are waiting to be written than the client holds: the command was not sent.
        package static let bufferFull = Code(kind: .bufferFull)
        /// The server's own error, by its first word (`ERR`, `WRONGTYPE`, `LOADING` …).
        package static func server(_ prefix: String) -> Code { Code(kind: .server(prefix)) }

        /// The code's name, for log and metric labels.
        package var description: String {
            if case .server(let prefix) = kind { return "server(\(prefix))" }
            return "\(kind)"
        }
    }
}
