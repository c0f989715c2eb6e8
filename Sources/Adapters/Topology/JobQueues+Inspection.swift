import ParleyRabbitMQ

/// What an adopted queue is like. AMQP tells nobody a queue's arguments, but refuses a declaration with others and says what
/// it has instead (406). That takes the right to configure the queue: without it nothing is known.
extension JobQueues {
    /// What is odd about an existing job queue, in a sentence; nil when nothing is, or nothing can be known.
    package func warning(of queue: String, on connection: RabbitMQConnection) async -> String? {
        await hasPriorities(queue, on: connection) == false ? noPriorities(queue) : nil
    }

    package func noPriorities(_ queue: String) -> String {
        "\(queue) has no priorities: a job for which a person waits comes behind all that are there. Delete the queue when "
            + "it is empty and let a worker declare it, with the argument x-max-priority \(Self.maxPriority)"
    }

    /// Whether jobs of a higher priority come first; nil when it is not known. Quorum queues have two levels or none, and are
    /// chosen for other reasons.
    package func hasPriorities(_ queue: String, on connection: RabbitMQConnection) async -> Bool? {
        for type in ["classic", nil] as [String?] {
            var arguments: FieldTable = ["x-max-priority": .int(Self.maxPriority)]
            arguments["x-queue-type"] = type.map { .string($0) }
            do throws(RabbitMQError) {
                try await connection.declare(QueueDeclaration(name: queue, arguments: arguments))
                return true
            } catch {
                guard error.code == .preconditionFailed else { return nil }
                guard error.argument == "x-max-priority" else { continue }
                return !error.message.contains("current is none")
            }
        }
        return nil
    }

    /// The value that a refusal (406) says an argument has: "… but current is '3'", or "… current is the value '3' of type
    /// 'signedint'". Nil when it is none, or no number.
    static func current(in refusal: RabbitMQError) -> Int? {
        guard let mark = refusal.message.firstRange(of: "current is ") else { return nil }
        let digits = refusal.message[mark.upperBound...].drop { $0 != "'" }.dropFirst().prefix { $0 != "'" }
        return Int(digits)
    }

    /// How often a quorum queue delivers a message before it drops it, as far as can be known.
    package enum DeliveryLimit: Sendable, Equatable {
        /// It never does: a classic queue, or a quorum queue without a limit.
        case never
        case after(Int)
        case unknown

        /// Returned so often a message is near enough to being dropped. Unknown is taken for RabbitMQ 4's 20.
        package var half: Int? {
            switch self {
            case .never: nil
            case .after(let limit): max(1, limit / 2)
            case .unknown: 10
            }
        }
    }

    /// That of an existing queue. A limit that a policy sets is not seen.
    package static func deliveryLimit(of queue: String, on connection: RabbitMQConnection) async -> DeliveryLimit {
        do throws(RabbitMQError) {
            try await connection.declare(
                QueueDeclaration(
                    name: queue, arguments: ["x-queue-type": "quorum", "x-delivery-limit": .int(deliveryLimit)]))
            return .after(Int(deliveryLimit))
        } catch {
            guard error.code == .preconditionFailed, let argument = error.argument else { return .unknown }
            guard argument == "x-delivery-limit" else { return argument == "x-queue-type" ? .never : .unknown }
            let major = connection.serverProperties["version"]?.string?.prefix { $0.isNumber }
            if error.message.contains("current is none") { return Int(major ?? "") ?? 4 >= 4 ? .after(20) : .never }
            return current(in: error).map { .after(max(0, $0)) } ?? .unknown
        }
    }
}
