import CRabbitMQ

extension RabbitMQConnection {
    /// Declares a queue; an existing one must have the same arguments.
    /// - Parameter passive: only looks whether the queue is there; its arguments are then not compared.
    /// - Throws: ``RabbitMQError/Code/preconditionFailed`` with ``RabbitMQError/argument`` when an argument differs,
    ///   ``RabbitMQError/Code/notFound`` when `passive` finds none.
    @discardableResult
    package func declare(
        _ queue: QueueDeclaration, passive: Bool = false, channel: UInt16? = nil
    ) async throws(RabbitMQError) -> QueueStatus {
        let reply = try await call(channel, Method.queueDeclareOK, "queue.declare") {
            arena, wire, number throws(RabbitMQError) in
            var method = amqp_queue_declare_t(
                ticket: 0, queue: try arena.short(queue.name, "the queue's name"), passive: passive ? 1 : 0,
                durable: queue.durable ? 1 : 0, exclusive: queue.exclusive ? 1 : 0,
                auto_delete: queue.autoDelete ? 1 : 0, nowait: 0, arguments: try arena.table(queue.arguments))
            return amqp_send_method(wire.state, number, Method.queueDeclare, &method)
        }
        guard case .queue(let status) = reply else { throw .unexpectedReply("queue.declare") }
        return status
    }

    /// Adopts the queue if it exists, whatever its arguments, and declares it if not.
    ///
    /// With `strict`, an existing queue is compared too.
    /// - Throws: ``RabbitMQError/Code/preconditionFailed``, naming the differing argument.
    @discardableResult
    package func ensureQueue(
        _ queue: QueueDeclaration, strict: Bool = false
    ) async throws(RabbitMQError) -> QueueStatus {
        if !strict, !queue.name.isEmpty {
            do throws(RabbitMQError) {
                return try await declare(queue, passive: true)
            } catch {
                guard error.code == .notFound else { throw error }
            }
        }
        return try await declare(queue)
    }

    /// Deletes a queue (no error when there is none) and returns how many messages went with it.
    @discardableResult
    package func deleteQueue(
        _ name: String, ifUnused: Bool = false, ifEmpty: Bool = false, channel: UInt16? = nil
    ) async throws(RabbitMQError) -> UInt32 {
        let reply = try await call(channel, Method.queueDeleteOK, "queue.delete") {
            arena, wire, number throws(RabbitMQError) in
            var method = amqp_queue_delete_t(
                ticket: 0, queue: try arena.short(name, "the queue's name"), if_unused: ifUnused ? 1 : 0,
                if_empty: ifEmpty ? 1 : 0, nowait: 0)
            return amqp_send_method(wire.state, number, Method.queueDelete, &method)
        }
        guard case .count(let count) = reply else { throw .unexpectedReply("queue.delete") }
        return count
    }

    /// Removes the ready messages of a queue and returns how many they were.
    @discardableResult
    package func purge(_ name: String, channel: UInt16? = nil) async throws(RabbitMQError) -> UInt32 {
        let reply = try await call(channel, Method.queuePurgeOK, "queue.purge") {
            arena, wire, number throws(RabbitMQError) in
            var method = amqp_queue_purge_t(ticket: 0, queue: try arena.short(name, "the queue's name"), nowait: 0)
            return amqp_send_method(wire.state, number, Method.queuePurge, &method)
        }
        guard case .count(let count) = reply else { throw .unexpectedReply("queue.purge") }
        return count
    }

    /// Binds `queue` to `exchange`.
    package func bind(
        queue: String, exchange: String, routingKey: String, arguments: FieldTable = FieldTable(),
        channel: UInt16? = nil
    ) async throws(RabbitMQError) {
        try await call(channel, Method.queueBindOK, "queue.bind") { arena, wire, number throws(RabbitMQError) in
            var method = amqp_queue_bind_t(
                ticket: 0, queue: try arena.short(queue, "the queue's name"),
                exchange: try arena.short(exchange, "the exchange's name"),
                routing_key: try arena.short(routingKey, "the routing key"), nowait: 0,
                arguments: try arena.table(arguments))
            return amqp_send_method(wire.state, number, Method.queueBind, &method)
        }
    }

    /// Removes a binding.
    package func unbind(
        queue: String, exchange: String, routingKey: String, arguments: FieldTable = FieldTable(),
        channel: UInt16? = nil
    ) async throws(RabbitMQError) {
        try await call(channel, Method.queueUnbindOK, "queue.unbind") { arena, wire, number throws(RabbitMQError) in
            var method = amqp_queue_unbind_t(
                ticket: 0, queue: try arena.short(queue, "the queue's name"),
                exchange: try arena.short(exchange, "the exchange's name"),
                routing_key: try arena.short(routingKey, "the routing key"), arguments: try arena.table(arguments))
            return amqp_send_method(wire.state, number, Method.queueUnbind, &method)
        }
    }

    /// Declares an exchange of type `direct`, `fanout`, `topic`, `headers` or a plugin's.
    package func declareExchange(
        _ name: String, type: String, durable: Bool = true, autoDelete: Bool = false, passive: Bool = false,
        arguments: FieldTable = FieldTable(), channel: UInt16? = nil
    ) async throws(RabbitMQError) {
        try await call(channel, Method.exchangeDeclareOK, "exchange.declare") {
            arena, wire, number throws(RabbitMQError) in
            var method = amqp_exchange_declare_t(
                ticket: 0, exchange: try arena.short(name, "the exchange's name"),
                type: try arena.short(type, "the exchange's type"), passive: passive ? 1 : 0,
                durable: durable ? 1 : 0, auto_delete: autoDelete ? 1 : 0, internal: 0, nowait: 0,
                arguments: try arena.table(arguments))
            return amqp_send_method(wire.state, number, Method.exchangeDeclare, &method)
        }
    }

    /// Deletes an exchange; no error when there is none.
    package func deleteExchange(
        _ name: String, ifUnused: Bool = false, channel: UInt16? = nil
    ) async throws(RabbitMQError) {
        try await call(channel, Method.exchangeDeleteOK, "exchange.delete") {
            arena, wire, number throws(RabbitMQError) in
            var method = amqp_exchange_delete_t(
                ticket: 0, exchange: try arena.short(name, "the exchange's name"), if_unused: ifUnused ? 1 : 0,
                nowait: 0)
            return amqp_send_method(wire.state, number, Method.exchangeDelete, &method)
        }
    }
}

extension RabbitMQError {
    static func unexpectedReply(_ name: String) -> RabbitMQError {
        RabbitMQError(.protocolViolation, "the broker answered \(name) with something else")
    }
}
