import CRabbitMQ

extension Session {
    func scheduleRead() {
        guard !readScheduled, ended == nil else { return }
        readScheduled = true
        loop.atTurnEnd {
            self.readScheduled = false
            self.readFrames()
        }
    }

    /// The most that one turn of the loop reads: a flood must not hold up the others on it, heartbeats among them.
    private static let framesPerTurn = 4096
    static let bytesPerTurn = 1 << 20

    /// Dispatches the frames that are there, as many as a turn may read.
    func readFrames() {
        guard let wire else { return }
        var frame = amqp_frame_t()
        var limit = Self.framesPerTurn
        var bytes = 0
        while ended == nil, limit > 0, bytes < Self.bytesPerTurn {
            let status = parley_amqp_next_frame(wire.state, &frame)
            if status == Status.timeout { break }
            guard status == 0 else {
                lost(status)
                break
            }
            limit -= 1
            bytes += frame.size
            dispatch(&frame, wire)
            // Everything was copied out: the channel's pool may be used again.
            amqp_maybe_release_buffers_on_channel(wire.state, frame.channel)
        }
        // What the library has in its own buffer no poll sees.
        if limit == 0 || bytes >= Self.bytesPerTurn { scheduleRead() }
        for channel in channels.values { channel.inbox?.wake() }
    }

    private func lost(_ status: Int32) {
        switch status {
        case Status.heartbeatTimeout:
            end(RabbitMQError(.connectionLost, "\(endpoint) has sent nothing for two heartbeats"))
        case Status.badData:
            end(RabbitMQError(.protocolViolation, "\(endpoint) sent what is not AMQP 0-9-1"))
        default:
            end(closing ?? RabbitMQError(.connectionLost, "connection to \(endpoint) lost: \(Status.text(status))"))
        }
    }

    private func dispatch(_ frame: inout amqp_frame_t, _ wire: Wire) {
        if frame.channel == 0 {
            if frame.frame_type == 1 { connectionMethod(frame.payload.method, wire) }
            return
        }
        // A channel that is closed here may still be spoken to by a broker that has not heard of it.
        guard let channel = channels[frame.channel] else {
            if frame.frame_type == 1, frame.payload.method.id == Method.channelCloseOK {
                crossing.remove(frame.channel)
            }
            return
        }
        switch frame.frame_type {
        case 1: method(frame.payload.method, channel)
        case 2:
            // Of another class the properties are another structure.
            guard frame.payload.properties.class_id == 60, let decoded = frame.payload.properties.decoded else {
                return end(
                    RabbitMQError(
                        .protocolViolation,
                        "\(endpoint) sent a content header of class \(frame.payload.properties.class_id), not basic"))
            }
            let properties = channel.properties.read(
                UnsafePointer(decoded.assumingMemoryBound(to: amqp_basic_properties_t.self)))
            progressed(channel.content?.header(properties, bodySize: frame.payload.properties.body_size), channel)
        case 3: progressed(channel.content?.append(frame.payload.body_fragment.raw), channel)
        default: break
        }
    }

    private func progressed(_ progress: IncomingContent.Progress?, _ channel: Channel) {
        switch progress {
        case .partial?: break
        case .complete?: contentComplete(channel)
        case .violation?, nil:
            end(RabbitMQError(.protocolViolation, "\(endpoint) sent a part of a message that it has not announced"))
        }
    }

    private func connectionMethod(_ method: amqp_method_t, _ wire: Wire) {
        switch method.id {
        case Method.connectionClose:
            let close = method.decoded.assumingMemoryBound(to: amqp_connection_close_t.self).pointee
            let error = RabbitMQError.fromBroker(
                replyCode: close.reply_code, text: close.reply_text.text, isConnection: true)
            if parley_has_room(wire.fd) != 0 {
                var ok = amqp_connection_close_ok_t()
                _ = amqp_send_method(wire.state, 0, Method.connectionCloseOK, &ok)
            }
            end(error)
        case Method.connectionCloseOK: end(closing ?? RabbitMQError(.closed, "closed"))
        case Method.connectionBlocked:
            let reason = method.decoded.assumingMemoryBound(to: amqp_connection_blocked_t.self).pointee.reason.text
            blockedReason = reason
            for body in onBlocked { body(reason) }
        case Method.connectionUnblocked:
            blockedReason = nil
            for body in onBlocked { body(nil) }
            scheduleFlush()
        default: break
        }
    }

    private func method(_ method: amqp_method_t, _ channel: Channel) {
        guard let decoded = method.decoded else { return }
        switch method.id {
        case Method.basicDeliver:
            let m = decoded.assumingMemoryBound(to: amqp_basic_deliver_t.self)
            let tag = channel.consumerTags.text(m.pointee.consumer_tag)
            channel.content = IncomingContent(
                .delivery(channel.consumers.first { $0.tag == tag }), tag: m.pointee.delivery_tag,
                redelivered: m.pointee.redelivered != 0, exchange: channel.exchanges.text(m.pointee.exchange),
                routingKey: channel.routingKeys.text(m.pointee.routing_key), consumerTag: tag)
        case Method.basicAck:
            let m = decoded.assumingMemoryBound(to: amqp_basic_ack_t.self).pointee
            channel.publishing?.confirm(m.delivery_tag, multiple: m.multiple != 0, accepted: true)
        case Method.basicNack:
            let m = decoded.assumingMemoryBound(to: amqp_basic_nack_t.self).pointee
            channel.publishing?.confirm(m.delivery_tag, multiple: m.multiple != 0, accepted: false)
        case Method.basicReturn:
            let m = decoded.assumingMemoryBound(to: amqp_basic_return_t.self).pointee
            channel.content = IncomingContent(
                .returned(code: m.reply_code, reason: m.reply_text.text), exchange: m.exchange.text,
                routingKey: m.routing_key.text)
        case Method.basicGetOK:
            let m = decoded.assumingMemoryBound(to: amqp_basic_get_ok_t.self).pointee
            channel.content = IncomingContent(
                .got(remaining: m.message_count), tag: m.delivery_tag, redelivered: m.redelivered != 0,
                exchange: m.exchange.text, routingKey: m.routing_key.text)
        case Method.basicGetEmpty: channel.answer(Method.basicGetOK, .empty)
        case Method.basicCancel:
            let m = decoded.assumingMemoryBound(to: amqp_basic_cancel_t.self).pointee
            cancelled(m.consumer_tag.text, channel, answering: m.nowait == 0)
        case Method.channelClose:
            let m = decoded.assumingMemoryBound(to: amqp_channel_close_t.self).pointee
            channelClosed(
                channel, .fromBroker(replyCode: m.reply_code, text: m.reply_text.text, isConnection: false))
        case Method.channelCloseOK:
            guard channel.isClosing else { return complain("it has agreed to a channel's end that nobody asked for") }
            channels[channel.number] = nil
            channel.answer(method.id, .ok)
            channel.end(RabbitMQError(.closed, "the channel was closed"))
        case Method.channelFlow:
            let active = decoded.assumingMemoryBound(to: amqp_channel_flow_t.self).pointee.active
            let number = channel.number
            post(channel) { wire in
                var ok = amqp_channel_flow_ok_t(active: active)
                return amqp_send_method(wire.state, number, Method.channelFlowOK, &ok)
            }
        case Method.queueDeclareOK:
            let m = decoded.assumingMemoryBound(to: amqp_queue_declare_ok_t.self).pointee
            channel.answer(
                method.id,
                .queue(QueueStatus(name: m.queue.text, messages: m.message_count, consumers: m.consumer_count)))
        case Method.queuePurgeOK, Method.queueDeleteOK:
            channel.answer(
                method.id, .count(decoded.assumingMemoryBound(to: amqp_queue_purge_ok_t.self).pointee.message_count))
        default: channel.answer(method.id, .ok)
        }
    }

    private func contentComplete(_ channel: Channel) {
        guard let content = channel.content else { return }
        channel.content = nil
        switch content.kind {
        case .delivery(let consumer):
            guard let consumer else { return complain("it has delivered to a consumer that there is not") }
            consumer.deliver(content.delivery(epoch: channel.epoch, from: consumer.queue))
        case .got(let remaining):
            channel.answer(
                Method.basicGetOK, .message(content.delivery(epoch: channel.epoch), remaining: remaining))
        case .returned(let code, let reason):
            let size = content.bodySize
            channel.publishing?.returned(
                content.delivery(epoch: channel.epoch), bodySize: size, code: code, reason: reason)
        }
    }

    private func cancelled(_ tag: String, _ channel: Channel, answering: Bool) {
        if answering {
            let number = channel.number
            controls.append(
                Control(channel: channel, call: nil) { arena, wire throws(RabbitMQError) in
                    var ok = amqp_basic_cancel_ok_t(consumer_tag: try arena.short(tag, "the consumer tag"))
                    return amqp_send_method(wire.state, number, Method.basicCancelOK, &ok)
                })
            scheduleFlush()
        }
        guard let index = channel.consumers.firstIndex(where: { $0.tag == tag }) else { return }
        let consumer = channel.consumers.remove(at: index)
        consumer.ended(
            RabbitMQError(.notFound, "the broker ended the consumer of queue '\(consumer.queue)': it is gone"))
    }

    private func channelClosed(_ channel: Channel, _ error: RabbitMQError) {
        let number = channel.number
        if partial?.channel == number { partial = nil }
        // The number is free again only when the broker has our close-ok, which leaves before any later open.
        post { wire in
            var ok = amqp_channel_close_ok_t()
            return amqp_send_method(wire.state, number, Method.channelCloseOK, &ok)
        }
        channels[number] = nil
        // Both sides closed it at the same time: the broker answers our close as well, and by then the number must not be
        // another channel's.
        if channel.hasSentClose { crossing.insert(number) }
        channel.end(error)
    }
}

extension amqp_frame_t {
    /// About how many bytes it took on the wire.
    fileprivate var size: Int {
        switch frame_type {
        case 2: payload.properties.raw.len + 20
        case 3: payload.body_fragment.len + 8
        default: 32
        }
    }
}
