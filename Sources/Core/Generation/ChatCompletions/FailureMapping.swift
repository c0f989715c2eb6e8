import ChatJobs
import ParleyHTTP

/// Says in the contract's error codes what a service's answer, or its silence, means for the job, and whose doing it is.
struct FailureMapping: Sendable {
    let url: HTTPURL
    let apiKey: String?
    /// Kept out of messages, like the key.
    let query: String

    /// The longest quotation of a server's own message, in characters.
    static let maxQuoted = 300

    /// An answer that makes no sense.
    func garbage(_ what: String) -> JobFailure { JobFailure(.modelUnavailable, "the model at \(url): \(what)") }

    /// The same, of what another attempt would not better.
    func final(_ what: String) -> JobFailure {
        JobFailure(.modelUnavailable, "the model at \(url): \(what)", isFinal: true)
    }

    /// An answer that nobody would want, and that another attempt would not better.
    func unusable(_ what: String) -> JobFailure { JobFailure(.modelRejected, "the model at \(url): \(what)") }

    var cancelled: JobFailure { JobFailure(.modelUnavailable, "the call to the model at \(url) was cancelled") }

    /// No answer.
    func failure(_ error: HTTPError) -> JobFailure {
        switch error.code {
        case .cancelled: return cancelled
        // Nothing was sent: whatever time-out ended it, nobody was there, and no model has been slow with this job.
        case _ where error.isUnreachable || error.code == .tlsFailed:
            return JobFailure(.modelUnavailable, clean(error.description), blame: .absence).free(!error.wasSent)
        case _ where error.isTimeout: return JobFailure(.modelTimeout, clean(error.message))
        default: return JobFailure(.modelUnavailable, clean(error.description))
        }
    }

    /// An error in a server's words.
    func failure(_ refusal: Refusal) -> JobFailure { worded(refusal).free(refusal.isFree) }

    private func worded(_ refusal: Refusal) -> JobFailure {
        let says = quoted(refusal)
        switch refusal.kind {
        case .tooLong:
            return JobFailure(
                .modelRejected,
                "\(says); the prompt does not fit into the model's context: shorten the query or its history, take fewer "
                    + "passages (retrieval.top_k), or lower max_tokens")
        case .limited: return JobFailure(.rateLimited, says, retryAfter: refusal.retryAfter, blame: .overload)
        // What concerns everybody and is for an operator to mend costs no job an attempt.
        case .key:
            return JobFailure(
                .modelUnavailable,
                apiKey == nil
                    ? "\(says); it wants a key, set model.api_key" : "\(says); it refuses the key in model.api_key",
                blame: .absence)
        case .unpaid:
            return JobFailure(
                .modelUnavailable, "\(says); the account that it is asked for needs credit", blame: .absence)
        case .forbidden:
            return JobFailure(
                .modelUnavailable, "\(says); check the rights of the account that model.api_key belongs to",
                blame: .absence)
        case .away:
            return JobFailure(.modelUnavailable, says, retryAfter: refusal.retryAfter, blame: .gateway)
        // While a service is deployed its gateway may know no path to it.
        case .noRoute:
            return JobFailure(.modelUnavailable, "\(says); check model.url, it usually ends in /v1", blame: .gateway)
        case .moved:
            let place = refusal.headers.first(named: "location").flatMap { try? HTTPURL($0) }
            let there = place.map { ", as it seems to \($0)" } ?? ""
            return JobFailure(.modelUnavailable, "\(says); it has moved\(there): correct model.url", blame: .gateway)
        case .filtered, .noModel, .rejected: return JobFailure(.modelRejected, says)
        case .timedOut: return JobFailure(.modelTimeout, says)
        case .failed: return JobFailure(.modelUnavailable, says, retryAfter: refusal.retryAfter)
        }
    }

    private func quoted(_ refusal: Refusal) -> String {
        let words = refusal.error.message
        let what =
            if let status = refusal.status {
                "answered \(status)"
            } else if refusal.hasBegun {
                "failed while answering"
            } else {
                "answered with an error"
            }
        guard words.isEmpty else { return "the model at \(url) \(what): \(clean(words))" }
        guard refusal.status == nil, let code = refusal.error.codes.first else { return "the model at \(url) \(what)" }
        return "the model at \(url) \(what): \(clean(code))"
    }

    /// A server's words on one line, at most ``maxQuoted`` characters, without the key or the question.
    func clean(_ text: String) -> String {
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

extension String {
    func replacingAll(_ part: String, with other: String) -> String {
        guard !part.isEmpty else { return self }
        return split(separator: part, omittingEmptySubsequences: false).joined(separator: other)
    }
}
