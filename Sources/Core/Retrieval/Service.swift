import ParleyHTTP
import ParleyJSON

/// Calls one JSON service and turns all that can go wrong into ``RetrievalError``.
struct Service: Sendable {
    /// As messages name it.
    let name: String
    let http: HTTPClient
    private let headers: [HTTPHeader]
    private let headersWithBody: [HTTPHeader]

    static let maxAnswerBytes = 256 << 20

    init(name: String, http: HTTPClient, headers: [HTTPHeader] = []) {
        self.name = name
        self.http = http
        self.headers = headers
        headersWithBody = headers + [HTTPHeader(name: "Content-Type", value: "application/json")]
    }

    /// Any status is an answer; only a missing answer throws.
    func send(
        _ method: String, _ url: String, body: [UInt8]? = nil, timeout: Duration
    ) async throws(RetrievalError) -> HTTPResponse {
        do throws(HTTPError) {
            return try await http.send(
                HTTPRequest(
                    method: method, url: url, headers: body == nil ? headers : headersWithBody, body: body,
                    timeouts: HTTPTimeouts(connect: min(.seconds(5), timeout), total: timeout),
                    maxBodyBytes: Self.maxAnswerBytes))
        } catch {
            throw RetrievalError(error)
        }
    }

    /// - Throws: also for any status but 2xx, and for an answer that is not JSON.
    func json(
        _ method: String, _ url: String, body: [UInt8]? = nil, timeout: Duration
    ) async throws(RetrievalError) -> JSONElement {
        try json(await send(method, url, body: body, timeout: timeout), method, url)
    }

    private func json(
        _ response: HTTPResponse, _ method: String, _ url: String
    ) throws(RetrievalError) -> JSONElement {
        guard response.isSuccess else { throw failure(response, method, url) }
        do throws(JSONError) {
            return try JSONDocument(response.body).root
        } catch {
            throw invalid("its answer is not JSON (\(error))")
        }
    }

    func invalid(_ what: String) -> RetrievalError { RetrievalError(.invalidResponse, "\(name): \(what)") }

    /// The error that an error status stands for.
    func failure(_ response: HTTPResponse, _ method: String, _ url: String) -> RetrievalError {
        let url = (try? HTTPURL(url))?.description ?? withoutUserInfo(url)
        let isTransient = response.status == 429 || response.status == 408 || response.status >= 500
        return RetrievalError(
            isTransient ? .unavailable : .rejected,
            "\(name) answered \(method) \(url) with \(response.status): \(Self.excerpt(response.body))",
            status: response.status, retryAfter: Self.retryAfter(response))
    }

    /// The message in a service's error, or the beginning of whatever it sent; at most 300 characters.
    static func excerpt(_ body: [UInt8]) -> String {
        var text = String(decoding: body.prefix(4096), as: UTF8.self)
        if let root = try? JSONDocument(body).root {
            let found = root["error"]?["message"]?.string ?? root["message"]?.string ?? root["error"]?.string
            if let found { text = found }
        }
        let line = text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        return line.isEmpty ? "(no text)" : String(line.prefix(300))
    }

    /// `Retry-After` in seconds (RFC 9110 §10.2.3; a date is not read), or `Retry-After-Ms` as some services send.
    static func retryAfter(_ response: HTTPResponse) -> Duration? {
        if let text = response.header("retry-after-ms"), let value = Double(text), (0...86_400_000).contains(value) {
            return .milliseconds(Int(value))
        }
        guard let text = response.header("retry-after"), let value = Double(text), (0...86_400).contains(value) else {
            return nil
        }
        return .milliseconds(Int(value * 1000))
    }
}

extension RetrievalError {
    init(_ error: HTTPError) {
        let code: Code =
            switch error.code {
            case _ where error.isTimeout: .timedOut
            case .cancelled, .clientClosed: .cancelled
            case .tooLarge, .invalidResponse: .invalidResponse
            case .invalidURL, .invalidRequest: .invalidSetting
            default: .unreachable
            }
        self.init(code, error.description)
    }
}

extension JSONWriter {
    /// Digits behind the point.
    private static let decimals = 7
    private static let scale = 10_000_000.0

    /// A vector's numbers with seven decimals: that does not move a cosine unless the whole vector is tiny, and
    /// fixed-point digits cost a tenth of the shortest exact text, which tiny ones get.
    mutating func vector(_ vector: [Float]) {
        guard !vector.allSatisfy({ abs($0) < 0.01 }), vector.allSatisfy({ abs($0) < 1000 }) else {
            return array { list in for value in vector { list.float(value.isFinite ? value : 0) } }
        }
        // Of each number at most: a comma, a sign, three digits (999.99994 is the largest), the point and the decimals.
        withUnsafeTemporaryAllocation(byteCount: vector.count * (6 + Self.decimals) + 2, alignment: 1) { text in
            var at = 0
            func put(_ byte: UInt8) {
                text[at] = byte
                at += 1
            }
            put(UInt8(ascii: "["))
            for value in vector {
                if at > 1 { put(UInt8(ascii: ",")) }
                if value < 0 { put(UInt8(ascii: "-")) }
                let scaled = Int(Double(abs(value)) * Self.scale + 0.5)
                let (whole, decimals) = scaled.quotientAndRemainder(dividingBy: Int(Self.scale))
                if whole >= 100 { put(UInt8(ascii: "0") + UInt8(whole / 100)) }
                if whole >= 10 { put(UInt8(ascii: "0") + UInt8(whole / 10 % 10)) }
                put(UInt8(ascii: "0") + UInt8(whole % 10))
                guard decimals != 0 else { continue }
                put(UInt8(ascii: "."))
                var rest = decimals
                for place in stride(from: Self.decimals - 1, through: 0, by: -1) {
                    text[at + place] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
                    rest /= 10
                }
                at += Self.decimals
                while text[at - 1] == UInt8(ascii: "0") { at -= 1 }
            }
            put(UInt8(ascii: "]"))
            raw(text[..<at])
        }
    }
}
