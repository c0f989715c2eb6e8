/// What is known of a job when work on it is about to begin.
package enum ClaimState: Sendable, Equatable {
    /// Its result is stored: this reply.
    case stored([UInt8])
    /// It was revoked before it was answered.
    case revoked
    /// Another worker, which lives, works on it.
    case elsewhere
    /// The id belongs to another job.
    case conflict
    /// None of that is known, and nobody has claimed it.
    case free
    /// It is this worker's from now on.
    ///
    /// - starts: how often work on this attempt has begun, this time included.
    /// - losses: how many workers have died while they worked on it.
    /// - mustBeAlone: one of them worked on a few suspects only, of which it is one.
    case claimed(starts: Int, losses: Int, mustBeAlone: Bool = false)
}
