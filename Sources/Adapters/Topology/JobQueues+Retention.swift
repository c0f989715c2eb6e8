import ParleyRabbitMQ

/// How much existing queues keep, compared with what the settings say. AMQP tells nobody a queue's arguments, but refuses a
/// declaration with others and says what it has instead (406); what a policy adds is not seen.
extension JobQueues {
    /// What the settings say is kept, in words; nil when they set no limit.
    package var retentionText: String? {
        let letters = [
            retention.deadTTL.map { "older than \(Self.words(Self.milliseconds($0)))" },
            retention.deadLetters.map { "above \($0) (the oldest first)" },
        ].compactMap { $0 }
        let parts = [
            letters.isEmpty ? nil : "dead letters \(letters.joined(separator: " and ")) are dropped",
            retention.delayedJobs.map { "each delay queue takes \($0) jobs" },
        ].compactMap { $0 }
        return parts.isEmpty ? nil : parts.joined(separator: ", ")
    }

    /// Where existing queues keep less or more than the settings say, a sentence each with what to do about it.
    package func retentionWarnings(on connection: RabbitMQConnection) async -> [String] {
        var warnings: [String] = []
        if let status = try? await connection.declare(QueueDeclaration(name: names.dead), passive: true) {
            warnings += [await warning(of: dead, on: connection)].compactMap { $0 }
            if let most = retention.deadLetters, Int(status.messages) >= most {
                warnings.append(
                    "\(names.dead) is full (\(status.messages) letters, dead.max_letters is \(most)): for each new letter the oldest is "
                        + "dropped. See parley dead list; parley requeue or parley dead purge make room")
            }
        }
        guard retention.delayedJobs != nil, let depth = try? await delays.depth(on: connection) else { return warnings }
        for level in depth.levels.indices where depth.levels[level] != nil {
            // What is wrong with one is wrong with all that were declared at that time.
            if let warning = await warning(of: delays.queue(level), on: connection) { return warnings + [warning] }
        }
        return warnings
    }

    private func warning(of queue: QueueDeclaration, on connection: RabbitMQConnection) async -> String? {
        let limits = limits(of: queue)
        switch await limits.found(of: queue, on: connection) {
        case .unknown: return nil
        case .forbidden:
            let keys = limits.filter { $0.wanted != nil }.map(\.key)
            guard !keys.isEmpty else { return nil }
            return
                "whether \(queue.name) keeps to \(keys.joined(separator: " and ")) is not known: this user may not declare it. Run parley "
                + "check with the operator's rabbitmq.url; the queues of config/rabbitmq have no limits"
        case .known(let found):
            let differences = zip(limits, found).filter { $0.wanted != $1 }
            guard !differences.isEmpty else { return nil }
            let sentences = differences.map { limit, value in Self.sentence(queue.name, limit, value) }
            let isPolicyEnough = differences.allSatisfy { limit, value in limit.wanted != nil && value == nil }
            return sentences.joined(separator: "; ") + ". A queue that exists is taken as it is: "
                + (isPolicyEnough
                    ? "set a policy (\(policy(queue.name, limits))) and leave the setting empty, or " : "")
                + "delete the queue when it is empty, and a worker declares it anew"
        }
    }

    /// A limit that a queue may have.
    fileprivate struct Limit {
        let key: String
        let argument: String
        let policy: String
        let wanted: Int?
    }

    private func limits(of queue: QueueDeclaration) -> [Limit] {
        func limit(_ key: String, _ name: String) -> Limit {
            Limit(
                key: key, argument: "x-" + name, policy: name,
                wanted: queue.arguments["x-" + name]?.int.map { Int(clamping: $0) })
        }
        return queue.name == names.dead
            ? [limit("dead.ttl", "message-ttl"), limit("dead.max_letters", "max-length")]
            : [limit("delays.max_jobs", "max-length")]
    }

    private static func sentence(_ queue: String, _ limit: Limit, _ found: Int?) -> String {
        func words(_ number: Int) -> String {
            limit.policy == "message-ttl" ? self.words(number) : "\(number)"
        }
        let wanted = limit.wanted.map { "\(limit.key) is \(words($0))" } ?? "\(limit.key) is not set"
        guard let found else { return "\(wanted), but \(queue) has no limit (\(limit.argument))" }
        return "\(wanted), but \(queue) has \(words(found)) (\(limit.argument) \(found))"
    }

    /// The command that makes a queue keep to the limits.
    private func policy(_ queue: String, _ limits: [Limit]) -> String {
        let pattern = queue.replacing(".", with: "\\.")
        let pairs = limits.compactMap { limit in limit.wanted.map { "\"\(limit.policy)\":\($0)" } }
        return
            "rabbitmqctl set_policy \(queue) '^\(pattern)$' '{\(pairs.joined(separator: ","))}' --apply-to queues"
    }

    private static func milliseconds(_ duration: Duration) -> Int { Int(duration / .milliseconds(1)) }

    /// `7 days`, `90 s`: in the largest unit of which it is a whole number.
    private static func words(_ milliseconds: Int) -> String {
        let units = [(86_400_000, "days"), (3_600_000, "h"), (60_000, "min"), (1000, "s"), (1, "ms")]
        let (length, name) = units.first { milliseconds != 0 && milliseconds % $0.0 == 0 } ?? (1, "ms")
        return milliseconds == 86_400_000 ? "1 day" : "\(milliseconds / length) \(name)"
    }
}

/// What a queue was found to have.
private enum Found {
    /// Of each limit the value; nil: it has none.
    case known([Int?])
    /// This user may not declare the queue.
    case forbidden
    /// The broker's words are others.
    case unknown
}

extension [JobQueues.Limit] {
    /// Declares the queue again and again, each time with what the broker says that it has, until it agrees: a line in its log
    /// for each difference.
    fileprivate func found(of queue: QueueDeclaration, on connection: RabbitMQConnection) async -> Found {
        var queue = queue
        for _ in 0..<6 {
            do throws(RabbitMQError) {
                try await connection.declare(queue)
                return .known(map { queue.arguments[$0.argument]?.int.map { Int(clamping: $0) } })
            } catch {
                if error.code == .accessRefused { return .forbidden }
                guard error.code == .preconditionFailed, let argument = error.argument else { return .unknown }
                if contains(where: { $0.argument == argument }) {
                    let current = JobQueues.current(in: error)
                    guard current != nil || error.message.contains("current is none") else { return .unknown }
                    queue.arguments[argument] = current.map { .int(Int64($0)) }
                } else if ["x-queue-type", "x-delivery-limit"].contains(argument), queue.arguments[argument] != nil {
                    // It was declared without, or is of the other kind: that is not asked here.
                    queue.arguments[argument] =
                        error.message.contains("current is none")
                        ? nil : argument == "x-queue-type" ? Self.otherType(queue) : nil
                } else {
                    return .unknown
                }
            }
        }
        return .unknown
    }

    private static func otherType(_ queue: QueueDeclaration) -> FieldValue {
        queue.arguments["x-queue-type"]?.string == "quorum" ? "classic" : "quorum"
    }
}
