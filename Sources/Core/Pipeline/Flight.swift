import ChatJobs

/// A job being worked on here.
struct Flight {
    /// What a job's followers do when it lands.
    enum Landing {
        /// Its outcome is stored, or nothing came of it: they look for themselves.
        case settled
        /// It comes back later: so do they.
        case postponed(Duration)
        /// The broker has taken them back meanwhile: there is nothing to settle.
        case void
    }

    /// Another delivery of the id, which waits for the outcome.
    struct Follower {
        /// Of its receipt.
        let epoch: UInt64
        let landing: CheckedContinuation<Landing, Never>
    }

    private(set) var followers: [Follower] = []
    /// The task that answers it; cancelled when the job is revoked.
    var task: UInt64?
    /// Its order of arrival: the token of its wait for the model.
    let arrival: UInt64

    init(arrival: UInt64) { self.arrival = arrival }

    /// Lets go those of earlier epochs: each reconnect would else leave as many as the prefetch until the job lands.
    mutating func join(_ follower: Follower) {
        let isVoid = followers.partition { $0.epoch < follower.epoch }
        for void in followers[isVoid...] { void.landing.resume(returning: .void) }
        followers.removeSubrange(isVoid...)
        followers.append(follower)
    }
}
