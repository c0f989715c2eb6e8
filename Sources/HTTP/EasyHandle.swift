import CCurl
import Glibc

/// libcurl's process-wide set-up, once.
///
/// OpenSSL writes to sockets without `MSG_NOSIGNAL`, and `CURLOPT_NOSIGNAL` forbids libcurl to shield it: a server
/// that closes would kill the process. SIGPIPE is therefore ignored, unless the program has a handler for it.
let curlReady: CURLcode = {
    var action = sigaction()
    if sigaction(SIGPIPE, nil, &action) == 0, action.__sigaction_handler.sa_handler == nil {
        signal(SIGPIPE, SIG_IGN)
    }
    return curl_global_init(Int(CURL_GLOBAL_ALL))
}()

/// A `CURL` handle and its error text; the handle is freed with it, and must have left the multi handle by then.
final class EasyHandle {
    let raw: UnsafeMutableRawPointer
    private let errorText: UnsafeMutablePointer<CChar>
    private let receiveBuffer: Int

    /// - Parameter receiveBuffer: in bytes, held by a transfer while it waits.
    init?(receiveBuffer: Int) {
        guard let raw = curl_easy_init() else { return nil }
        self.raw = raw
        errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
        errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
        self.receiveBuffer = receiveBuffer
        _ = parley_easy_set_long(raw, CURLOPT_BUFFERSIZE, receiveBuffer)
    }

    deinit {
        curl_easy_cleanup(raw)
        errorText.deallocate()
    }

    /// Back to a new handle's options. Connections and names resolved live in the multi handle and stay.
    ///
    /// - Returns: false when the handle must not be used again. libcurl 7.88 lets a transfer keep its receive buffer when
    ///   others are still on its (HTTP/2) connection, and then refuses to be told the buffer's size: it would take it for
    ///   one of the default size, and write beyond its end.
    func reset() -> Bool {
        curl_easy_reset(raw)
        errorText[0] = 0
        return parley_easy_set_long(raw, CURLOPT_BUFFERSIZE, receiveBuffer) == CURLE_OK
    }

    /// libcurl's words for the last failure, or its words for `code` in general.
    func failureText(_ code: CURLcode) -> String {
        errorText[0] != 0 ? String(cString: errorText) : String(cString: curl_easy_strerror(code))
    }

    func set(_ option: CURLoption, _ value: Int) { _ = parley_easy_set_long(raw, option, value) }
    func set(_ option: CURLoption, _ value: String) {
        // libcurl copies it; handing the string over without this would copy it first.
        value.withCString { _ = parley_easy_set_string(raw, option, $0) }
    }
    func set(_ option: CURLoption, pointer value: UnsafeMutableRawPointer?) {
        _ = parley_easy_set_pointer(raw, option, value)
    }

    /// Sets everything that is the same for all requests of a client.
    func apply(_ configuration: HTTPClientConfiguration) {
        set(CURLOPT_ERRORBUFFER, pointer: errorText)
        set(CURLOPT_NOSIGNAL, 1)
        set(CURLOPT_TCP_NODELAY, 1)
        set(CURLOPT_PROTOCOLS_STR, "http,https")
        set(CURLOPT_ACCEPT_ENCODING, "gzip")
        set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
        set(CURLOPT_USERAGENT, configuration.userAgent)
        set(CURLOPT_MAXAGE_CONN, max(1, configuration.idleTimeout.milliseconds.ceilingDivided(by: 1000)))
        if let file = configuration.caFile { set(CURLOPT_CAINFO, file) }
        if !configuration.verifyTLS {
            set(CURLOPT_SSL_VERIFYPEER, 0)
            set(CURLOPT_SSL_VERIFYHOST, 0)
        }
    }

    /// Sets the URL, the method and the body; the body is copied.
    func apply(_ request: HTTPRequest, _ versions: HTTPClientConfiguration.Versions, secure: Bool) {
        set(CURLOPT_URL, request.url)
        switch versions.value {
        case .automatic: set(CURLOPT_HTTP_VERSION, parley_http_2_tls)
        case .http1: set(CURLOPT_HTTP_VERSION, parley_http_1_1)
        case .http2PriorKnowledge: set(CURLOPT_HTTP_VERSION, parley_http_2_prior)
        }
        // Waiting to learn whether a connection multiplexes pays only where it may.
        if versions == .http2PriorKnowledge || (secure && versions == .automatic) { set(CURLOPT_PIPEWAIT, 1) }
        set(CURLOPT_CONNECTTIMEOUT_MS, max(1, request.timeouts.connect.milliseconds))

        let body = request.body
        if body != nil || request.method == "POST" {
            set(CURLOPT_POST, 1)
            (body ?? []).withUnsafeBytes { bytes in
                _ = parley_easy_set_size(raw, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(bytes.count))
                // A null pointer would mean "read the body from a callback".
                if let base = bytes.baseAddress {
                    _ = parley_easy_set_bytes(raw, CURLOPT_COPYPOSTFIELDS, base)
                } else {
                    set(CURLOPT_COPYPOSTFIELDS, "")
                }
            }
            if request.method != "POST" { set(CURLOPT_CUSTOMREQUEST, request.method) }
        } else if request.method == "HEAD" {
            set(CURLOPT_NOBODY, 1)
        } else if request.method != "GET" {
            set(CURLOPT_CUSTOMREQUEST, request.method)
        }
    }
}

extension Duration {
    /// Whole milliseconds, rounded up, at most what libcurl accepts.
    var milliseconds: Int {
        let (seconds, attoseconds) = components
        guard seconds < 2_000_000 else { return 2_000_000_000 }
        return max(0, Int(seconds) * 1000 + Int((attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000))
    }
}

extension Int {
    func ceilingDivided(by divisor: Int) -> Int { (self + divisor - 1) / divisor }
}
