import ChatJobs

/// A question to be answered: a job without its delivery.
package final class Inquiry: Sendable {
    package let job: Job
    package let rank: Rank
    /// It was not tried before: only then its failure says something of the service.
    package let isFirstTry: Bool
    /// If it fails it is not tried again.
    let isLastTry: Bool
    /// Takes the pieces of the answer as they come; nil when nobody wants them.
    let onDelta: DeltaSink?
    /// Called once, with what came of it; on ``Answering``'s executor, in a task of the inquiry's own.
    let conclude: @Sendable (AnswerOutcome) async -> Void

    /// Names it within one worker.
    package var token: UInt64 { rank.arrival }

    package init(
        _ job: Job, rank: Rank, isFirstTry: Bool, isLastTry: Bool = false, onDelta: DeltaSink?,
        conclude: @escaping @Sendable (AnswerOutcome) async -> Void
    ) {
        self.job = job
        self.rank = rank
        self.isFirstTry = isFirstTry
        self.isLastTry = isLastTry
        self.onDelta = onDelta
        self.conclude = conclude
    }
}

/// What came of an ``Inquiry``.
package final class AnswerOutcome: Sendable {
    package enum Result: Sendable {
        /// - Parameter reuse: where it comes from, when it was not made for this inquiry.
        case answered(Answer, reuse: Reuse?)
        case failed(JobFailure)
        /// It is on its way, and nobody has to wait for it here: it is to be asked for again after so long.
        case later(Duration)
        /// It was ended before it was answered.
        case ended(Ending)
    }

    package enum Ending: Sendable, Equatable {
        /// Its deadline has passed.
        case expired
        /// An operator or the producer took it back.
        case revoked
        /// The worker is leaving.
        case abandoned
    }

    package let result: Result
    package let route: Route
    /// How long passages were waited for.
    package let retrieving: Duration
    /// From then on.
    package let generating: Duration

    init(result: Result, route: Route, retrieving: Duration, generating: Duration) {
        self.result = result
        self.route = route
        self.retrieving = retrieving
        self.generating = generating
    }
}

extension AnswerOutcome {
    /// The same, and it came to this.
    func failed(_ failure: JobFailure) -> AnswerOutcome {
        AnswerOutcome(result: .failed(failure), route: route, retrieving: retrieving, generating: generating)
    }
}

extension JobFailure {
    /// The worker that made the answer broke off, and another has made another answer.
    static let otherwiseStreamed = JobFailure(
        .modelUnavailable,
        "what was streamed of the answer is not how the answer begins, which another call was made for")
}
