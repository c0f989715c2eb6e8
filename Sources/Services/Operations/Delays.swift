import Logging
import ParleyJSON
import ParleyRabbitMQ
import Topology

/// The delay queues, for operators.
package struct Delays: Sendable {
    private let broker: DeadLetters
    /// Where the job queue's messages wait.
    package let ladder: DelayLadder

    package init(configuration: RabbitMQConfiguration, queues: JobQueues, logger: Logger) {
        broker = DeadLetters(configuration: configuration, queues: queues, logger: logger)
        ladder = queues.delays
    }

    /// What waits, level by level.
    /// - Throws: ``OperationError``.
    package func depth() async throws(OperationError) -> DelayLadder.Depth {
        try await broker.connected { connection, _ throws(RabbitMQError) in try await ladder.depth(on: connection) }
    }

    /// Deletes all queues and exchanges of the delays; no error when there are none. Workers declare them again when they
    /// connect or need them.
    /// - Parameter force: also when jobs wait in them, which are lost then.
    /// - Returns: how many jobs were lost.
    /// - Throws: ``OperationError``; `refused`, with their number in the message, when jobs wait.
    package func remove(force: Bool) async throws(OperationError) -> Int {
        try await broker.connected { connection, _ throws(RabbitMQError) in
            try await ladder.remove(on: connection, force: force)
        }
    }
}

extension DelayLadder.Depth {
    /// One object: `name`, `exists`, `total`, and `levels` with `queue`, `wait_ms` and `messages`.
    package func write(to json: inout JSONWriter, of ladder: DelayLadder) {
        json.object {
            $0.member("name", ladder.entry)
            $0.member("exists", exists)
            $0.member("total", total)
            $0.key("levels")
            $0.array { list in
                for (number, messages) in levels.enumerated() {
                    list.object {
                        $0.member("queue", ladder.queueName(ofLevel: number))
                        $0.member("wait_ms", Int(DelayLadder.wait(onLevel: number) / .milliseconds(1)))
                        $0.key("messages")
                        if let messages { $0.int(messages) } else { $0.null() }
                    }
                }
            }
        }
    }
}
