import CCurl
import Glibc
import ParleyPrimitives

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
///
/// It serves one request after the other: what is the same for all requests of a client is set once, everything else
/// with each request.
final class EasyHandle {
    let raw: UnsafeMutableRawPointer
    private let errorText: UnsafeMutablePointer<CChar>
    private var form: Form?

    init?(_ configuration: HTTPClientConfiguration) {
        guard let raw = curl_easy_init() else { return nil }
        self.raw = raw
        errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
        errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
        apply(configuration)
    }

    deinit {
        curl_easy_cleanup(raw)
        errorText.deallocate()
    }

    /// Lets go of what belongs to the request that has ended.
    func clear() {
        errorText[0] = 0
        set(CURLOPT_FRESH_CONNECT, 0)
        set(CURLOPT_PRIVATE, pointer: nil)
        set(CURLOPT_CURLU, pointer: nil)
        parley_easy_set_headers(raw, nil)
        // Whatever is set there, libcurl takes for a wish to POST.
        if form?.hasBody == true { parley_easy_set_bytes(raw, CURLOPT_COPYPOSTFIELDS, nil) }
    }

    /// libcurl's words for the last failure, or its words for `code` in general.
    func failureText(_ code: CURLcode) -> String {
        errorText[0] != 0 ? String(cString: errorText) : String(cString: curl_easy_strerror(code))
    }

    func set(_ option: CURLoption, _ value: Int) { parley_easy_set_long(raw, option, value) }
    func set(_ option: CURLoption, _ value: String) {
        // libcurl copies it; handing the string over without this would copy it first.
        _ = value.withCString { parley_easy_set_string(raw, option, $0) }
    }
    func set(_ option: CURLoption, pointer value: UnsafeMutableRawPointer?) {
        parley_easy_set_pointer(raw, option, value)
    }

    /// Has libcurl make a connection of its own for this request if it goes out once more.
    func connectAfreshFromNowOn() { set(CURLOPT_FRESH_CONNECT, 1) }

    private func apply(_ configuration: HTTPClientConfiguration) {
        set(CURLOPT_ERRORBUFFER, pointer: errorText)
        // Otherwise a request that ends while its name is looked up waits for the thread that does it, and so does the
        // loop, for as long as a dead name server makes it wait.
        set(CURLOPT_QUICK_EXIT, 1)
        set(CURLOPT_BUFFERSIZE, configuration.receiveBuffer)
        set(CURLOPT_NOSIGNAL, 1)
        set(CURLOPT_TCP_NODELAY, 1)
        set(CURLOPT_PROTOCOLS_STR, "http,https")
        set(CURLOPT_ACCEPT_ENCODING, Self.encodings)
        set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
        set(CURLOPT_MAXAGE_CONN, Int(max(1, min(2_000_000, configuration.idleTimeout.wholeSeconds))))
        if let file = configuration.caFile { set(CURLOPT_CAINFO, file) }
        if !configuration.verifyTLS {
            set(CURLOPT_SSL_VERIFYPEER, 0)
            set(CURLOPT_SSL_VERIFYHOST, 0)
        }
        if Self.environmentHasProxies {
            // For them alone: requests have it among their headers.
            set(CURLOPT_USERAGENT, configuration.userAgent)
        } else {
            // Otherwise libcurl looks for them anew with every request.
            set(CURLOPT_NOPROXY, "*")
        }
    }

    /// What libcurl decodes.
    static let encodings = "gzip"

    /// Whether one of the variables that libcurl heeds is set.
    private static var environmentHasProxies: Bool {
        let names = ["http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]
        return names.contains { getenv($0) != nil }
    }

    /// Sets the URL, the method, the body (which is copied) and the limits.
    ///
    /// - Parameter streamed: the length of the answer is then its reader's business.
    func apply(
        _ request: HTTPRequest, to target: Target, _ versions: HTTPClientConfiguration.Versions, streamed: Bool
    ) {
        // Of the two libcurl takes the parts, and has no need to put them together again.
        set(CURLOPT_URL, request.url)
        set(CURLOPT_CURLU, pointer: UnsafeMutableRawPointer(target.parts.handle))
        let form = Form(request, to: target, versions, streamed: streamed)
        if form != self.form {
            apply(form)
            self.form = form
        }
        guard form.hasBody else { return }
        (request.body ?? []).withUnsafeBytes { bytes in
            parley_easy_set_size(raw, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(bytes.count))
            // A null pointer would mean "read the body from a callback".
            if let base = bytes.baseAddress {
                parley_easy_set_bytes(raw, CURLOPT_COPYPOSTFIELDS, base)
            } else {
                set(CURLOPT_COPYPOSTFIELDS, "")
            }
        }
    }

    /// What a client's requests mostly have in common: set again only when it changes.
    private struct Form: Equatable {
        let method: String
        let hasBody: Bool
        let versions: HTTPClientConfiguration.Versions
        /// Waiting to learn whether a connection multiplexes pays only where it may.
        let mayMultiplex: Bool
        let connect: Duration
        /// 0: the length of the answer is not limited here.
        let maxBodyBytes: Int

        init(
            _ request: HTTPRequest, to target: Target, _ versions: HTTPClientConfiguration.Versions, streamed: Bool
        ) {
            method = request.method
            hasBody = request.body != nil || request.method == "POST"
            self.versions = versions
            mayMultiplex = versions == .http2PriorKnowledge || (target.url.isSecure && versions == .automatic)
            connect = request.timeouts.connect
            maxBodyBytes = streamed || request.method == "HEAD" ? 0 : max(1, request.maxBodyBytes)
        }
    }

    private func apply(_ form: Form) {
        switch form.versions.value {
        case .automatic: set(CURLOPT_HTTP_VERSION, parley_http_2_tls)
        case .http1: set(CURLOPT_HTTP_VERSION, parley_http_1_1)
        case .http2PriorKnowledge: set(CURLOPT_HTTP_VERSION, parley_http_2_prior)
        }
        set(CURLOPT_PIPEWAIT, form.mayMultiplex ? 1 : 0)
        set(CURLOPT_CONNECTTIMEOUT_MS, Int(max(1, min(2_000_000_000, form.connect.wholeMilliseconds))))
        parley_easy_set_size(raw, CURLOPT_MAXFILESIZE_LARGE, curl_off_t(form.maxBodyBytes))
        set(CURLOPT_HTTPGET, 1)
        set(CURLOPT_CUSTOMREQUEST, pointer: nil)
        if form.hasBody {
            set(CURLOPT_POST, 1)
            if form.method != "POST" { set(CURLOPT_CUSTOMREQUEST, form.method) }
        } else if form.method == "HEAD" {
            set(CURLOPT_NOBODY, 1)
        } else if form.method != "GET" {
            set(CURLOPT_CUSTOMREQUEST, form.method)
        }
    }
}

extension Int {
    func ceilingDivided(by divisor: Int) -> Int { (self + divisor - 1) / divisor }
}
