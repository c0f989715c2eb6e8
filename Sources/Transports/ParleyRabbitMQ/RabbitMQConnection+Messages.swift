import CRabbitMQ
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
        try await call(channel, Method.basicQosOK, "basic.qos") { _, wire, number in
            var method = amqp_basic_qos_t(prefetch_size: 0, prefetch_count: prefetch, global: 0)
            return amqp_send_method(wire.state, number, Method.basicQos, &method)
        }
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
        let entry = ConsumerEntry(tag: tag, queue: queue, maxBody: maxBody) {
            handler(.delivery($0))
        } ended: {
            handler(.ended($0))
        }
        try await begin(entry, on: channel, noAck: noAck, exclusive: exclusive, arguments: arguments)
        return tag
    }

    func begin(
        _ entry: ConsumerEntry, on number: UInt16, noAck: Bool, exclusive: Bool, arguments: FieldTable
    ) async throws(RabbitMQError) {
        let channel = try channel(number)
        let queue = entry.queue
        let tag = entry.tag
        // Before the request: deliveries may follow its answer at once.
        channel.consumers.append(entry)
        do throws(RabbitMQError) {
            try await call(channel.number, Method.basicConsumeOK, "basic.consume") {
                arena, wire, number throws(RabbitMQError) in
                var method = amqp_basic_consume_t(
                    ticket: 0, queue: try arena.short(queue, "the queue's name"),
                    consumer_tag: try arena.short(tag, "the consumer tag"), no_local: 0, no_ack: noAck ? 1 : 0,
                    exclusive: exclusive ? 1 : 0, nowait: 0, arguments: try arena.table(arguments))
                return amqp_send_method(wire.state, number, Method.basicConsume, &method)
            }
        } catch {
            channel.consumers.removeAll { $0.tag == tag }
            throw error
        }
    }

    /// Ends a consumer. Deliveries that were under way still reach its handler before this returns.
    package func cancel(_ consumerTag: String, channel: UInt16) async throws(RabbitMQError) {
        try await call(channel, Method.basicCancelOK, "basic.cancel") { arena, wire, number throws(RabbitMQError) in
            var method = amqp_basic_cancel_t(
                consumer_tag: try arena.short(consumerTag, "the consumer tag"), nowait: 0)
            return amqp_send_method(wire.state, number, Method.basicCancel, &method)
        }
        session.channels[channel]?.consumers.removeAll { $0.tag == consumerTag }
    }

    /// Takes one message, if there is one.
    package func get(
        _ queue: String, noAck: Bool = false, channel: UInt16
    ) async throws(RabbitMQError) -> Delivery? {
        let reply = try await call(channel, Method.basicGetOK, "basic.get") {
            arena, wire, number throws(RabbitMQError) in
            var method = amqp_basic_get_t(
                ticket: 0, queue: try arena.short(queue, "the queue's name"), no_ack: noAck ? 1 : 0)
            return amqp_send_method(wire.state, number, Method.basicGet, &method)
        }
        guard case .message(let delivery, _) = reply else { return nil }
        return delivery.named(queue)
    }

    /// Acknowledges a delivery, or with `multiple` all of its channel up to it. Tags of ended channels are ignored.
    package func ack(_ tag: DeliveryTag, multiple: Bool = false) {
        guard let channel = session.channels.values.first(where: { $0.epoch == tag.epoch }) else { return }
        let number = channel.number
        session.post(channel) { amqp_basic_ack($0.state, number, tag.number, multiple ? 1 : 0) }
    }

    /// Refuses a delivery, or with `multiple` all of its channel up to it. Tags of ended channels are ignored.
    package func nack(_ tag: DeliveryTag, multiple: Bool = false, requeue: Bool) {
        guard let channel = session.channels.values.first(where: { $0.epoch == tag.epoch }) else { return }
        let number = channel.number
        session.post(channel) { amqp_basic_nack($0.state, number, tag.number, multiple ? 1 : 0, requeue ? 1 : 0) }
    }

    /// Puts a channel into confirm mode; ``publish(_:channel:timeout:)`` needs it. Call it once, before publishing.
    package func confirmSelect(channel: UInt16) async throws(RabbitMQError) {
        let line = PublishLine(loop: session.loop, survivesConnection: false)
        try await confirmSelect(line, channel)
    }

    func confirmSelect(_ line: PublishLine, _ number: UInt16) async throws(RabbitMQError) {
        try await call(number, Method.confirmSelectOK, "confirm.select") { _, wire, number in
            var method = amqp_confirm_select_t(nowait: 0)
            return amqp_send_method(wire.state, number, Method.confirmSelect, &method)
        }
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
