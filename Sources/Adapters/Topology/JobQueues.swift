import ChatJobs
import ParleyRabbitMQ

/// The queues that Parley lives in, and how they are declared.
package struct JobQueues: Sendable {
    package enum Kind: Sendable { case classic, quorum }

    /// A further job queue, `<base>.<name>`.
    package struct Lane: Sendable, Equatable {
        package var name: String
        /// Its share of a worker's prefetch, beside the base queue's 1.
        package var weight: Int

        package init(name: String, weight: Int = 1) {
            self.name = name
            self.weight = weight
        }
    }

    /// How much is kept, for queues that do not exist yet; nil: without a limit.
    package struct Retention: Sendable, Equatable {
        /// `dead.ttl`: older letters are dropped by the broker.
        package var deadTTL: Duration?
        /// `dead.max_letters`: of more the oldest are dropped.
        package var deadLetters: Int?
        /// `delays.max_jobs`: of each delay queue; it takes no more then, and workers hold what they cannot put aside.
        package var delayedJobs: Int?

        package init() {}
    }

    /// `queue.name`, and the names taken from it.
    package let names: OwnQueues
    /// `queue.type`: for queues that do not exist yet; an existing one is adopted as it is.
    package let kind: Kind
    /// `queue.lanes`.
    package let lanes: [Lane]
    package var retention = Retention()

    /// - Parameter lanes: weights below 1 count as 1.
    package init(base: String, lanes: [Lane] = [], kind: Kind) {
        names = OwnQueues(base: base, lanes: lanes.map(\.name))
        self.lanes = lanes
        self.kind = kind
    }

    /// Lanes of the same weight.
    package init(names: OwnQueues, kind: Kind) {
        self.init(base: names.base, lanes: names.lanes.map { Lane(name: $0) }, kind: kind)
    }

    /// The most a priority can be on a classic queue: priorities 0 … 9 need `x-max-priority` 10 at most, and the broker
    /// keeps a sub-queue for each level (RabbitMQ documentation, Priority Queue Support).
    package static let maxPriority: Int64 = 10

    /// How often a quorum queue delivers a message before it drops it. RabbitMQ 4 does so after 20 times unless told
    /// otherwise, and each hand-back and each lost connection counts (RabbitMQ documentation, Quorum Queues, "Poison
    /// Message Handling"): twenty restarts of workers would lose a job. Parley counts crashes itself and dead-letters
    /// with a confirm, so the broker's limit is put out of reach; "no limit" cannot be said to brokers before 4.
    package static let deliveryLimit: Int64 = 1_000_000

    /// The names of the job queue and of its lanes.
    package var jobNames: [String] { [names.base] + lanes.map { "\(names.base).\($0.name)" } }

    /// Where messages for the job queues wait: in quorum queues, of whatever kind the job queues are. A classic queue
    /// dead-letters without waiting for a confirm, and what it has just handed on dies with a broker that is killed
    /// (RabbitMQ documentation, Dead Letter Exchanges, "Safety"). A broker before 3.10, which refuses quorum queues with
    /// a TTL, gets classic ones.
    package var delays: DelayLadder {
        DelayLadder(base: names.base, kind: .quorum, maxJobs: retention.delayedJobs)
    }

    /// The job queue, and a lane for each further class. Each declaration says its type: what a virtual host takes for one
    /// that says none (`default_queue_type`) may be quorum, which knows no `x-max-priority`.
    package var jobs: [QueueDeclaration] {
        jobNames.map { name in
            switch kind {
            case .classic:
                QueueDeclaration(
                    name: name, arguments: ["x-queue-type": "classic", "x-max-priority": .int(Self.maxPriority)])
            case .quorum: quorum(name)
            }
        }
    }

    /// The dead-letter queue.
    package var dead: QueueDeclaration {
        var queue =
            switch kind {
            case .classic: QueueDeclaration(name: names.dead, arguments: ["x-queue-type": "classic"])
            case .quorum: quorum(names.dead)
            }
        queue.arguments["x-message-ttl"] = retention.deadTTL.map {
            .int($0 / .milliseconds(1) > 0 ? Int64($0 / .milliseconds(1)) : 1)
        }
        queue.arguments["x-max-length"] = retention.deadLetters.map { .int(Int64($0)) }
        return queue
    }

    /// None of them has a dead-letter exchange: Parley publishes what leaves a queue elsewhere, confirmed, before it
    /// acknowledges.
    private func quorum(_ name: String) -> QueueDeclaration {
        QueueDeclaration(
            name: name, arguments: ["x-queue-type": "quorum", "x-delivery-limit": .int(Self.deliveryLimit)])
    }

    /// What is wrong with the names; empty when nothing.
    package var problems: [String] {
        var problems = jobNames.compactMap(DelayLadder.problem)
        for lane in lanes where lane.name == "dead" || lane.name == "delay" || lane.name.hasPrefix("delay.") {
            problems.append(
                "the lane \(lane.name) has the name of the dead-letter or of a delay queue; give it another")
        }
        return problems
    }

    /// What a worker consumes: `prefetch` shared out by weight, the base queue's being 1.
    ///
    /// By largest remainder, so the sum is `prefetch`; each queue gets at least 1, also when `prefetch` is less than
    /// there are queues.
    package func consumed(prefetch: Int) -> [ConsumedQueue] {
        zip(jobNames, Self.shares(of: prefetch, weights: [1] + lanes.map { max(1, $0.weight) })).map {
            ConsumedQueue(name: $0, prefetch: UInt16(clamping: $1))
        }
    }

    static func shares(of total: Int, weights: [Int]) -> [Int] {
        var shares = [Int](repeating: 1, count: weights.count)
        var open = Array(weights.indices)
        var rest = max(total, weights.count)
        // Who would get less than 1 gets 1; the others share what is left.
        while true {
            let sum = open.reduce(0) { $0 + weights[$1] }
            let small = open.filter { rest * weights[$0] < sum }
            if small.isEmpty { break }
            open.removeAll { small.contains($0) }
            rest -= small.count
        }
        let sum = open.reduce(0) { $0 + weights[$1] }
        for index in open { shares[index] = rest * weights[index] / sum }
        let missing = rest - open.reduce(0) { $0 + shares[$1] }
        let byRemainder = open.sorted { rest * weights[$0] % sum > rest * weights[$1] % sum }
        for index in byRemainder.prefix(missing) { shares[index] += 1 }
        return shares
    }

    /// Declares what is missing, adopting what is there.
    ///
    /// The delay queues are declared when the first job has to wait: they are many, and some installations never need one.
    /// - Parameter deadLetters: also what workers need beside the job queues: the dead-letter queue, and the way back from
    ///   the delays that are there.
    /// - Throws: when the broker refuses one.
    package func ensure(on connection: RabbitMQConnection, deadLetters: Bool = true) async throws(RabbitMQError) {
        for declaration in jobs + (deadLetters ? [dead] : []) { _ = try await connection.ensureQueue(declaration) }
        if deadLetters { try await delays.rebind(jobNames, on: connection) }
    }
}
