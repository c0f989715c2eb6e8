extension RabbitMQConnection {
    /// Declares a queue; an existing one must have the same arguments.
    /// - Parameter passive: only looks whether the queue is there; its arguments are then not compared.
    /// - Throws: ``RabbitMQError/Code/preconditionFailed`` with ``RabbitMQError/argument`` when an argument differs,
    ///   ``RabbitMQError/Code/notFound`` when `passive` finds none.
    @discardableResult
    package func declare(
        _ queue: QueueDeclaration, passive: Bool = false, channel: UInt16? = nil
    ) async throws(RabbitMQError) -> QueueStatus {
        let reply = try await call(.queueDeclare(queue, passive: passive), on: channel)
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
        let reply = try await call(.queueDelete(name, ifUnused: ifUnused, ifEmpty: ifEmpty), on: channel)
        guard case .count(let count) = reply else { throw .unexpectedReply("queue.delete") }
        return count
    }

    /// Removes the ready messages of a queue and returns how many they were.
    @discardableResult
    package func purge(_ name: String, channel: UInt16? = nil) async throws(RabbitMQError) -> UInt32 {
        let reply = try await call(.queuePurge(name), on: channel)
        guard case .count(let count) = reply else { throw .unexpectedReply("queue.purge") }
        return count
    }

    /// Binds `queue` to `exchange`.
    package func bind(
        queue: String, exchange: String, routingKey: String, arguments: FieldTable = FieldTable(),
        channel: UInt16? = nil
    ) async throws(RabbitMQError) {
        try await call(
            .queueBind(queue: queue, exchange: exchange, routingKey: routingKey, arguments: arguments), on: channel)
    }

    /// Removes a binding.
    package func unbind(
        queue: String, exchange: String, routingKey: String, arguments: FieldTable = FieldTable(),
        channel: UInt16? = nil
    ) async throws(RabbitMQError) {
        try await call(
            .queueUnbind(queue: queue, exchange: exchange, routingKey: routingKey, arguments: arguments), on: channel)
    }

    /// Declares an exchange of type `direct`, `fanout`, `topic`, `headers` or a plugin's.
    package func declareExchange(
        _ name: String, type: String, durable: Bool = true, autoDelete: Bool = false, passive: Bool = false,
        arguments: FieldTable = FieldTable(), channel: UInt16? = nil
    ) async throws(RabbitMQError) {
        try await call(
            .exchangeDeclare(
                name, type: type, passive: passive, durable: durable, autoDelete: autoDelete, arguments: arguments),
            on: channel)
    }

    /// Deletes an exchange; no error when there is none.
    package func deleteExchange(
        _ name: String, ifUnused: Bool = false, channel: UInt16? = nil
    ) async throws(RabbitMQError) {
        try await call(.exchangeDelete(name, ifUnused: ifUnused), on: channel)
    }
}

extension RabbitMQError {
    static func unexpectedReply(_ name: String) -> RabbitMQError {
        RabbitMQError(.protocolViolation, "the broker answered \(name) with something else")
    }
}
