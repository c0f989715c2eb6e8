import CRabbitMQ

/// Writing never waits. With TLS it is librabbitmq that sends, and blocks on a full socket: nothing is handed to it but what
/// fits the room that the kernel has said there is. Without, frames are collected, and leave as the socket takes them.
extension Wire {
    enum Sending {
        /// About so many bytes.
        case sent(Int)
        /// It cannot be expressed; nothing has left.
        case inexpressible(RabbitMQError)
        /// It fits no room at the moment; nothing has left.
        case noRoom
        /// The connection is not to be used any more.
        case lost(RabbitMQError)
    }

    /// Pushes out what was written. `sent` when the next batch may be written, `noRoom` when the socket is full.
    func push() -> Sending {
        guard plain != nil else { return parley_has_room(fd) != 0 ? .sent(0) : .noRoom }
        if let number = plain?.transmit(), number != 0 { return .lost(lost(errno: number)) }
        return plain?.isFlushed == false ? .noRoom : .sent(0)
    }

    /// Holds small segments back, or lets them go: with TLS each frame is a send of its own, and corked they leave as few
    /// large segments.
    func cork(_ isOn: Bool) { if plain == nil { parley_cork(fd, isOn ? 1 : 0) } }

    /// Four times a heartbeat, after reading: sends one when it is time.
    /// - Returns: why the connection is lost; nil when it is not.
    func beat() -> RabbitMQError? {
        guard plain != nil else { return nil }
        guard plain?.beat() == true else { return lost(Status.heartbeatTimeout) }
        guard case .lost(let error) = push() else { return nil }
        return error
    }

    /// The most that surely fits when there is room: a third of the buffer, less the kernel's own share.
    var largestWrite: Int { sendBuffer / 16 * 5 }

    /// The largest piece of a body given to the library at once: one that leaves room for another.
    var largestFragment: Int { max(2048, min(frameMax - 8, sendBuffer / 8)) }

    private func sent(_ status: Int32, _ size: Int) -> Sending {
        status == 0
            ? .sent(size)
            : .lost(RabbitMQError(.connectionLost, "cannot write to \(endpoint): \(Status.text(status))"))
    }

    /// - Parameter size: at least what it takes on the wire.
    private func send(_ frame: inout amqp_frame_t, _ size: Int) -> Sending {
        sent(plain?.write(frame, size: size) ?? amqp_send_frame(state, &frame), size)
    }

    func send(_ fragment: UnsafeRawBufferPointer, on channel: UInt16) -> Sending {
        var frame = amqp_frame_t()
        frame.frame_type = Frame.body
        frame.channel = channel
        frame.payload.body_fragment = amqp_bytes_t(
            len: fragment.count, bytes: UnsafeMutableRawPointer(mutating: fragment.baseAddress))
        return send(&frame, fragment.count + 8)
    }

    private func send<T: BitwiseCopyable>(_ id: UInt32, _ method: inout T, on channel: UInt16, _ size: Int) -> Sending {
        withUnsafeMutablePointer(to: &method) { method in
            var frame = amqp_frame_t()
            frame.frame_type = Frame.method
            frame.channel = channel
            frame.payload.method.id = id
            frame.payload.method.decoded = UnsafeMutableRawPointer(method)
            return send(&frame, size)
        }
    }

    /// Sends a message's method and header, which go as a whole; its body is another matter.
    func send(_ message: PendingPublish, on channel: UInt16, room: Int) -> Sending {
        arena.reset()
        let size: Int
        var method: amqp_basic_publish_t
        var properties: amqp_basic_properties_t
        do throws(RabbitMQError) {
            // RabbitMQ delivers a direct reply and yet returns it when it is mandatory, since no queue has that name
            // ("Direct Reply-to", section "Caveats and Limitations").
            method = amqp_basic_publish_t(
                ticket: 0, exchange: try arena.short(message.exchange, "the exchange's name"),
                routing_key: try arena.short(message.routingKey, "the routing key"),
                mandatory: message.mandatory && !message.address.isDirectReply ? 1 : 0, immediate: 0)
            properties = try arena.properties(message.properties)
            size = arena.encodedSize + 60
            try check(arena.encodedSize)
        } catch {
            return .inexpressible(error)
        }
        guard size <= room else { return .noRoom }
        let sending = send(Method.basicPublish, &method, on: channel, size)
        guard case .sent = sending else { return sending }
        return withUnsafeMutablePointer(to: &properties) { properties in
            var frame = amqp_frame_t()
            frame.frame_type = Frame.header
            frame.channel = channel
            frame.payload.properties.class_id = 60
            frame.payload.properties.body_size = UInt64(message.bodySize)
            frame.payload.properties.decoded = UnsafeMutableRawPointer(properties)
            return send(&frame, size)
        }
    }

    private func check(_ size: Int) throws(RabbitMQError) {
        guard size <= frameMax - 32 else {
            throw RabbitMQError(
                .invalidMessage, "properties and headers take \(size) bytes; the broker allows \(frameMax)")
        }
        guard size + 60 <= largestWrite else {
            throw RabbitMQError(
                .invalidMessage,
                "properties and headers take \(size) bytes; the socket's buffer (net.core.wmem_max) allows \(largestWrite)"
            )
        }
    }

    func send(_ method: OutboundMethod, on channel: UInt16, room: Int) -> Sending {
        arena.reset()
        do throws(RabbitMQError) {
            switch method {
            case .connectionClose:
                var m = amqp_connection_close_t(
                    reply_code: 200, reply_text: amqp_bytes_t(), class_id: 0, method_id: 0)
                return try send(channel, Method.connectionClose, &m, method, room)
            case .connectionCloseOK:
                var m = amqp_connection_close_ok_t()
                return try send(channel, Method.connectionCloseOK, &m, method, room)
            case .channelOpen:
                var m = amqp_channel_open_t(out_of_band: amqp_bytes_t())
                return try send(channel, Method.channelOpen, &m, method, room)
            case .channelClose:
                var m = amqp_channel_close_t(reply_code: 200, reply_text: amqp_bytes_t(), class_id: 0, method_id: 0)
                return try send(channel, Method.channelClose, &m, method, room)
            case .channelCloseOK:
                var m = amqp_channel_close_ok_t()
                return try send(channel, Method.channelCloseOK, &m, method, room)
            case .flowOK(let active):
                var m = amqp_channel_flow_ok_t(active: active ? 1 : 0)
                return try send(channel, Method.channelFlowOK, &m, method, room)
            case .confirmSelect:
                var m = amqp_confirm_select_t(nowait: 0)
                return try send(channel, Method.confirmSelect, &m, method, room)
            case .exchangeDeclare, .exchangeDelete: return try sendExchange(method, channel, room)
            case .queueDeclare, .queueBind, .queueUnbind, .queuePurge, .queueDelete:
                return try sendQueue(method, channel, room)
            case .qos, .consume, .cancel, .cancelOK, .get, .ack, .reject, .nack:
                return try sendBasic(method, channel, room)
            }
        } catch {
            return .inexpressible(error)
        }
    }

    private func send<T: BitwiseCopyable>(
        _ channel: UInt16, _ id: UInt32, _ c: inout T, _ method: OutboundMethod, _ room: Int
    ) throws(RabbitMQError) -> Sending {
        let size = arena.encodedSize + 32
        guard size <= min(frameMax, largestWrite) else {
            throw RabbitMQError(
                .invalidMessage,
                "the arguments of \(method.name) take more than \(min(frameMax, largestWrite)) bytes")
        }
        guard size <= room else { return .noRoom }
        return send(id, &c, on: channel, size)
    }

    private func sendExchange(
        _ method: OutboundMethod, _ channel: UInt16, _ room: Int
    ) throws(RabbitMQError) -> Sending {
        switch method {
        case .exchangeDeclare(let name, let type, let passive, let durable, let autoDelete, let arguments):
            var m = amqp_exchange_declare_t(
                ticket: 0, exchange: try arena.short(name, "the exchange's name"),
                type: try arena.short(type, "the exchange's type"), passive: passive ? 1 : 0,
                durable: durable ? 1 : 0, auto_delete: autoDelete ? 1 : 0, internal: 0, nowait: 0,
                arguments: try arena.table(arguments))
            return try send(channel, Method.exchangeDeclare, &m, method, room)
        case .exchangeDelete(let name, let ifUnused):
            var m = amqp_exchange_delete_t(
                ticket: 0, exchange: try arena.short(name, "the exchange's name"), if_unused: ifUnused ? 1 : 0,
                nowait: 0)
            return try send(channel, Method.exchangeDelete, &m, method, room)
        default: return .sent(0)
        }
    }

    private func sendQueue(_ method: OutboundMethod, _ channel: UInt16, _ room: Int) throws(RabbitMQError) -> Sending {
        switch method {
        case .queueDeclare(let queue, let passive):
            var m = amqp_queue_declare_t(
                ticket: 0, queue: try arena.short(queue.name, "the queue's name"), passive: passive ? 1 : 0,
                durable: queue.durable ? 1 : 0, exclusive: queue.exclusive ? 1 : 0,
                auto_delete: queue.autoDelete ? 1 : 0, nowait: 0, arguments: try arena.table(queue.arguments))
            return try send(channel, Method.queueDeclare, &m, method, room)
        case .queueBind(let queue, let exchange, let routingKey, let arguments):
            var m = amqp_queue_bind_t(
                ticket: 0, queue: try arena.short(queue, "the queue's name"),
                exchange: try arena.short(exchange, "the exchange's name"),
                routing_key: try arena.short(routingKey, "the routing key"), nowait: 0,
                arguments: try arena.table(arguments))
            return try send(channel, Method.queueBind, &m, method, room)
        case .queueUnbind(let queue, let exchange, let routingKey, let arguments):
            var m = amqp_queue_unbind_t(
                ticket: 0, queue: try arena.short(queue, "the queue's name"),
                exchange: try arena.short(exchange, "the exchange's name"),
                routing_key: try arena.short(routingKey, "the routing key"), arguments: try arena.table(arguments))
            return try send(channel, Method.queueUnbind, &m, method, room)
        case .queuePurge(let name):
            var m = amqp_queue_purge_t(ticket: 0, queue: try arena.short(name, "the queue's name"), nowait: 0)
            return try send(channel, Method.queuePurge, &m, method, room)
        case .queueDelete(let name, let ifUnused, let ifEmpty):
            var m = amqp_queue_delete_t(
                ticket: 0, queue: try arena.short(name, "the queue's name"), if_unused: ifUnused ? 1 : 0,
                if_empty: ifEmpty ? 1 : 0, nowait: 0)
            return try send(channel, Method.queueDelete, &m, method, room)
        default: return .sent(0)
        }
    }

    private func sendBasic(_ method: OutboundMethod, _ channel: UInt16, _ room: Int) throws(RabbitMQError) -> Sending {
        switch method {
        case .ack(let tag, let multiple):
            var m = amqp_basic_ack_t(delivery_tag: tag, multiple: multiple ? 1 : 0)
            return try send(channel, Method.basicAck, &m, method, room)
        case .reject(let tag, let requeue):
            var m = amqp_basic_reject_t(delivery_tag: tag, requeue: requeue ? 1 : 0)
            return try send(channel, Method.basicReject, &m, method, room)
        case .nack(let tag, let multiple, let requeue):
            var m = amqp_basic_nack_t(
                delivery_tag: tag, multiple: multiple ? 1 : 0, requeue: requeue ? 1 : 0)
            return try send(channel, Method.basicNack, &m, method, room)
        case .qos(let prefetch):
            var m = amqp_basic_qos_t(prefetch_size: 0, prefetch_count: prefetch, global: 0)
            return try send(channel, Method.basicQos, &m, method, room)
        case .consume(let queue, let tag, let noAck, let exclusive, let arguments):
            var m = amqp_basic_consume_t(
                ticket: 0, queue: try arena.short(queue, "the queue's name"),
                consumer_tag: try arena.short(tag, "the consumer tag"), no_local: 0, no_ack: noAck ? 1 : 0,
                exclusive: exclusive ? 1 : 0, nowait: 0, arguments: try arena.table(arguments))
            return try send(channel, Method.basicConsume, &m, method, room)
        case .cancel(let tag):
            var m = amqp_basic_cancel_t(consumer_tag: try arena.short(tag, "the consumer tag"), nowait: 0)
            return try send(channel, Method.basicCancel, &m, method, room)
        case .cancelOK(let tag):
            var m = amqp_basic_cancel_ok_t(consumer_tag: try arena.short(tag, "the consumer tag"))
            return try send(channel, Method.basicCancelOK, &m, method, room)
        case .get(let queue, let noAck):
            var m = amqp_basic_get_t(
                ticket: 0, queue: try arena.short(queue, "the queue's name"), no_ack: noAck ? 1 : 0)
            return try send(channel, Method.basicGet, &m, method, room)
        default: return .sent(0)
        }
    }
}
