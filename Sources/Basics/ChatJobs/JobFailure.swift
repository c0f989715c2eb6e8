/// A job's failure as a value: the code for programs, the message for people.
package struct JobFailure: Error, Sendable, Equatable, CustomStringConvertible {
    /// Whose doing a failure is, and so whether it counts against the job.
    package enum Blame: Sendable, Equatable {
        /// It may be this job's own doing: an attempt. So is a connection that breaks after the request was sent.
        case job
        /// The service was not there: nothing was sent (refused, no such name, connect time-out), or a service whose work
        /// does not depend on the question did not answer in time. Never an attempt.
        case absence
        /// A gateway says that the service behind it is away (502 to 504). A prompt that kills its model looks the same, so
        /// this has a bound while the service answers others.
        case gateway
        /// The service asks to slow down (429). No attempt.
        case overload
    }

    /// What went wrong, from the contract's closed set.
    package let code: ErrorCode
    /// One sentence that names the thing, the value and what is allowed. Never holds the user's question.
    package let message: String
    /// A service's own wish (Retry-After) before the next attempt.
    package let retryAfter: Duration?
    package let blame: Blame

    package init(_ code: ErrorCode, _ message: String, retryAfter: Duration? = nil, blame: Blame = .job) {
        self.code = code
        self.message = message
        self.retryAfter = retryAfter
        self.blame = blame
    }

    package var description: String { "\(code.rawValue): \(message)" }
}
