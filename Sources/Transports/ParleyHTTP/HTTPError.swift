/// Why a request got no answer. An answer with an error status is not an error.
///
/// The description may be logged: it shows the method and the URL without user name and password, never a header.
package struct HTTPError: Error, Sendable, CustomStringConvertible {
    /// The part of a request whose time was up.
    package enum Phase: String, Sendable, Hashable {
        case connect
        case firstByte = "first byte"
        case total
    }

    /// What kind of failure it was.
    package struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Value: Hashable {
            case unreachable
            case timedOut(Phase)
            case cancelled, tooLarge, tlsFailed, invalidURL, invalidRequest, proxyFailed
            case connectionLost, invalidResponse, clientClosed, failed
        }
        private let value: Value

        /// The name does not resolve, nothing accepts connections there, or the connection broke before the request went
        /// out. Nothing was sent.
        package static let unreachable = Code(value: .unreachable)
        /// One of the ``HTTPTimeouts`` ran out.
        package static func timedOut(_ phase: Phase) -> Code { Code(value: .timedOut(phase)) }
        /// The task that waited was cancelled; the transfer was aborted.
        package static let cancelled = Code(value: .cancelled)
        /// The answer is longer than the caller accepts.
        package static let tooLarge = Code(value: .tooLarge)
        /// The TLS handshake failed, or the server's certificate is not trusted.
        package static let tlsFailed = Code(value: .tlsFailed)
        /// The URL is not an absolute `http` or `https` URL.
        package static let invalidURL = Code(value: .invalidURL)
        /// The method or a header holds characters that HTTP does not allow.
        package static let invalidRequest = Code(value: .invalidRequest)
        /// The proxy named by the environment cannot be reached or refused.
        package static let proxyFailed = Code(value: .proxyFailed)
        /// The connection broke before the answer was complete.
        package static let connectionLost = Code(value: .connectionLost)
        /// What came back is not HTTP, or cannot be decompressed.
        package static let invalidResponse = Code(value: .invalidResponse)
        /// The client was closed.
        package static let clientClosed = Code(value: .clientClosed)
        /// Anything else; see ``HTTPError/curlCode``.
        package static let failed = Code(value: .failed)

        /// The phase, when a timeout ran out.
        package var timeoutPhase: Phase? {
            if case .timedOut(let phase) = value { phase } else { nil }
        }

        /// A short word for logs and metric labels.
        package var description: String {
            switch value {
            case .unreachable: "unreachable"
            case .timedOut(let phase): "timed out (\(phase.rawValue))"
            case .cancelled: "cancelled"
            case .tooLarge: "too large"
            case .tlsFailed: "TLS failed"
            case .invalidURL: "invalid URL"
            case .invalidRequest: "invalid request"
            case .proxyFailed: "proxy failed"
            case .connectionLost: "connection lost"
            case .invalidResponse: "invalid response"
            case .clientClosed: "client closed"
            case .failed: "failed"
            }
        }
    }

    package let code: Code
    /// What happened, to which request, and where possible what to do.
    package let message: String
    /// libcurl's own code (`CURLcode`), 0 when libcurl did not report the failure.
    package let curlCode: Int
    /// Whether any of the request may have gone out: only then can it have been the request's doing.
    package let wasSent: Bool

    package init(code: Code, message: String, curlCode: Int = 0, wasSent: Bool = false) {
        self.code = code
        self.message = message
        self.curlCode = curlCode
        self.wasSent = wasSent
    }

    package var description: String { "\(message) [\(code)]" }

    /// Nothing was sent, because the server or its proxy could not be reached in time: no such name, no connection, no
    /// TLS, or no free connection before the time was up.
    package var isUnreachable: Bool {
        !wasSent && (code == .unreachable || code == .proxyFailed || code == .tlsFailed || isTimeout)
    }
    package var isTimeout: Bool { code.timeoutPhase != nil }
    package var isCancelled: Bool { code == .cancelled }
}
