import Logging
import ParleyRabbitMQ
import Synchronization
import Topology

/// Warns of job queues that a worker adopts and that are not as they should be: once for each, since finding out costs a
/// line in the broker's log.
final class QueueOddities: Sendable {
    private let logger: Logger
    private let known = Mutex<Set<String>>([])

    init(logger: Logger) { self.logger = logger }

    func look(at queues: JobQueues, on connection: RabbitMQConnection) async {
        for queue in queues.jobNames where known.withLock({ $0.insert(queue).inserted }) {
            guard let warning = await queues.warning(of: queue, on: connection) else { continue }
            logger.warning(
                "a job queue is not as it should be", metadata: ["queue": "\(queue)", "reason": "\(warning)"])
        }
    }
}
