import IOLoop
import ParleyRabbitMQ

/// A message from a reply queue.
public struct ReplyMessage: Sendable {
    /// The JSON of a reply or chunk.
    public let body: [UInt8]
    /// `chat.reply` or `chat.chunk`.
    public let type: String?
    public let correlationID: String?
    let tag: DeliveryTag
}

/// Consumes a reply queue, acknowledging by hand; survives reconnections.
public struct ReplySubscription: Sendable {
    let consumer: RabbitMQConsumer

    /// What has come, at least one message; nil when nothing came within `limit`, or after ``close()``.
    public func next(atMost count: Int, within limit: Duration? = nil) async throws -> [ReplyMessage]? {
        let deliveries: [Delivery]?
        if let limit {
            deliveries = try await withThrowingTaskGroup(of: [Delivery]?.self) { group in
                group.addTask { await consumer.next(atMost: count) }
                group.addTask {
                    try await Task.sleep(for: limit)
                    return nil
                }
                defer { group.cancelAll() }
                return try await group.next() ?? nil
            }
        } else {
            deliveries = await consumer.next(atMost: count)
        }
        return deliveries?.map {
            ReplyMessage(
                body: $0.body, type: $0.properties.type, correlationID: $0.properties.correlationID, tag: $0.tag)
        }
    }

    /// These leave the queue.
    public func acknowledge(_ messages: [ReplyMessage]) async { await consumer.acknowledge(messages.map(\.tag)) }

    /// What was not acknowledged goes back to the queue.
    public func close() async { await consumer.close() }
}

extension ParleyClient {
    /// Consumes `queue`, which is declared durable when it does not exist.
    /// - Throws: ``ParleyClientError``: `refused`, `unreachable`.
    public func subscribe(to queue: String, prefetch: Int = 256) async throws(ParleyClientError) -> ReplySubscription {
        guard !isClosed else { throw .isClosed }
        try await ensureReplyQueue(queue)
        let consumer = RabbitMQConsumer(
            configuration: configuration.rabbitMQ, loop: loop, queues: [queue], prefetch: UInt16(clamping: prefetch),
            logger: logger)
        await consumer.start()
        return ReplySubscription(consumer: consumer)
    }
}
