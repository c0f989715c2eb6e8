import ChatJobs
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

    /// A job that waits.
    package struct Waiting: Sendable {
        package let id: String?
        /// When it comes back to its queue; nil when the worker that put it aside did not say.
        package let due: Timestamp?
        /// The job queue that it comes back to.
        package let queue: String?
    }

    /// Each job that waits, level by level, longest first. Looking holds the jobs: one that becomes due meanwhile comes when
    /// the look ends.
    /// - Parameter visit: says which of them to remove.
    /// - Returns: how many were removed.
    /// - Throws: ``OperationError``; `refused` when jobs have been looked at so often that the broker would take them out.
    package func look(
        isInterrupted: @escaping @Sendable () -> Bool = { false }, _ visit: @Sendable (Waiting) -> Bool
    ) async throws(OperationError) -> Int {
        try await broker.connected { connection, loop throws(RabbitMQError) in
            let depth = try await ladder.depth(on: connection)
            var removed = 0
            for level in depth.levels.indices.reversed() where depth.levels[level] ?? 0 > 0 {
                let scan = try await LetterScan(
                    connection, queue: ladder.queueName(ofLevel: level), loop: loop, renews: false,
                    isInterrupted: isInterrupted)
                let result: Result<Void, RabbitMQError>
                do throws(RabbitMQError) {
                    while let deliveries = try await scan.next(atMost: 256) {
                        let marked = deliveries.map { visit(Waiting($0)) }
                        await scan.acknowledge(zip(deliveries, marked).filter(\.1).map(\.0))
                        await scan.keep(zip(deliveries, marked).filter { !$0.1 }.map(\.0))
                        removed += marked.count { $0 }
                    }
                    result = .success(())
                } catch {
                    result = .failure(error)
                }
                await scan.finish()
                try result.get()
            }
            return removed
        }
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

extension Delays.Waiting {
    init(_ delivery: Delivery) {
        let letter = DeadLetter(delivery)
        id = letter.id
        due = delivery.properties.headers[MessageHeaders.due]?.string.flatMap { Timestamp($0) }
        // Behind a digit and a dot for each level.
        let key = delivery.routingKey.utf8.dropFirst(2 * DelayLadder.levels)
        queue = key.isEmpty ? nil : String(key)
    }

    /// One object: `id`, `due`, `queue`.
    package func write(to json: inout JSONWriter) {
        json.object {
            $0.member("id", id)
            $0.member("due", due?.rfc3339)
            $0.member("queue", queue)
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
