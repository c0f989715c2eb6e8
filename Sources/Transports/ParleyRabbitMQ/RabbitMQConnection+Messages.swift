import IOLoop

/// What a consumer of ``RabbitMQConnection/consume(_:channel:noAck:exclusive:arguments:maxBody:handler:)`` hears.
package enum ConsumerEvent: Sendable {
    case delivery(Delivery)
    /// The last event: the broker ended the consumer (its queue is gone), or the channel or connection ended.
    case ended(RabbitMQError)
}

extension RabbitMQConnection {
    /// Limits how many unsettled deliveries each consumer of `channel` may hold; zero is no limit.
    package func qos(prefetch: UInt16, channel: UInt16) async throws(RabbitMQError) {
        try await call(.qos(prefetch: prefetch), on: channel)
    }

    /// Begins to consume; `handler` is called on the loop for each delivery and must not block.
    ///
    /// A body of more than `maxBody` bytes is discarded while it is read: ``Delivery/discarded``.
    ///
    /// For direct replies consume `amq.rabbitmq.reply-to` with `noAck`, and publish on the same channel.
    /// - Returns: the consumer tag.
    @discardableResult
    package func consume(
        _ queue: String, channel: UInt16, noAck: Bool = false, exclusive: Bool = false,
        arguments: FieldTable = FieldTable(), maxBody: Int = .max,
        handler: @escaping @Sendable (ConsumerEvent) -> Void
    ) async throws(RabbitMQError) -> String {
        let tag = nextConsumerTag()
        let handler = ConsumerHandler {
            handler(.delivery($0))
        } ended: {
            handler(.ended($0))
        }
        let consumer = ConsumerSlot(tag: tag, queue: queue, maxBody: maxBody, context: handler)
        try await begin(consumer, on: channel, noAck: noAck, exclusive: exclusive, arguments: arguments)
        return tag
    }

    func begin(
        _ consumer: ConsumerSlot<ConsumerHandler>, on number: UInt16, noAck: Bool, exclusive: Bool,
        arguments: FieldTable
    ) async throws(RabbitMQError) {
        // Before the request: deliveries may follow its answer at once.
        session.machine.add(consumer, on: number)
        do throws(RabbitMQError) {
            try await call(
                .consume(
                    queue: consumer.queue, tag: consumer.tag, noAck: noAck, exclusive: exclusive, arguments: arguments),
                on: number)
        } catch {
            session.machine.removeConsumer(consumer.tag, on: number)
            throw error
        }
    }

    /// Ends a consumer. Deliveries that were under way still reach its handler before this returns.
    package func cancel(_ consumerTag: String, channel: UInt16) async throws(RabbitMQError) {
        try await call(.cancel(tag: consumerTag), on: channel)
        session.machine.removeConsumer(consumerTag, on: channel)
    }

    /// Takes one message, if there is one.
    package func get(
        _ queue: String, noAck: Bool = false, channel: UInt16
    ) async throws(RabbitMQError) -> Delivery? {
        let reply = try await call(.get(queue: queue, noAck: noAck), on: channel)
        guard case .message(let delivery, _) = reply else { return nil }
        return delivery.named(queue)
    }

    /// Acknowledges a delivery, or with `multiple` all of its channel up to it. Tags of ended channels are ignored.
    package func ack(_ tag: DeliveryTag, multiple: Bool = false) {
        guard let channel = session.channels.values.first(where: { $0.epoch == tag.epoch }) else { return }
        session.post(.ack(tag.number, multiple: multiple), on: channel.number)
    }

    /// Refuses a delivery, or with `multiple` all of its channel up to it. Tags of ended channels are ignored.
    package func nack(_ tag: DeliveryTag, multiple: Bool = false, requeue: Bool) {
        guard let channel = session.channels.values.first(where: { $0.epoch == tag.epoch }) else { return }
        session.post(.nack(tag.number, multiple: multiple, requeue: requeue), on: channel.number)
    }

    /// Puts a channel into confirm mode; ``publish(_:channel:timeout:)`` needs it. Call it once, before publishing.
    package func confirmSelect(channel: UInt16) async throws(RabbitMQError) {
        let line = PublishLine(loop: session.loop, survivesConnection: false)
        try await confirmSelect(line, channel)
    }

    func confirmSelect(_ line: PublishLine, _ number: UInt16) async throws(RabbitMQError) {
        try await call(.confirmSelect, on: number)
        line.attach(session, try channel(number))
    }

    /// Publishes and waits for the broker's confirm, at most `timeout` (the configuration's `confirmTimeout`).
    package func publish(
        _ message: OutgoingMessage, channel: UInt16, timeout: Duration? = nil
    ) async throws(RabbitMQError) -> PublishOutcome {
        guard let line = try self.channel(channel).publishing?.line else {
            throw RabbitMQError(.invalidConfiguration, "channel \(channel) is not in confirm mode; call confirmSelect")
        }
        let deadline = ContinuousClock.now + (timeout ?? session.configuration.confirmTimeout)
        let result = await withCheckedContinuation { continuation in
            line.submit(PendingPublish(message, deadline: deadline) { continuation.resume(returning: $0) })
        }
        return try result.get()
    }
}
