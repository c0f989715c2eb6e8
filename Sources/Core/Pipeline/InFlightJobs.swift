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

    private var entries: [JobID: Entry] = [:]

    var count: Int { entries.count }

    /// In an order that does not change from run to run.
    var ids: [JobID] { entries.keys.sorted { $0.text < $1.text } }

    func leader(of id: JobID) -> JobDelivery? { entries[id]?.leader }

    /// The delivery leads from now on. Only when nobody leads.
    mutating func lead(_ delivery: JobDelivery, now: Duration) {
        precondition(entries[delivery.job.id] == nil, "an id has one leader")
        entries[delivery.job.id] = Entry(leader: delivery, claimed: now)
    }

    /// The delivery waits for the leader of its id.
    ///
    /// - Returns: followers whose connection has ended meanwhile: the broker has taken them back, and each reconnect would
    ///   else leave as many as the prefetch until the leader is done. Nil when nobody leads.
    mutating func follow(_ delivery: JobDelivery) -> [JobDelivery]? {
        guard var entry = entries.removeValue(forKey: delivery.job.id) else { return nil }
        let epoch = delivery.incoming.receipt.epoch
        let void = entry.followers.filter { $0.incoming.receipt.epoch < epoch }
        entry.followers.removeAll { $0.incoming.receipt.epoch < epoch }
        entry.followers.append(delivery)
        entries[delivery.job.id] = entry
        return void
    }

    /// The leader is done with the id.
    ///
    /// - Returns: its followers, in the order in which they came.
    mutating func complete(_ id: JobID) -> [JobDelivery] { entries.removeValue(forKey: id)?.followers ?? [] }

    /// Nobody follows any more.
    mutating func takeFollowers() -> [JobDelivery] {
        ids.flatMap { id in
            defer { entries[id]?.followers = [] }
            return entries[id]?.followers ?? []
        }
    }

    /// Jobs whose claims were last renewed more than `age` ago; they count as renewed now.
    mutating func claimsToRenew(olderThan age: Duration, now: Duration) -> [JobID] {
        let due = ids.filter { id in
            entries[id].map { $0.leader.isClaimed && now - $0.claimed >= age } ?? false
        }
        for id in due { entries[id]?.claimed = now }
        return due
    }
}
