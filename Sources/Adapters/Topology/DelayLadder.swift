import ChatJobs
import ParleyRabbitMQ

/// Queues in the broker in which a message waits as long as one likes, up to a year, without anybody holding it.
///
/// A level *n* is a queue in which every message waits 2ⁿ × 125 ms, so none stands in another's way. A delay is a sum of
/// levels: its binary digits are words of the routing key, the highest first, and the name of the queue that the message
/// is for follows them. What has waited on a level goes down to the next one whose digit is 1 by the broker's own
/// dead-lettering. So nothing but the broker is needed while a message waits, and it survives what the broker survives.
/// NServiceBus delays messages on RabbitMQ in the same way.
///
/// | name | is |
/// |---|---|
/// | `<base>.delay` | the topic exchange to publish to; it knows no other way out than a level's queue |
/// | `<base>.delay.<n>` | level n's queue, and the topic exchange by which messages come down to it |
/// | `<base>.delay.due` | the topic exchange that brings what has waited enough to its queue |
/// | `<base>.delay.stray` | the fanout exchange that brings what is for a queue that is no more to the base queue |
///
/// A level's exchange binds its queue to the digit 1 and has the next lower exchange as its alternate exchange, for the
/// digit 0, and for a message whose level is missing: it is early then, not lost. A message published while its first
/// level is missing is returned when it is mandatory; ``ensure(on:for:levels:)`` repairs. What is not survived: the exchange
/// of a level, or its binding to the next, deleted by hand while messages wait above it.
package struct DelayLadder: Sendable, Equatable {
    /// Twenty-eight: their sum is a little more than 388 days, with 27 it would be 194.
    package static let levels = 28
    /// What delays are rounded up to, and the shortest one.
    package static let step = Duration.milliseconds(125)
    /// The longest delay, 388 days and nine hours.
    package static let longest = step * ((1 << levels) - 1)
    /// The longest name, in bytes, of a queue that messages can wait for: routing keys have 255, and each level's digit
    /// and its dot take two.
    package static let maxQueueName = 255 - 2 * levels

    /// `queue.name`.
    package let base: String
    package let kind: JobQueues.Kind
    /// The most jobs in a level's queue; nil: any number. For quorum queues, which hand on what another does not take now as
    /// soon as it does; a classic one would lose it.
    package let maxJobs: Int?

    package init(base: String, kind: JobQueues.Kind, maxJobs: Int? = nil) {
        self.base = base
        self.kind = kind
        self.maxJobs = kind == .quorum ? maxJobs : nil
    }

    /// The exchange to publish to.
    package var entry: String { base + ".delay" }
    var due: String { base + ".delay.due" }
    var stray: String { base + ".delay.stray" }

    /// The name of a level's queue and of its exchange.
    func level(_ number: Int) -> String { "\(base).delay.\(number)" }

    /// How long a message waits on a level.
    static func wait(_ level: Int) -> Duration { step * (1 << level) }

    /// What a level's queue is.
    ///
    /// A quorum queue dead-letters at least once, which asks for `reject-publish`; a classic one dead-letters within the
    /// node, without confirms (RabbitMQ documentation, Dead Letter Exchanges, "Safety").
    func queue(_ number: Int) -> QueueDeclaration {
        var arguments: FieldTable = [
            "x-message-ttl": .int(125 << Int64(number)),
            "x-dead-letter-exchange": .string(number == 0 ? due : level(number - 1)),
        ]
        arguments["x-queue-type"] = kind == .quorum ? "quorum" : "classic"
        if kind == .quorum {
            arguments["x-dead-letter-strategy"] = "at-least-once"
            arguments["x-overflow"] = "reject-publish"
            arguments["x-max-length"] = maxJobs.map { .int(Int64($0)) }
        }
        return QueueDeclaration(name: level(number), arguments: arguments)
    }

    // MARK: - Addresses

    /// Why messages cannot wait for the queue `name`; nil when they can.
    package static func problem(with name: String) -> String? {
        let length = name.utf8.count
        if length == 0 || length > maxQueueName {
            return
                "a job queue's name has 1 to \(maxQueueName) bytes, so that delays fit its routing key; this one has \(length)"
        }
        if name.split(separator: ".", omittingEmptySubsequences: false).contains(where: { $0 == "*" || $0 == "#" }) {
            return
                "a job queue's name has no part that is * or #, which a topic exchange takes for any word; it is \(name)"
        }
        return nil
    }

    /// How many steps a delay is: rounded up, at least one, at most ``longest``.
    static func steps(_ delay: Duration) -> Int {
        guard delay < longest else { return (1 << levels) - 1 }
        guard delay > step else { return 1 }
        let (seconds, attoseconds) = delay.components
        let stepAttoseconds: Int64 = 125_000_000_000_000_000
        return Int(seconds) * 8 + Int((attoseconds + stepAttoseconds - 1) / stepAttoseconds)
    }

    /// The routing key that, at ``entry``, makes a message come to `queue` after `delay`.
    package func routingKey(to queue: String, after delay: Duration) -> String {
        let steps = Self.steps(delay)
        var key: [UInt8] = []
        key.reserveCapacity(Self.levels * 2 + queue.utf8.count)
        for level in (0..<Self.levels).reversed() {
            key.append(steps & (1 << level) == 0 ? UInt8(ascii: "0") : UInt8(ascii: "1"))
            key.append(UInt8(ascii: "."))
        }
        return String(decoding: key, as: UTF8.self) + queue
    }

    /// The pattern of keys whose digit of `level` is 1, and all above it `word`.
    private func pattern(_ level: Int, above word: String) -> String {
        String(repeating: word + ".", count: Self.levels - 1 - level) + "1.#"
    }

    // MARK: - Declaring

    /// How many levels, from the shortest on, a message that waits for `delay` can pass.
    package static func levels(for delay: Duration) -> Int { max(1, Int.bitWidth - steps(delay).leadingZeroBitCount) }

    /// Binds `queues` when the ladder is there, since a queue that was deleted and declared again has lost its binding.
    package func rebind(_ queues: [String], on connection: RabbitMQConnection) async throws(RabbitMQError) {
        do throws(RabbitMQError) {
            try await connection.declareExchange(entry, type: "topic", passive: true)
            try await bind(queues, on: connection)
        } catch {
            guard error.code == .notFound else { throw error }
        }
    }

    /// Makes sure that the ladder is there and leads to `queues`.
    ///
    /// Everything is declared and bound, whatever is there: bindings cannot be asked for, and who declared the rest may have
    /// died before the last of them. Delay queues of the other kind are taken as they are.
    /// - Parameter count: how many levels, from the shortest on: those that ``levels(for:)`` says. All of them unless given.
    /// - Throws: ``RabbitMQError/Code/preconditionFailed`` when a queue has a delay queue's name and is something else.
    package func ensure(
        on connection: RabbitMQConnection, for queues: [String], levels count: Int = levels
    ) async throws(RabbitMQError) {
        try await exchange(stray, "fanout", on: connection)
        try await exchange(due, "topic", otherwise: stray, on: connection)
        // From the bottom, so that each has somewhere to lead to before a message can come to it.
        for level in 0..<count {
            let below = level == 0 ? due : self.level(level - 1)
            try await declareQueue(level, on: connection)
            try await exchange(self.level(level), "topic", otherwise: below, on: connection)
            try await connection.bind(
                queue: self.level(level), exchange: self.level(level), routingKey: pattern(level, above: "*"))
        }
        try await bind(queues, on: connection)
        try await exchange(entry, "topic", on: connection)
        for level in 0..<count {
            try await connection.bind(
                queue: self.level(level), exchange: entry, routingKey: pattern(level, above: "0"))
        }
    }

    /// An existing queue may be of the other kind, or have another limit, but not lead elsewhere.
    private func declareQueue(_ level: Int, on connection: RabbitMQConnection) async throws(RabbitMQError) {
        let own = queue(level)
        let other = DelayLadder(base: base, kind: kind == .classic ? .quorum : .classic).queue(level)
        // Classic ones were once declared without saying so.
        var untyped = DelayLadder(base: base, kind: .classic).queue(level)
        untyped.arguments["x-queue-type"] = nil
        var refusal: RabbitMQError?
        for queue in [own, other, untyped] {
            do throws(RabbitMQError) {
                return try await declare(queue, on: connection)
            } catch {
                guard error.code == .preconditionFailed else { throw error }
                refusal = error
            }
        }
        guard let refusal else { return }
        throw RabbitMQError(
            .preconditionFailed,
            "the queue \(self.level(level)) is not the delay queue that Parley needs: \(refusal.message); "
                + "jobs would be lost in it: delete it, or choose another queue.name",
            replyCode: refusal.replyCode, argument: refusal.argument)
    }

    /// With whatever limit the queue has that is there.
    private func declare(_ queue: QueueDeclaration, on connection: RabbitMQConnection) async throws(RabbitMQError) {
        do throws(RabbitMQError) {
            try await connection.declare(queue)
        } catch {
            guard error.code == .preconditionFailed, error.argument == "x-max-length" else { throw error }
            var adopted = queue
            adopted.arguments["x-max-length"] = JobQueues.current(in: error).map { .int(Int64($0)) }
            try await connection.declare(adopted)
        }
    }

    private func exchange(
        _ name: String, _ type: String, otherwise alternate: String? = nil, on connection: RabbitMQConnection
    ) async throws(RabbitMQError) {
        var arguments = FieldTable()
        if let alternate { arguments["alternate-exchange"] = .string(alternate) }
        do throws(RabbitMQError) {
            try await connection.declareExchange(name, type: type, arguments: arguments)
        } catch {
            guard error.code == .preconditionFailed else { throw error }
        }
    }

    private func bind(_ queues: [String], on connection: RabbitMQConnection) async throws(RabbitMQError) {
        // As many words as there are digits: with # in their place, a queue `jobs` would get what is for `jobs.jobs`.
        let digits = String(repeating: "*.", count: Self.levels)
        for queue in queues { try await connection.bind(queue: queue, exchange: due, routingKey: digits + queue) }
        try await connection.bind(queue: base, exchange: stray, routingKey: "")
    }
}
