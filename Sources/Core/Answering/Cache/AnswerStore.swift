/// Where kept answers are, for all workers, and who makes those that are not there: the second tier. What it cannot do is no
/// error: the answer is made anew.
package protocol AnswerStore: Sendable {
    /// What there is, in one round trip. What nobody has and nobody makes is this worker's to make from then on; the other
    /// workers wait for it while this one lives, until it is kept or given up.
    ///
    /// - Parameters:
    ///   - stale: for so long before it goes a kept answer is no fresh one any more, and is made anew.
    ///   - heard: of the answers that somebody wants in pieces, what has been heard of them; their makers learn of it.
    func look(
        for keys: [AnswerKey], stale: Duration, heard: [AnswerKey: HeardPieces]
    ) async -> [AnswerKey: AnswerStanding]
    /// Those of the answers that this worker makes which somebody elsewhere wants in pieces.
    func followed(among keys: [AnswerKey]) async -> Set<AnswerKey>
    /// Gives what a call says to those elsewhere.
    ///
    /// - Parameter isFirst: it is all that the call has said so far; otherwise what goes on from there.
    /// - Returns: false when the store has not got it, and nothing of what came before.
    func say(_ pieces: SaidPieces, as key: AnswerKey, isFirst: Bool) async -> Bool
    /// Nothing more is said.
    func hush(_ key: AnswerKey) async
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
    /// What its maker has said of it beyond what was heard.
    package let pieces: SaidPieces?

    package enum Maker: Sendable, Equatable {
        /// It is there, and fresh.
        case nobody
        /// This worker is to make it.
        case thisWorker
        /// It is being made.
        case another
    }

    package init(kept: KeptAnswer?, maker: Maker, pieces: SaidPieces? = nil) {
        self.kept = kept
        self.maker = maker
        self.pieces = pieces
    }
}

/// How much of an answer has been heard from the worker that makes it.
package struct HeardPieces: Sendable, Equatable {
    /// Which call it was of; nil when nothing was heard.
    package let call: UInt64?
    package var bytes = 0

    package init(call: UInt64? = nil, bytes: Int = 0) {
        self.call = call
        self.bytes = bytes
    }
}

/// What a call says of an answer: what goes on from what was heard of the same call, else all of it.
package struct SaidPieces: Sendable, Equatable {
    /// Names it among all that are made for this answer.
    package let call: UInt64
    /// Whole characters.
    package let text: String

    package init(call: UInt64, text: String) {
        self.call = call
        self.text = text
    }
}

extension AnswerStore {
    package func look(for keys: [AnswerKey], stale: Duration) async -> [AnswerKey: AnswerStanding] {
        await look(for: keys, stale: stale, heard: [:])
    }
}
