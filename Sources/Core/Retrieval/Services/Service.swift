import ParleyHTTP
import ParleyJSON
import ParleyPrimitives

/// Calls one JSON service and turns all that can go wrong into ``RetrievalError``.
struct Service: Sendable {
    /// As messages name it.
    let name: String
    let part: RetrievalError.Part
    /// The setting that holds its key, and those that say where it is.
    let keySetting: String
    let addressSettings: String
    let http: HTTPClient
    private let headers: Shared<[HTTPHeader]>

    static let maxAnswerBytes = 256 << 20

    init(
        name: String, part: RetrievalError.Part, keySetting: String, addressSettings: String, http: HTTPClient,
        headers: [HTTPHeader] = []
    ) {
        self.name = name
        self.part = part
        self.keySetting = keySetting
        self.addressSettings = addressSettings
        self.http = http
        self.headers = Shared(headers)
    }

    /// From the next call on.
    func use(_ headers: [HTTPHeader]) { self.headers.set(headers) }

    /// Any status is an answer; only a missing answer throws.
    func send(
        _ method: String, _ url: String, body: [UInt8]? = nil, timeout: Duration
    ) async throws(RetrievalError) -> HTTPResponse {
        var headers = headers.value
        if body != nil { headers.append(HTTPHeader(name: "Content-Type", value: "application/json")) }
        do throws(HTTPError) {
            return try await http.send(
                HTTPRequest(
                    method: method, url: url, headers: headers, body: body,
                    timeouts: HTTPTimeouts(connect: min(.seconds(5), timeout), total: timeout),
                    maxBodyBytes: Self.maxAnswerBytes))
        } catch {
            throw RetrievalError(error, part)
        }
    }

    /// - Parameter asked: the texts in the body, so that none of them leaves with an error.
    /// - Throws: also for any status but 2xx, and for an answer that is not JSON.
    func json(
        _ method: String, _ url: String, body: [UInt8]? = nil, asked: some Collection<String> = [String](),
        timeout: Duration
    ) async throws(RetrievalError) -> JSONElement {
        let response = try await send(method, url, body: body, timeout: timeout)
        guard response.isSuccess else { throw failure(response, method, url, asked: asked) }
        let root = try json(response)
        // Gateways put a provider's error into a 200.
        if let error = root["error"], !error.isNull,
            ["data", "embeddings", "embedding"].allSatisfy({ root[$0] == nil })
        {
            let answer = ErrorAnswer(response.body, asked: asked)
            guard let status = answer.statedStatus else {
                throw invalid("its answer is an error\(answer.code.map { " (\($0))" } ?? "")", answer.words)
            }
            throw failure(status, answer, RetryAfter.read(response.headers), method, url)
        }
        return root
    }

    func json(_ response: HTTPResponse) throws(RetrievalError) -> JSONElement {
        do throws(JSONError) {
            return try JSONDocument(response.body).root
        } catch {
            throw invalid("its answer is not JSON, from byte \(error.offset) on")
        }
    }

    func invalid(_ what: String, _ words: String? = nil) -> RetrievalError {
        RetrievalError(.invalidResponse, "\(name): \(what)", serviceWords: words, part: part)
    }

    /// The error that an error status stands for.
    func failure(
        _ response: HTTPResponse, _ method: String, _ url: String, asked: some Collection<String> = [String]()
    ) -> RetrievalError {
        let answer = ErrorAnswer(response.body, asked: asked)
        return failure(response.status, answer, RetryAfter.read(response.headers), method, url)
    }

    private func failure(
        _ status: Int, _ answer: ErrorAnswer, _ retryAfter: Duration?, _ method: String, _ url: String
    ) -> RetrievalError {
        let code = code(status, answer)
        let url = (try? HTTPURL(url))?.description ?? withoutUserInfo(url)
        let hint =
            switch code {
            case .denied where status == 401 || status == 403: "; check \(keySetting)"
            case .denied: "; check \(addressSettings)"
            case .unavailable where status < 500 && status != 429 && status != 408:
                ", not in its own words: something in front of it may have lost it; if not, check \(addressSettings)"
            default: ""
            }
        return RetrievalError(
            code, "\(name) answered \(method) \(url) with \(status)\(answer.code.map { " (\($0))" } ?? "")\(hint)",
            serviceWords: answer.words, status: status, part: part, retryAfter: retryAfter)
    }

    private func code(_ status: Int, _ answer: ErrorAnswer) -> RetrievalError.Code {
        switch status {
        case 413: .tooLong
        // Hugging Face's server says 424 when the part of it that computes has failed.
        case 400...499 where answer.saysNotReady: .unavailable
        case 424, 425: .unavailable
        // llama.cpp and Ollama have said so with a 500.
        case 500 where answer.saysTooLong(plainly: true): .tooLong
        case 408, 429, 500...: .unavailable
        case 400, 422: answer.saysTooLong() ? .tooLong : answer.deniesEveryone ? .denied : .rejected
        // A gateway that has lost the service behind it says this, too. What a store says in its own words about what it
        // does not have is read before.
        case 404, 405, 410: part == .embedder && answer.isServices ? .denied : .unavailable
        default: .denied
        }
    }
}

extension RetrievalError {
    init(_ error: HTTPError, _ part: Part) {
        let code: Code =
            switch error.code {
            case _ where error.isTimeout: .timedOut
            case .cancelled, .clientClosed: .cancelled
            case .tooLarge, .invalidResponse: .invalidResponse
            case .invalidURL, .invalidRequest: .invalidSetting
            default: .unreachable
            }
        self.init(code, error.description, part: part)
    }
}
