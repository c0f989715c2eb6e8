/// What is known of a job when work on it is about to begin.
package enum Standing: Sendable, Equatable {
    /// Its result is stored: this reply.
    case stored([UInt8])
    /// It was revoked before it was answered.
    case revoked
    /// Another worker, which lives, works on it.
    case elsewhere
    /// None of that is known, and nobody has claimed it.
    case free
    /// It is this worker's from now on.
    ///
    /// `starts` counts how often work on this attempt has begun, this time included; `losses` how many workers have died
    /// while they worked on it. With `mustBeAlone` it was in a group of suspects whose worker died.
    case claimed(starts: Int, losses: Int, mustBeAlone: Bool = false)
}
