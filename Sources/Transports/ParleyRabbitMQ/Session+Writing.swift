import CRabbitMQ
import IOLoop

/// A message of which the method, the header and a part of the body have left.
struct PartialContent {
    let channel: UInt16
    let body: [UInt8]
    var offset: Int
}

/// Writing never waits: librabbitmq's send blocks on a full socket, so nothing is handed to it unless the kernel has
/// said that a third of the send buffer is free, and then at most a quarter of the buffer before it is asked again.
/// Bodies go frame by frame, so a message may be larger than the buffer.
extension Session {
    /// Largest piece given to the library at once.
    private var chunk: Int { max(2048, min(frameMax - 8, (wire?.sendBuffer ?? 0) / 8)) }

    /// The most that fits what is free of the send buffer when the kernel says that there is room: a third of it, less
    /// the kernel's own share.
    private var largestWrite: Int { (wire?.sendBuffer ?? 0) / 16 * 5 }

    func scheduleFlush() {
        guard !flushScheduled, ended == nil else { return }
        flushScheduled = true
        loop.atTurnEnd { self.flush() }
    }

    func flush() {
        flushScheduled = false
        guard let wire, ended == nil else { return }
        for _ in 0..<4 {
            guard parley_has_room(wire.fd) != 0 else { return waitForWritable() }
            budget = max(2048, min(262_144, wire.sendBuffer / 8))
            room = largestWrite
            // Each frame is a send of its own: corked, they leave as few large segments.
            parley_cork(wire.fd, 1)
            let more = write(wire)
            guard ended == nil else { return }
            parley_cork(wire.fd, 0)
            if !more {
                if amqp_frames_enqueued(wire.state) != 0 || amqp_data_in_buffer(wire.state) != 0 { scheduleRead() }
                return
            }
        }
        scheduleFlush()
    }

    /// True when there is more to write than the budget allowed.
    private func write(_ wire: Wire) -> Bool {
        if partial != nil, !continueContent(wire) { return ended == nil }
        while ended == nil, let control = controls.popFirst() {
            send(control, wire)
            if budget <= 0 { return true }
        }
        for channel in channels.values {
            let hasMore = (channel.publishing?.write(self) ?? false) || (channel.inbox?.write(self) ?? false)
            if hasMore { return true }
            // A half-sent body must go on first: its channel may carry nothing else in between.
            if partial != nil { return true }
            if ended != nil { return false }
        }
        if closing != nil, !closeSent {
            closeSent = true
            var method = amqp_connection_close_t(
                reply_code: 200, reply_text: amqp_bytes_t(), class_id: 0, method_id: 0)
            sent(amqp_send_method(wire.state, 0, Method.connectionClose, &method), bytes: 20)
        }
        return false
    }

    private func send(_ control: Control, _ wire: Wire) {
        if let channel = control.channel, !channel.isOpen { return }
        arena.reset()
        do throws(RabbitMQError) {
            let status = try control.send(&arena, wire)
            sent(status, bytes: arena.encodedSize + 32)
        } catch {
            guard let call = control.call, let channel = control.channel,
                let index = channel.calls.firstIndex(where: { $0.id == call.id })
            else { return }
            channel.calls.remove(at: index).completion?(.failure(error))
        }
    }

    /// Accounts for a send; a failed one ends the session.
    func sent(_ status: Int32, bytes: Int) {
        budget -= bytes
        room -= bytes
        guard status != 0 else { return }
        end(RabbitMQError(.connectionLost, "cannot write to \(endpoint): \(Status.text(status))"))
    }

    /// A method without an answer, such as close-ok.
    func post(_ channel: Channel? = nil, _ send: @escaping (Wire) -> Int32) {
        controls.append(Control(channel: channel, call: nil) { _, wire in send(wire) })
        scheduleFlush()
    }

    /// Sends `message` on `channel`, its body as far as there is room; the rest follows before anything else.
    /// - Throws: ``RabbitMQError/Code/invalidMessage``; nothing was sent then.
    /// - Returns: false when there is no room at the moment; nothing was sent then.
    func publish(_ message: PendingPublish, on channel: UInt16) throws(RabbitMQError) -> Bool {
        guard let wire else { return true }
        let body = message.body
        arena.reset()
        let exchange = try arena.short(message.exchange, "the exchange's name")
        let routingKey = try arena.short(message.routingKey, "the routing key")
        var properties = try arena.properties(message.properties)
        guard arena.encodedSize <= frameMax - 32 else {
            throw RabbitMQError(
                .invalidMessage, "properties and headers take \(arena.encodedSize) bytes; the broker allows \(frameMax)"
            )
        }
        // Both go as a whole: librabbitmq would wait for the rest of the room.
        let size = arena.encodedSize + 60
        guard size <= largestWrite else {
            throw RabbitMQError(
                .invalidMessage,
                "properties and headers take \(size) bytes; the socket's buffer (net.core.wmem_max) allows \(largestWrite)"
            )
        }
        guard size <= room else { return false }
        // RabbitMQ delivers a direct reply and yet returns it when it is mandatory, since no queue has that name
        // ("Direct Reply-to", section "Caveats and Limitations").
        let isDirectReply = message.exchange.isEmpty && message.routingKey.hasPrefix("amq.rabbitmq.reply-to.")
        let mandatory: amqp_boolean_t = message.mandatory && !isDirectReply ? 1 : 0
        var method = amqp_basic_publish_t(
            ticket: 0, exchange: exchange, routing_key: routingKey, mandatory: mandatory, immediate: 0)
        sent(amqp_send_method(wire.state, channel, Method.basicPublish, &method), bytes: size)
        guard ended == nil else { return true }
        var frame = amqp_frame_t()
        frame.frame_type = 2
        frame.channel = channel
        let status = withUnsafeMutablePointer(to: &properties) { properties in
            frame.payload.properties.class_id = 60
            frame.payload.properties.body_size = UInt64(body.count)
            frame.payload.properties.decoded = UnsafeMutableRawPointer(properties)
            return amqp_send_frame(wire.state, &frame)
        }
        sent(status, bytes: 0)
        guard ended == nil, !body.isEmpty else { return true }
        partial = PartialContent(channel: channel, body: body, offset: 0)
        _ = continueContent(wire)
        return true
    }

    /// True when the body is through.
    private func continueContent(_ wire: Wire) -> Bool {
        guard var content = partial else { return true }
        let chunk = self.chunk
        while content.offset < content.body.count, budget > 0 {
            let count = min(chunk, content.body.count - content.offset)
            let status = content.body.withUnsafeBytes { body in
                var frame = amqp_frame_t()
                frame.frame_type = 3
                frame.channel = content.channel
                frame.payload.body_fragment = amqp_bytes_t(
                    len: count, bytes: UnsafeMutableRawPointer(mutating: body.baseAddress.map { $0 + content.offset }))
                return amqp_send_frame(wire.state, &frame)
            }
            content.offset += count
            sent(status, bytes: count + 8)
            guard ended == nil else { return false }
        }
        let isDone = content.offset == content.body.count
        partial = isDone ? nil : content
        return isDone
    }
}
