import Answering
import ChatJobs

/// What this worker asks the store about jobs, and claims of them.
struct Claims: Sendable {
    private let results: any ResultStore
    private let health: HealthMonitor
    private let purpose: ClaimPurpose

    /// - Parameter maxDeliveries: `retry.max_deliveries`.
    init(results: any ResultStore, health: HealthMonitor, maxDeliveries: Int) {
        self.results = results
        self.health = health
        purpose = .work(suspectsFrom: Admission.lossesOfSuspects(maxDeliveries))
    }

    /// No claim is taken where answering twice is free: an answer made here, of nothing but the question and an index on
    /// disk. Claimed all the same is what was delivered before, since it may be what its worker died of, and what streams,
    /// since its attempts are counted.
    ///
    /// - Parameter anew: claims unless a success is stored: stored failures do not count.
    func take(_ deliveries: [JobDelivery], anew: Bool, isFree: Bool) async throws(Outage) -> [ClaimState] {
        let needed = anew || !isFree || deliveries.contains { $0.incoming.redelivered || $0.job.stream }
        let jobs = deliveries.map(\.identity)
        return needed ? try await results.begin(jobs, anew: anew, for: purpose) : try await results.look(jobs)
    }

    /// Claims what is on trial. Nil when the worker has to leave before the store answers.
    func take(_ trial: Suspects.Trial) async -> [ClaimState]? {
        var states: [ClaimState] = []
        let isAsked = await health.insist { () throws(Outage) in
            states = try await results.begin(
                trial.deliveries.map(\.identity), anew: true, for: trial.isAlone ? .trial : .groupTrial)
        }
        return isAsked ? states : nil
    }

    /// Gives back a claim that no work was begun under.
    ///
    /// - Parameter starts: that the claim was taken with.
    func giveBack(_ key: JobKey, starts: Int) async {
        _ = await health.insist { () throws(Outage) in try await results.release(key, keepingStarts: starts - 1) }
    }

    /// Drops what is stored for a job and is no reply. False when the worker has to leave before the store answers.
    func discard(_ key: JobKey, _ stored: [UInt8]) async -> Bool {
        await health.insist { () throws(Outage) in try await results.discard(key, stored) }
    }

    /// Lets claims of this worker live on. What fails is tried again at the next time.
    func renew(_ keys: [JobKey]) async {
        guard !keys.isEmpty else { return }
        try? await results.renew(keys)
    }

    /// Those of `keys` that have been revoked, as far as the store can say.
    func revoked(among keys: [JobKey]) async -> [JobKey] {
        guard !keys.isEmpty else { return [] }
        return (try? await results.revoked(among: keys)) ?? []
    }
}
