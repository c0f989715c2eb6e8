/// How an ``HTTPClient`` connects.
///
/// Proxies come from the environment, as libcurl reads it: `http_proxy`, `https_proxy`, `all_proxy`, `no_proxy`
/// (<https://curl.se/libcurl/c/libcurl-env.html>).
package struct HTTPClientConfiguration: Sendable {
    /// Which protocol versions are offered.
    package struct Versions: Sendable, Hashable {
        enum Value { case automatic, http1, http2PriorKnowledge }
        let value: Value

        /// HTTP/2 when the server chooses it in the TLS handshake, otherwise HTTP/1.1. The default.
        package static let automatic = Versions(value: .automatic)
        /// HTTP/1.1 only.
        package static let http1 = Versions(value: .http1)
        /// HTTP/2 from the first byte, without TLS too; only for servers known to speak it.
        package static let http2PriorKnowledge = Versions(value: .http2PriorKnowledge)
    }

    /// Connections to one host; requests above wait for one, their total timeout running. Default 64.
    package var maxConnectionsPerHost: Int
    /// Connections in all, idle ones included. Default 256.
    package var maxConnections: Int
    /// A connection whose peer has acknowledged nothing for so long is given up: the host has vanished. Default 20 s. It
    /// counts while a server leaves what was sent to it unread, too.
    package var vanishedTimeout: Duration
    /// How long after a request went out it may go out again, when a kept connection closes without an answer. A server that
    /// closes one at the moment it is used does so at once; one that closes it later had the request, and may have died of
    /// it. Default 1 s.
    package var resendWindow: Duration
    /// A connection idle for longer is not used again. Default 60 s, rounded up to seconds.
    package var idleTimeout: Duration
    /// How many bytes of an answer are read at once, 1 KiB to 512 KiB; every request in flight holds so many while it waits.
    /// Default 8 KiB.
    package var receiveBuffer: Int
    /// A PEM file of certificate authorities to trust instead of the system's.
    package var caFile: String?
    /// Whether server certificates and their host names are checked. Default true; false is for tests only.
    package var verifyTLS: Bool
    /// Default `parley`.
    package var userAgent: String
    package var versions: Versions
    /// Default: nobody.
    package var waiting: HTTPWaiting?

    package init(
        maxConnectionsPerHost: Int = 64, maxConnections: Int = 256, vanishedTimeout: Duration = .seconds(20),
        resendWindow: Duration = .seconds(1), idleTimeout: Duration = .seconds(60), receiveBuffer: Int = 8192,
        caFile: String? = nil, verifyTLS: Bool = true, userAgent: String = "parley",
        versions: Versions = .automatic, waiting: HTTPWaiting? = nil
    ) {
        self.maxConnectionsPerHost = maxConnectionsPerHost
        self.maxConnections = maxConnections
        self.vanishedTimeout = vanishedTimeout
        self.resendWindow = resendWindow
        self.idleTimeout = idleTimeout
        self.receiveBuffer = receiveBuffer
        self.caFile = caFile
        self.verifyTLS = verifyTLS
        self.userAgent = userAgent
        self.versions = versions
        self.waiting = waiting
    }
}
