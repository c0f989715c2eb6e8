/// What went wrong between this process and a RabbitMQ broker, told apart by ``code``.
///
/// The description names the thing, the broker's own words where there are any, and never a password.
package struct RabbitMQError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kinds of failure. A struct, so that a new kind breaks no switch.
    package struct Code: Sendable, Hashable, CustomStringConvertible {
        enum Kind: String {
            case unreachable, authenticationFailed, accessRefused, notFound, preconditionFailed, resourceLocked
            case connectionLost, channelClosed, blocked, timedOut, nacked, tlsFailed, closed, protocolViolation
            case invalidConfiguration, invalidMessage, unacceptable, congested, unanswered
        }

        let kind: Kind

        /// No endpoint could be reached (name resolution, refused, no answer in time).
        package static let unreachable = Code(kind: .unreachable)
        /// The broker refused the user name, the password or the client certificate.
        package static let authenticationFailed = Code(kind: .authenticationFailed)
        /// The user may not do this (403), or may not use the virtual host (530).
        package static let accessRefused = Code(kind: .accessRefused)
        /// The queue or exchange does not exist (404).
        package static let notFound = Code(kind: .notFound)
        /// The queue or exchange exists with other arguments, or a delivery tag is unknown (406).
        package static let preconditionFailed = Code(kind: .preconditionFailed)
        /// The queue belongs exclusively to another connection (405).
        package static let resourceLocked = Code(kind: .resourceLocked)
        /// The connection ended with this operation unanswered: it may or may not have happened.
        package static let connectionLost = Code(kind: .connectionLost)
        /// The channel ended with this operation unanswered; the connection is still there.
        package static let channelClosed = Code(kind: .channelClosed)
        /// The broker is out of memory or disk and takes no messages (`connection.blocked`).
        package static let blocked = Code(kind: .blocked)
        /// No answer before the deadline.
        package static let timedOut = Code(kind: .timedOut)
        /// The broker refused responsibility for the message (`basic.nack`).
        package static let nacked = Code(kind: .nacked)
        /// The TLS handshake failed: certificate, host name, or key files.
        package static let tlsFailed = Code(kind: .tlsFailed)
        /// Closed by this side.
        package static let closed = Code(kind: .closed)
        /// One side spoke outside the protocol.
        package static let protocolViolation = Code(kind: .protocolViolation)
        /// A URL or a setting cannot be used.
        package static let invalidConfiguration = Code(kind: .invalidConfiguration)
        /// A message or table cannot be expressed in AMQP 0-9-1; nothing was sent.
        package static let invalidMessage = Code(kind: .invalidMessage)

        /// The broker ends the connection whenever it gets this message; nobody else's is to blame.
        package static let unacceptable = Code(kind: .unacceptable)

        /// Not sent: the broker has just refused a message for the same address, or too many wait for its confirm.
        package static let congested = Code(kind: .congested)
        /// No confirm before the deadline, though the broker confirmed messages for other addresses: it may or may not be
        /// queued.
        package static let unanswered = Code(kind: .unanswered)

        package var description: String { kind.rawValue }
    }

    /// The kind of failure.
    package var code: Code
    /// One sentence for a log or a terminal.
    package var message: String
    /// The broker's reply code, when the broker said it (AMQP 0-9-1, section 1.2: "Constants").
    package var replyCode: UInt16?
    /// The declaration argument that differs from the existing queue's, for ``Code/preconditionFailed``.
    package var argument: String?

    /// A failure of kind `code`.
    package init(_ code: Code, _ message: String, replyCode: UInt16? = nil, argument: String? = nil) {
        self.code = code
        self.message = message
        self.replyCode = replyCode
        self.argument = argument
    }

    package var description: String { "RabbitMQ: \(message)" }

    /// Whether no broker could be talked to: worth trying again without changing anything.
    package var isUnreachable: Bool {
        code == .unreachable || code == .connectionLost || code == .timedOut
    }

    /// The broker is there, and does not let this user in: the name, the password or the virtual host is wrong (530: `not-allowed`).
    package var isWrongLogin: Bool { code == .authenticationFailed || code == .accessRefused && replyCode == 530 }

    /// Whether the broker has ended a channel or a connection for something that it was sent: an operation that it
    /// refuses, or one that it fails on itself (541, `internal-error`).
    var blamesAMessage: Bool { replyCode.map { $0 == 406 || ($0 > 500 && $0 != 530) } ?? false }
}

extension RabbitMQError {
    /// The broker's `connection.close` or `channel.close` as an error.
    static func fromBroker(replyCode: UInt16, text: String, isConnection: Bool) -> RabbitMQError {
        let code: Code =
            switch replyCode {
            case 403: .accessRefused
            case 404: .notFound
            case 405: .resourceLocked
            case 406: .preconditionFailed
            case 530: .accessRefused
            case 320: .connectionLost
            default: isConnection && replyCode < 500 ? .connectionLost : .protocolViolation
            }
        return RabbitMQError(
            code, "the broker closed the \(isConnection ? "connection" : "channel"): \(text)", replyCode: replyCode,
            argument: differingArgument(in: text))
    }

    /// The most bytes of a body, when the broker has closed a channel because of a larger one: "message size … is larger
    /// than configured max size …".
    var largestMessage: Int? {
        guard replyCode == 406, let start = message.firstRange(of: "max size ") else { return nil }
        return Int(message[start.upperBound...].prefix { $0.isASCII && $0.isNumber })
    }

    /// The name in the broker's "inequivalent arg 'x-max-priority' for queue …".
    static func differingArgument(in text: String) -> String? {
        guard let start = text.firstRange(of: "inequivalent arg '") else { return nil }
        let rest = text[start.upperBound...]
        guard let end = rest.firstIndex(of: "'") else { return nil }
        return String(rest[..<end])
    }
}
