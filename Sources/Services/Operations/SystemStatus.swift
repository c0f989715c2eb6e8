import ChatJobs
import IOLoop
import Logging
import ParleyJSON
import ParleyRabbitMQ
import ParleyRedis
import Topology

/// Queues, servers and workers at one moment, for `parley status`.
package struct SystemStatus: Sendable {
    package enum Kind: String, Sendable { case jobs, delay, dead }

    /// A queue; those of the delay ladder count as one.
    package struct Queue: Sendable, Equatable {
        package let name: String
        package let kind: Kind
        /// Ready ones; nil when the queue does not exist yet.
        package let messages: Int?
        package let consumers: Int?
        /// Whether urgent jobs come first; nil when it is not known.
        package var hasPriorities: Bool?
        /// What is odd about it.
        package var warning: String?
    }

    /// A server.
    package struct Service: Sendable, Equatable {
        package let name: String
        /// Without its password.
        package let address: String
        /// When it answered, and says.
        package let version: String?
        /// When it did not.
        package let problem: OperationError?

        /// `ok`; `away`; `not allowed`: it is there, and refuses what was asked; `unknown`: it is there and does not say who
        /// it is.
        package var state: String {
            switch problem?.code {
            case .unreachable: "away"
            case .refused, .wrong: "not allowed"
            case nil: version == nil ? "unknown" : "ok"
            }
        }
    }

    /// In the order job queue, lanes, delay, dead; empty when the broker is away.
    package var queues: [Queue] = []
    package var services: [Service] = []
    /// Those that live; nil when Redis does not say.
    package var workers: [WorkerPresence]?

    /// The first server's problem.
    package var problem: OperationError? { services.lazy.compactMap(\.problem).first }

    /// Ready messages of all queues of a kind; nil when RabbitMQ does not say.
    package func messages(_ kind: Kind) -> Int? {
        queues.isEmpty ? nil : queues.filter { $0.kind == kind }.reduce(0) { $0 + ($1.messages ?? 0) }
    }
    /// Those that have lately said that they live. What others held the broker counts as ready again.
    private var living: [WorkerPresence]? { workers?.filter { !$0.isSilent } }
    package var workerCount: Int? { living?.count }
    /// Jobs that the workers hold.
    package var inFlight: Int? { living?.reduce(0) { $0 + min(max(0, $1.inFlight ?? 0), 1_000_000_000) } }
    /// Jobs a second, of all workers.
    package var rate: Double? { living?.reduce(0) { $0 + ($1.rate ?? 0) } }

    /// Asks both servers at once. One that is away is in ``services``, not thrown.
    /// - Parameter looksClosely: whether to ask what the job queues are like, which costs lines in the broker's log.
    package static func read(
        rabbitMQ: RabbitMQConfiguration, redis: RedisConfiguration, queues: JobQueues, keys: RedisKeys,
        looksClosely: Bool = true, logger: Logger
    ) async -> SystemStatus {
        async let broker = readBroker(rabbitMQ, queues, looksClosely, logger)
        async let store = readStore(redis, keys, logger)
        var status = SystemStatus()
        let (known, rabbitMQService) = await broker
        let (workers, redisService) = await store
        status.queues = known
        status.workers = workers?.filter { $0.queue.map { $0 == queues.names.base } ?? true }
        status.services = [rabbitMQService, redisService]
        return status
    }

    private static func readStore(
        _ configuration: RedisConfiguration, _ keys: RedisKeys, _ logger: Logger
    ) async -> ([WorkerPresence]?, Service) {
        let address = configuration.redacted
        do throws(OperationError) {
            let (workers, version) = try await withRedis(configuration, logger: logger) {
                client throws(RedisError) in
                // A user without INFO may look all the same.
                let info = try await client.send(RedisCommand("INFO", "server")).string ?? ""
                let version = info.split(separator: "\r\n").first { $0.hasPrefix("redis_version:") }?.dropFirst(14)
                return (try await WorkerPresence.read(client, keys), version.map { String($0) })
            }
            return (workers, Service(name: "redis", address: address, version: version, problem: nil))
        } catch {
            return (nil, Service(name: "redis", address: address, version: nil, problem: error))
        }
    }

    private static func readBroker(
        _ configuration: RabbitMQConfiguration, _ queues: JobQueues, _ looksClosely: Bool, _ logger: Logger
    ) async -> ([Queue], Service) {
        let address = configuration.redacted
        let letters = DeadLetters(configuration: configuration, queues: queues, logger: logger)
        do throws(OperationError) {
            return try await letters.connected { connection, _ throws(RabbitMQError) in
                let version = connection.serverProperties["version"]?.string
                var found: [Queue] = []
                for job in queues.jobs {
                    var queue = try await look(job.name, .jobs, connection)
                    if looksClosely, queue.messages != nil {
                        queue.hasPriorities = await queues.hasPriorities(job.name, on: connection)
                        queue.warning = queue.hasPriorities == false ? queues.noPriorities(job.name) : nil
                    }
                    found.append(queue)
                }
                let delays = try await queues.delays.depth(on: connection)
                found.append(
                    Queue(
                        name: queues.delays.entry, kind: .delay, messages: delays.exists ? delays.total : nil,
                        consumers: nil))
                found.append(try await look(queues.names.dead, .dead, connection))
                return (found, Service(name: "rabbitmq", address: address, version: version, problem: nil))
            }
        } catch {
            return ([], Service(name: "rabbitmq", address: address, version: nil, problem: error))
        }
    }

    private static func look(
        _ name: String, _ kind: Kind, _ connection: RabbitMQConnection
    ) async throws(RabbitMQError) -> Queue {
        do throws(RabbitMQError) {
            let status = try await connection.declare(QueueDeclaration(name: name), passive: true)
            return Queue(name: name, kind: kind, messages: Int(status.messages), consumers: Int(status.consumers))
        } catch {
            guard error.code == .notFound else { throw error }
            return Queue(name: name, kind: kind, messages: nil, consumers: nil)
        }
    }
}
