/// Where kept answers are, for all workers, and who makes those that are not there: the second tier. What it cannot do is no
/// error: the answer is made anew.
package protocol AnswerStore: Sendable {
    /// What there is, in one round trip. What nobody has and nobody makes is this worker's to make from then on; the other
    /// workers wait for it while this one lives, until it is kept or given up.
    ///
    /// - Parameter stale: for so long before it goes a kept answer is no fresh one any more, and is made anew.
    func look(for keys: [AnswerKey], stale: Duration) async -> [AnswerKey: AnswerStanding]
    /// Whether this worker is to make an answer anew that is still fresh.
    ///
    /// - Parameter left: how long the answer that this worker has will be kept.
    func renew(_ key: AnswerKey, left: Duration) async -> AnswerRenewal
    /// Keeps an answer. Who waits for it finds it.
    ///
    /// - Parameter life: after that it is of no use.
    func keep(_ answer: KeptAnswer, as key: AnswerKey, for life: Duration) async
    /// This worker does not make these, though it was to: another may.
    func giveUp(_ keys: [AnswerKey]) async
}

/// Who makes an answer anew.
package enum AnswerRenewal: Sendable {
    case thisWorker
    /// It is being made, or that cannot be told.
    case another
    /// It was made.
    case nobody(KeptAnswer)
}

/// How an answer stands that is shared by all workers.
package struct AnswerStanding: Sendable {
    /// Nil when there is none.
    package let kept: KeptAnswer?
    package let maker: Maker

    package enum Maker: Sendable, Equatable {
        /// It is there, and fresh.
        case nobody
        /// This worker is to make it.
        case thisWorker
        /// It is being made.
        case another
    }

    package init(kept: KeptAnswer?, maker: Maker) {
        self.kept = kept
        self.maker = maker
    }
}
