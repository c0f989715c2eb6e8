import ChatJobs

/// Jobs that have been in work when workers died, and may have killed them.
///
/// A suspect's last chance is taken in a *trial*: nothing else is in work, so that nobody is counted out with a job that
/// kills. Few suspects are tried one by one. Many (the innocent neighbours of one killer) are tried in groups: a worker that
/// dies in a group trial counts against nobody, but its members must then be tried alone. So of n suspects a killer is found
/// in n / 16 + 16 trials instead of n, for one worker more.
///
/// A value: the pipeline begins the trials that ``next(inFlight:)`` returns.
struct Suspects {
    struct Trial {
        let deliveries: [JobDelivery]
        var isAlone: Bool { deliveries.count == 1 }
    }

    /// Up to so many are tried one by one.
    static let few = 32
    static let groupSize = 16

    private var waiting: [JobDelivery] = []
    /// Of the trial that is going on.
    private var onTrial: Set<JobKey> = []
    private var areMany = false
    /// Claims that are being asked for or given back: until that is through no trial begins.
    private var claimsInDoubt = 0

    /// Nothing else is to be begun.
    var areThere: Bool { !waiting.isEmpty || !onTrial.isEmpty }

    mutating func add(_ delivery: JobDelivery) { waiting.append(delivery) }

    mutating func claimsBegin() { claimsInDoubt += 1 }
    mutating func claimsEnd() { claimsInDoubt -= 1 }

    /// A job is not in work here any more.
    mutating func complete(_ key: JobKey) { onTrial.remove(key) }

    /// The trial to begin now; nil while others are in work, or when nobody waits.
    ///
    /// - Parameter inFlight: ids in work here, those that wait for their trial included.
    mutating func next(inFlight: Int) -> Trial? {
        guard onTrial.isEmpty, !waiting.isEmpty, claimsInDoubt == 0, inFlight == waiting.count else { return nil }
        if waiting.count > Self.few { areMany = true }
        let group = waiting.filter { !$0.mustBeAlone }.prefix(areMany ? Self.groupSize : 1)
        let trial = Trial(deliveries: group.isEmpty ? Array(waiting.prefix(1)) : Array(group))
        onTrial = Set(trial.deliveries.map(\.key))
        waiting.removeAll { onTrial.contains($0.key) }
        if waiting.isEmpty { areMany = false }
        return trial
    }

    /// The worker is leaving: nobody is tried any more.
    mutating func takeWaiting() -> [JobDelivery] {
        defer { waiting = [] }
        return waiting
    }
}
