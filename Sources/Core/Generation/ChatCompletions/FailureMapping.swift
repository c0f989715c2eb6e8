import ChatJobs
import ParleyHTTP
import ParleyJSON

/// Says in the contract's error codes what a service's answer, or its silence, means for the job.
struct FailureMapping {
    let url: HTTPURL
    let apiKey: String?
    /// Kept out of messages, like the key.
    let query: String

    /// The longest quotation of a server's own message, in characters.
    static let maxQuoted = 300

    /// An answer that makes no sense.
    func garbage(_ what: String) -> JobFailure { JobFailure(.modelUnavailable, "the model at \(url): \(what)") }

    /// No answer.
    func failure(_ error: HTTPError) -> JobFailure {
        switch error.code {
        case .timedOut(.total), .timedOut(.firstByte): JobFailure(.modelTimeout, clean(error.message))
        case .cancelled: JobFailure(.modelUnavailable, "the call to the model at \(url) was cancelled")
        default: JobFailure(.modelUnavailable, clean(error.description), blame: error.isUnreachable ? .absence : .job)
        }
    }

    /// An answer with an error status.
    func failure(status: Int, headers: [HTTPHeader], body: [UInt8]) -> JobFailure {
        let error = ServerError(body)
        let says = error.message.isEmpty ? "" : ": \(clean(error.message))"
        let answered = "the model at \(url) answered \(status)\(says)"
        switch status {
        case 429:
            return JobFailure(
                .rateLimited, answered, retryAfter: RetryAfter.read(headers, isLimit: true), blame: .overload)
        case 401, 403: return keyRefused(answered)
        case 400, 413, 422:
            // Google's service answers 400 to a wrong key.
            if error.isAboutKey { return keyRefused(answered) }
            return JobFailure(.modelRejected, answered)
        case 404 where error.isAboutModel: return JobFailure(.modelRejected, answered)
        case 404, 405:
            return JobFailure(.modelUnavailable, "\(answered); check model.url, it usually ends in /v1")
        case 408: return JobFailure(.modelTimeout, answered)
        default:
            return JobFailure(
                .modelUnavailable, answered, retryAfter: RetryAfter.read(headers, isLimit: false),
                blame: (502...504).contains(status) ? .gateway : .job)
        }
    }

    /// An error object where an answer was expected: in a stream, or behind the status 200.
    func failure(midAnswer error: JSONElement) -> JobFailure {
        let message = ServerError(error).message
        return garbage("it failed while answering" + (message.isEmpty ? "" : ": \(clean(message))"))
    }

    private func keyRefused(_ answered: String) -> JobFailure {
        JobFailure(
            .modelUnavailable,
            apiKey == nil
                ? "\(answered); it wants a key, set model.api_key" : "\(answered); it refuses the key in model.api_key")
    }

    /// A server's words on one line, at most ``maxQuoted`` characters, without the key or the question.
    private func clean(_ text: String) -> String {
        var text = text
        if let apiKey { text = text.replacingAll(apiKey, with: "(key)") }
        // A short question may be part of any sentence.
        if query.utf8.count >= 12 { text = text.replacingAll(query, with: "(question)") }
        let line = String(
            String.UnicodeScalarView(
                text.unicodeScalars.map { $0.value < 0x20 || (0x7F...0x9F).contains($0.value) ? " " : $0 }))
        return line.count > Self.maxQuoted ? line.prefix(Self.maxQuoted) + "…" : line
    }
}

/// What can be learnt from the body of an error: `{"error": {"message": …}}` and its relatives, or plain text.
struct ServerError {
    var message = ""
    var code = ""

    init(_ body: [UInt8]) {
        if let document = try? JSONDocument(body) {
            self.init(document.root)
        } else {
            let text = String(decoding: body.prefix(2048), as: UTF8.self)
            // A proxy's error page says nothing that its status does not.
            self.init(message: text.drop(while: \.isWhitespace).hasPrefix("<") ? "" : text)
        }
    }

    private init(message: String) { self.message = message }

    init(_ json: JSONElement) {
        let error = json["error"].flatMap { $0.kind == .object || $0.kind == .string ? $0 : nil } ?? json
        let detail = error["detail"] ?? json["detail"]
        message =
            error.string ?? error["message"]?.string ?? json["message"]?.string ?? detail?.string
            ?? detail?.elements.first?["msg"]?.string ?? ""
        code = error["code"]?.string ?? error["type"]?.string ?? ""
    }

    /// The service does not have the model asked for.
    var isAboutModel: Bool {
        if code == "model_not_found" { return true }
        let text = message.lowercased()
        return text.contains("model") && (text.contains("not found") || text.contains("not exist"))
    }

    /// The service does not like the key.
    var isAboutKey: Bool { code == "invalid_api_key" || message.lowercased().contains("api key") }
}

extension String {
    func replacingAll(_ part: String, with other: String) -> String {
        guard !part.isEmpty else { return self }
        return split(separator: part, omittingEmptySubsequences: false).joined(separator: other)
    }
}
