/// Why the server could not be asked, or what it refused. The message may be logged: it holds no secret and nothing of a
/// statement's values.
package struct PostgresError: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Code: Sendable, Equatable {
        /// Nobody answers, or the connection broke.
        case unreachable
        case timedOut
        /// The server lets nobody in with these settings.
        case denied
        /// The server refuses a statement, or cannot carry it out; see ``PostgresError/sqlState``.
        case refused
        /// The task that waited was cancelled.
        case cancelled
        /// What it was asked with cannot be used.
        case invalid
    }

    package let code: Code
    package let message: String
    /// Five letters or digits (PostgreSQL's manual, appendix A); nil when no server said them.
    package let sqlState: String?
    /// What the server itself said. It may quote values: for whoever asked and nobody else.
    package let serverWords: String?

    package init(_ code: Code, _ message: String, sqlState: String? = nil, serverWords: String? = nil) {
        self.code = code
        self.message = message
        self.sqlState = sqlState
        self.serverWords = serverWords
    }

    package var description: String { message }

    /// The connection cannot be used any more: it is gone, or nobody knows what state it is in.
    var endsConnection: Bool {
        switch code {
        case .unreachable, .timedOut, .denied, .cancelled: true
        // The server is ending this session, or has lost its own state (57P01 to 57P05, class XX).
        case .refused: sqlState.map { $0.hasPrefix("57P") || $0.hasPrefix("XX") } ?? true
        case .invalid: false
        }
    }
}
