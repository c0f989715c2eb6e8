import ChatJobs

/// The jobs in work here, by id: the delivery that leads, and other deliveries of the id, which follow it.
///
/// An id is claimed, and its claim given up, by its leader alone. A value: whoever changes it acts on what is returned.
struct InFlightJobs {
    private struct Entry {
        let leader: JobDelivery
        var followers: [JobDelivery] = []
        /// When its claim was taken, or renewed.
        var claimed: Duration
    }

    private var entries: [JobKey: Entry] = [:]
    private var shares: TenantShares

    init(ceiling: TenantCeiling = TenantCeiling()) { shares = TenantShares(ceiling) }

    /// How long the job has to wait because its tenant has as many in work as it may; nil when there is room. No longer than
    /// until its deadline.
    mutating func wait(for delivery: JobDelivery, now: Duration, wall: Timestamp) -> Duration? {
        guard let wait = shares.wait(delivery.job.tenant, now: now) else { return nil }
        guard let deadline = delivery.job.deadline else { return wait }
        return min(wait, max(.zero, deadline.since(wall)))
    }

    var count: Int { entries.count }

    /// In an order that does not change from run to run.
    var keys: [JobKey] { entries.keys.sorted { $0.text < $1.text } }

    func leader(of key: JobKey) -> JobDelivery? { entries[key]?.leader }

    /// Whether another job of that key is in work here that the id belongs to. Whoever works without a claim does not know
    /// that yet: then the delivery follows, and looks again when the other has ended.
    func conflicts(with delivery: JobDelivery) -> Bool {
        entries[delivery.key].map { $0.leader.isClaimed && $0.leader.identity != delivery.identity } ?? false
    }

    /// The delivery leads from now on. Only when nobody leads.
    mutating func lead(_ delivery: JobDelivery, now: Duration) {
        precondition(entries[delivery.key] == nil, "an id has one leader")
        entries[delivery.key] = Entry(leader: delivery, claimed: now)
        shares.begin(delivery.job.tenant)
    }

    /// The delivery waits for the leader of its id.
    ///
    /// - Returns: followers whose connection has ended meanwhile: the broker has taken them back, and each reconnect would
    ///   else leave as many as the prefetch until the leader is done. Nil when nobody leads.
    mutating func follow(_ delivery: JobDelivery) -> [JobDelivery]? {
        guard var entry = entries.removeValue(forKey: delivery.key) else { return nil }
        let epoch = delivery.incoming.receipt.epoch
        let void = entry.followers.filter { $0.incoming.receipt.epoch < epoch }
        entry.followers.removeAll { $0.incoming.receipt.epoch < epoch }
        entry.followers.append(delivery)
        entries[delivery.key] = entry
        return void
    }

    /// The leader is done with the id.
    ///
    /// - Returns: its followers, in the order in which they came.
    mutating func complete(_ key: JobKey) -> [JobDelivery] {
        guard let entry = entries.removeValue(forKey: key) else { return [] }
        shares.end(entry.leader.job.tenant)
        return entry.followers
    }

    /// Nobody follows any more.
    mutating func takeFollowers() -> [JobDelivery] {
        keys.flatMap { key in
            defer { entries[key]?.followers = [] }
            return entries[key]?.followers ?? []
        }
    }

    /// Jobs whose claims were last renewed more than `age` ago; they count as renewed now.
    mutating func claimsToRenew(olderThan age: Duration, now: Duration) -> [JobKey] {
        let due = keys.filter { key in
            entries[key].map { $0.leader.isClaimed && now - $0.claimed >= age } ?? false
        }
        for key in due { entries[key]?.claimed = now }
        return due
    }
}
