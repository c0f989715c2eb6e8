import ParleyHTTP

/// An error that a server answered with: as a status, in place of an answer, or in the midst of one.
struct Refusal: Error, Sendable {
    /// The HTTP status, when that was the answer; nil behind a 200.
    var status: Int?
    var headers: [HTTPHeader] = []
    var error: ServerError
    /// Text of the answer had come before.
    var hasBegun = false

    /// What an error is about, and so whose it is.
    enum Kind: Sendable {
        /// The prompt does not fit into the model.
        case tooLong
        /// Too much was asked in too short a time, or a quota is used up.
        case limited
        /// The key is missing or wrong.
        case key
        /// The account has no money left.
        case unpaid
        /// The account may not, whoever asks.
        case forbidden
        /// The content was objected to.
        case filtered
        /// A gateway says that the service is away, or the service that it is overloaded.
        case away
        /// There is no such model.
        case noModel
        /// There is no such path.
        case noRoute
        /// A redirect.
        case moved
        case timedOut
        /// This request is not wanted as it is.
        case rejected
        /// Anything else.
        case failed
    }

    /// The status that counts: HTTP's, else the one that the error names.
    var effectiveStatus: Int? { status ?? error.status }

    /// After text has come, a prompt fitted and the key was good: what fails then is this attempt.
    var kind: Kind {
        let clues = ErrorClues(error)
        if clues.isFiltered { return .filtered }
        if !hasBegun, status == 413 || clues.isTooLong || mayBeTooLong && clues.seemsTooLong { return .tooLong }
        if status == 429 || error.status == 429 || clues.codes.contains("429")
            || clues.isLimit(status: effectiveStatus)
        {
            return .limited
        }
        if hasBegun { return .failed }
        if effectiveStatus == 401 || clues.isKeyCode || isAboutAccess && clues.isAboutKey { return .key }
        if effectiveStatus == 402 || clues.isAboutMoney { return .unpaid }
        guard let status = effectiveStatus else {
            if clues.isOverload { return .away }
            return clues.isAboutPath ? .noRoute : clues.isBadRequest ? .rejected : .failed
        }
        switch status {
        case 502, 503, 504, 520...530: return .away
        case 400...499 where clues.isNotReady: return .away
        case 400 where clues.isAboutPlace: return .forbidden
        case 400, 414, 422, 451: return .rejected
        case 403:
            if clues.isAboutModel { return .noModel }
            return error.message.isEmpty || clues.isAboutRights ? .forbidden : .rejected
        case 404, 410: return clues.isAboutModel ? .noModel : .noRoute
        case 405: return .noRoute
        case 408: return .timedOut
        case 301...308: return .moved
        default: return clues.isOverload ? .away : .failed
        }
    }

    /// Its server has done nothing for the request, and another of the same model might. A 502 or 504 may be a prompt's doing,
    /// which killed the model behind a gateway.
    var isFree: Bool {
        guard let status, !hasBegun else { return false }
        switch kind {
        case .limited, .key, .unpaid, .forbidden, .noModel, .noRoute, .moved: return true
        case .away: return status == 503
        case .tooLong, .filtered, .timedOut, .rejected, .failed: return false
        }
    }

    /// Where nothing but the prompt is likely to be too large.
    private var mayBeTooLong: Bool { effectiveStatus.map { [400, 422, 500].contains($0) } ?? true }

    private var isAboutAccess: Bool { effectiveStatus.map { [400, 403, 404, 500].contains($0) } ?? true }

    /// When the service wants to be asked again: its header's word, else its body's.
    var retryAfter: Duration? {
        let isLimit = kind == .limited
        return RetryAfter.read(headers, isLimit: isLimit) ?? error.retryAfter
            ?? (isLimit ? RetryAfter.sentence(error.message) : nil)
    }
}
