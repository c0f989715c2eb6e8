/// How many jobs of each tenant are in work here (`limits.in_flight`), and how long one waits for which there is no room.
struct TenantShares {
    private struct Queue {
        /// Jobs that were put aside since then.
        var jobs = 0
        let since: Duration
    }

    private let ceiling: TenantCeiling
    private var inWork: [String?: Int] = [:]
    private var queues: [String?: Queue] = [:]

    /// The longest wait. Who waits behind a thousand others need not come by every second to see that they are there.
    static let longest = Duration.seconds(30)
    private static let shortest = Duration.seconds(1)
    /// Tenants are named by producers: what is remembered of them is bounded.
    private static let mostQueues = 1024

    init(_ ceiling: TenantCeiling) { self.ceiling = ceiling }

    mutating func begin(_ tenant: String?) {
        if ceiling.of(tenant) != nil { inWork[tenant, default: 0] += 1 }
    }

    mutating func end(_ tenant: String?) {
        guard let count = inWork[tenant] else { return }
        inWork[tenant] = count > 1 ? count - 1 : nil
    }

    /// Nil when there is room. The more are put aside in half a minute, the longer each of them waits: as if a job took a
    /// second.
    mutating func wait(_ tenant: String?, now: Duration) -> Duration? {
        guard let most = ceiling.of(tenant), inWork[tenant, default: 0] >= most else { return nil }
        if queues.count >= Self.mostQueues { queues = queues.filter { now - $0.value.since < Self.longest } }
        if queues.count >= Self.mostQueues, queues[tenant] == nil { return Self.longest }
        var queue = queues[tenant] ?? Queue(since: now)
        if now - queue.since >= Self.longest { queue = Queue(since: now) }
        let wait = min(Self.longest, Self.shortest + .milliseconds(1000 * min(queue.jobs, 1_000_000) / max(1, most)))
        queue.jobs += 1
        queues[tenant] = queue
        return wait
    }
}
