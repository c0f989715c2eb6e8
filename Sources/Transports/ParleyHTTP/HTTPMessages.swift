/// One header field. Names compare without regard to case, values are kept as they were sent.
package struct HTTPHeader: Sendable, Equatable {
    package var name: String
    package var value: String

    package init(name: String, value: String) {
        self.name = name
        self.value = value
    }

    /// `HTTPHeader("accept", "application/json")`.
    package init(_ name: String, _ value: String) { self.init(name: name, value: value) }
}

extension [HTTPHeader] {
    /// The value of the first field called `name`, whatever its case.
    package func first(named name: String) -> String? {
        first { equalsIgnoringCase($0.name, name) }?.value
    }
}

/// How long each part of a request may take. `nil` sets no limit.
package struct HTTPTimeouts: Sendable, Equatable {
    /// Name resolution, TCP, proxy and TLS together, when a new connection is needed. Default 5 s.
    package var connect: Duration
    /// From sending the request (its body included) to the first byte of the answer. Default: no limit.
    package var firstByte: Duration?
    /// From the call to the end of the body, time spent waiting for a free connection included. Default 60 s.
    package var total: Duration?

    package init(connect: Duration = .seconds(5), firstByte: Duration? = nil, total: Duration? = .seconds(60)) {
        self.connect = connect
        self.firstByte = firstByte
        self.total = total
    }
}

/// A request to send. Redirects are not followed: a 3xx is an answer like any other.
package struct HTTPRequest: Sendable {
    /// Default `GET`.
    package var method: String
    /// Absolute, `http` or `https`; see ``HTTPURL``.
    package var url: String
    /// Sent as they are. `Accept-Encoding`, `Content-Length`, `Host` and `User-Agent` are added.
    package var headers: [HTTPHeader]
    /// Sent with its length; `nil` sends none.
    package var body: [UInt8]?
    package var timeouts: HTTPTimeouts
    /// The longest answer ``HTTPClient/send(_:)`` accepts, after decompression, in bytes. Default 16 MiB. Streams are
    /// not bounded by it, their reader is.
    package var maxBodyBytes: Int
    /// It is not sent again when a kept connection closes without an answer: whatever it does must not be done twice.
    package var isSentOnce = false

    package init(
        method: String = "GET", url: String, headers: [HTTPHeader] = [], body: [UInt8]? = nil,
        timeouts: HTTPTimeouts = .init(), maxBodyBytes: Int = 16 << 20
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.timeouts = timeouts
        self.maxBodyBytes = maxBodyBytes
    }
}

/// The protocol version an answer came in.
package enum HTTPVersion: String, Sendable, Hashable {
    case http10 = "HTTP/1.0"
    case http11 = "HTTP/1.1"
    case http2 = "HTTP/2"
}

/// A whole answer.
package struct HTTPResponse: Sendable {
    package let status: Int
    package let version: HTTPVersion
    /// As it came, status line and all: most answers are read without a look at it.
    private let head: [UInt8]
    /// Decompressed.
    package let body: [UInt8]

    init(status: Int, version: HTTPVersion, head: [UInt8], body: [UInt8]) {
        self.status = status
        self.version = version
        self.head = head
        self.body = body
    }

    /// Read anew with each call.
    package var headers: [HTTPHeader] { parseHeaders(head) }

    /// The first field called `name`, whatever its case.
    package func header(_ name: String) -> String? { parseHeader(name, in: head) }

    /// Whether the status is 200 … 299.
    package var isSuccess: Bool { (200..<300).contains(status) }
}

/// ASCII case folding, as field names have it (RFC 9110 §5.1).
func equalsIgnoringCase(_ a: String, _ b: String) -> Bool {
    guard a.utf8.count == b.utf8.count else { return false }
    return zip(a.utf8, b.utf8).allSatisfy { lowercased($0) == lowercased($1) }
}

func lowercased(_ byte: UInt8) -> UInt8 { (0x41...0x5A).contains(byte) ? byte | 0x20 : byte }
