import ChatJobs
import RabbitMQ

/// The queues that Parley lives in, and how they are declared.
public struct JobQueues: Sendable {
    public enum Kind: Sendable { case classic, quorum }

    /// `queue.name`, and the names taken from it.
    public let names: OwnQueues
    /// `queue.type`: for queues that do not exist yet; an existing one is adopted as it is.
    public let kind: Kind

    public init(names: OwnQueues, kind: Kind) {
        self.names = names
        self.kind = kind
    }

    /// The most a priority can be on a classic queue: priorities 0 … 9 need `x-max-priority` 10 at most, and the broker
    /// keeps a sub-queue for each level (RabbitMQ documentation, Priority Queue Support).
    public static let maxPriority: Int64 = 10

    /// The job queue, and a lane for each further class.
    public var jobs: [QueueDeclaration] {
        ([names.base] + names.lanes.map { "\(names.base).\($0)" }).map { name in
            switch kind {
            case .classic: QueueDeclaration(name: name, arguments: ["x-max-priority": .int(Self.maxPriority)])
            case .quorum: QueueDeclaration(name: name, arguments: ["x-queue-type": .string("quorum")])
            }
        }
    }

    /// The dead-letter queue.
    public var dead: QueueDeclaration {
        switch kind {
        case .classic: QueueDeclaration(name: names.dead)
        case .quorum: QueueDeclaration(name: names.dead, arguments: ["x-queue-type": .string("quorum")])
        }
    }

    /// Declares what is missing, adopting what is there.
    /// - Throws: when the broker refuses one.
    public func ensure(on connection: RabbitMQConnection, deadLetters: Bool = true) async throws(RabbitMQError) {
        for declaration in jobs + (deadLetters ? [dead] : []) { _ = try await connection.ensureQueue(declaration) }
    }
}
