import ChatJobs

/// A job being worked on here.
struct Flight {
    /// What a job's followers do when it lands.
    enum Landing {
        /// Its outcome is stored, or nothing came of it: they look for themselves.
        case settled
        /// It comes back later: so do they.
        case postponed(Duration)
    }

    /// Those who wait for the outcome: other deliveries of the id.
    var followers: [CheckedContinuation<Landing, Never>] = []
    /// The task that answers it; cancelled when the job is revoked.
    var task: UInt64?
    /// Its order of arrival: the token of its wait for the model.
    let arrival: UInt64
    var isRevoked = false

    init(arrival: UInt64) { self.arrival = arrival }
}
