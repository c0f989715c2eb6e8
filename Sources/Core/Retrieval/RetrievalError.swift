/// Why passages could not be embedded, found or stored. Message and description may be logged and sent to anybody: they
/// hold no secret, and nothing of what a service was asked.
package struct RetrievalError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What kind of failure it was.
    package struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Value: String {
            case unreachable
            case timedOut = "timed out"
            case unavailable, denied, rejected, incompatible
            case tooLong = "too long"
            case notFound = "not found"
            case corrupt, foreign
            case invalidResponse = "invalid response"
            case unreadable
            case invalidSetting = "invalid setting"
            case noDocuments = "no documents"
            case cancelled
        }
        private let value: Value

        /// The service cannot be reached, or the connection broke.
        package static let unreachable = Code(value: .unreachable)
        /// No answer in time.
        package static let timedOut = Code(value: .timedOut)
        /// The service answered that it cannot serve now (429 or 5xx), or something in front of it did.
        package static let unavailable = Code(value: .unavailable)
        /// The service serves nobody with these settings: its key, address or model is wrong.
        package static let denied = Code(value: .denied)
        /// The service refuses what it was asked (400, 413, 422): asking the same again will not help.
        package static let rejected = Code(value: .rejected)
        /// The service refuses a text because it is longer than its model reads.
        package static let tooLong = Code(value: .tooLong)
        /// Index and embedder do not fit together: other model or other dimension.
        package static let incompatible = Code(value: .incompatible)
        /// There is no index.
        package static let notFound = Code(value: .notFound)
        /// The index file is damaged; it can be made again.
        package static let corrupt = Code(value: .corrupt)
        /// What is there is no index of Parley's, or one of a newer Parley: it is left alone.
        package static let foreign = Code(value: .foreign)
        /// The service's answer is not what its protocol says.
        package static let invalidResponse = Code(value: .invalidResponse)
        /// A file or folder cannot be read or written.
        package static let unreadable = Code(value: .unreadable)
        /// A URL or setting is wrong.
        package static let invalidSetting = Code(value: .invalidSetting)
        /// What was named to be ingested does not exist, or holds no documents.
        package static let noDocuments = Code(value: .noDocuments)
        /// The task that waited was cancelled.
        package static let cancelled = Code(value: .cancelled)

        /// A short word for logs and metric labels.
        package var description: String { value.rawValue }
    }

    /// What a retriever is made of.
    package enum Part: Sendable { case embedder, store }

    package let code: Code
    /// What happened, to what, and what to do.
    package let message: String
    /// What the service itself said. It may quote what it was asked, so it is for whoever asked and nobody else: never
    /// for a log, a reply or a dead letter.
    package let serviceWords: String?
    /// The HTTP status, when a service answered with an error.
    package let status: Int?
    /// Whose failure it was, where that is known.
    package var part: Part?
    /// How long the service asks to be left alone.
    package let retryAfter: Duration?

    package init(
        _ code: Code, _ message: String, serviceWords: String? = nil, status: Int? = nil, part: Part? = nil,
        retryAfter: Duration? = nil
    ) {
        self.code = code
        self.message = message
        self.serviceWords = serviceWords
        self.status = status
        self.part = part
        self.retryAfter = retryAfter
    }

    /// Whether the same request may succeed later, with nothing changed by us.
    package var isTransient: Bool { code == .unreachable || code == .timedOut || code == .unavailable }

    /// Whether it is about what was asked: another question, or fewer at once, may do better.
    package var isRefusal: Bool { code == .rejected || code == .tooLong }

    /// The message with the service's own words, for the person who asked.
    package var explanation: String { serviceWords.map { "\(message): \($0)" } ?? message }

    package var description: String { "\(message) [\(code)]" }

    /// The same failure, with what it happened to in front of the message.
    func of(_ what: String) -> RetrievalError {
        RetrievalError(
            code, "\(what): \(message)", serviceWords: serviceWords, status: status, part: part, retryAfter: retryAfter)
    }

    /// The same failure, as one of `part`'s.
    func blamed(on part: Part) -> RetrievalError {
        var error = self
        error.part = part
        return error
    }
}
