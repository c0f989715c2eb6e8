/// A job's failure as a value: the code for programs, the message for people.
package struct JobFailure: Error, Sendable, Equatable, CustomStringConvertible {
    /// Whose doing a failure is, and so whether it counts against the job.
    package enum Blame: Sendable, Equatable {
        /// It may be this job's own doing: an attempt. So is a connection that breaks after the request was sent.
        case job
        /// The service was not there: nothing was sent (refused, no such name, connect time-out), or a service whose work
        /// does not depend on the question did not answer in time. Never an attempt.
        case absence
        /// A gateway says that the service behind it is away (502 to 504). A prompt that kills its model looks the same, so
        /// this has a bound while the service answers others.
        case gateway
        /// The service asks to slow down (429). No attempt.
        case overload
    }

    /// What went wrong, from the contract's closed set.
    package let code: ErrorCode
    /// One sentence that names the thing, the value and what is allowed. Never holds the user's question.
    package let message: String
    /// A service's own wish (Retry-After) before the next attempt.
    package let retryAfter: Duration?
    package let blame: Blame
    /// The model's call that failed, when its service may charge for it.
    package var call: LostCall?
    /// Another attempt would end alike, and be paid for again.
    package let isFinal: Bool
    /// The model's server did nothing for it: another of its endpoints may be asked at once.
    package var isFree = false
    /// Another endpoint of the model is there: it says nothing of the model as a whole.
    package var isOfOneEndpoint = false

    package init(
        _ code: ErrorCode, _ message: String, retryAfter: Duration? = nil, blame: Blame = .job, isFinal: Bool = false
    ) {
        self.isFinal = isFinal
        self.code = code
        self.message = message
        self.retryAfter = retryAfter
        self.blame = blame
    }

    /// Whether another attempt may come to something else.
    package var isRetryable: Bool { code.isRetryable && !isFinal }

    /// The message for producers: without where services are, which is not theirs to know.
    package var publicMessage: String {
        if blame == .absence, code != .rateLimited {
            return code == .retrievalFailed ? "the search is away" : "the model is away"
        }
        return Self.withoutAddresses(message)
    }

    /// Whether somebody may have written an address of a service into it.
    private static func withoutAddresses(_ text: String) -> String {
        guard text.utf8.contains(UInt8(ascii: "/")), text.contains("://") else { return text }
        var words: [Substring] = []
        for word in text.split(separator: " ", omittingEmptySubsequences: false) {
            guard word.contains("://") else {
                words.append(word)
                continue
            }
            let end = String(word.reversed().prefix { ":.,;)]\"'".contains($0) }.reversed())
            if words.last == "at" {
                words.removeLast()
                if let last = words.popLast() { words.append(Substring(last + end)) }
            } else {
                words.append("(address)" + end.drop { $0 == ")" })
            }
        }
        return words.joined(separator: " ")
    }

    package var description: String { "\(code.rawValue): \(message)" }

    /// The same, when its server did nothing for it.
    package func free(_ isFree: Bool = true) -> JobFailure {
        var failure = self
        failure.isFree = isFree
        return failure
    }

    /// The same, of a model with another endpoint that is there.
    package func ofOneEndpoint(_ isOne: Bool = true) -> JobFailure {
        var failure = self
        failure.isOfOneEndpoint = isOne
        return failure
    }

    /// The same, with what its call has cost.
    package func losing(_ call: LostCall?) -> JobFailure {
        var failure = self
        failure.call = call
        return failure
    }
}

/// A call of a model that came to no answer, and what its service may charge for it: as it counted, else estimated.
package final class LostCall: Sendable, Equatable {
    package let model: String
    package let usage: Usage
    /// What it was opened as in the ledger.
    package let marks: [CallMark]

    package init(model: String, usage: Usage, marks: [CallMark] = []) {
        self.model = model
        self.usage = usage
        self.marks = marks
    }

    package static func == (one: LostCall, other: LostCall) -> Bool {
        one.model == other.model && one.usage == other.usage
    }
}

/// A call that is open in the ledger: until what came of it is noted, it is noted as lost should its worker die.
package struct CallMark: Sendable, Hashable {
    /// Names it within one worker.
    package let number: UInt64

    package init(_ number: UInt64) { self.number = number }
}
