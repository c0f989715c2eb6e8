import CRabbitMQ
import Glibc

extension Wire {
    enum Reading {
        /// Handed over; it took about so many bytes.
        case frame(size: Int)
        case nothing
        case lost(RabbitMQError)
    }

    /// Hands over the next whole frame that is there already, without waiting.
    ///
    /// With TLS it sends and checks heartbeats as well: librabbitmq does that while it reads.
    func next(_ body: (InboundFrame) -> Void) -> Reading {
        var frame = amqp_frame_t()
        // What came with the login's answers is in the library's own buffer.
        if plain == nil || hasUnread {
            let status = parley_amqp_next_frame(state, &frame)
            guard status == 0 else { return status == Status.timeout ? .nothing : .lost(lost(status)) }
        } else {
            switch plain?.next(state, &frame) {
            case .frame: break
            case .nothing, nil: return .nothing
            case .broken(let status): return .lost(lost(status))
            case .closed: return .lost(lost(AMQP_STATUS_CONNECTION_CLOSED.rawValue))
            case .failed(let number): return .lost(lost(errno: number))
            }
        }
        // Everything is copied out by then: the channel's pool may be used again.
        defer { amqp_maybe_release_buffers_on_channel(state, frame.channel) }
        body(decoder.frame(frame))
        return .frame(size: frame.size)
    }

    func lost(errno number: Int32) -> RabbitMQError {
        RabbitMQError(.connectionLost, "connection to \(endpoint) lost: \(String(cString: strerror(number)))")
    }

    func lost(_ status: Int32) -> RabbitMQError {
        switch status {
        case Status.heartbeatTimeout:
            RabbitMQError(.connectionLost, "\(endpoint) has sent nothing for two heartbeats")
        case Status.badData: RabbitMQError(.protocolViolation, "\(endpoint) sent what is not AMQP 0-9-1")
        default: RabbitMQError(.connectionLost, "connection to \(endpoint) lost: \(Status.text(status))")
        }
    }

    /// Whether the library holds something that no poll sees.
    var hasUnread: Bool { amqp_frames_enqueued(state) != 0 || amqp_data_in_buffer(state) != 0 }
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

/// Copies frames out of librabbitmq's memory.
struct FrameDecoder {
    private var exchanges = TextMemory()
    private var routingKeys = TextMemory()
    private var consumerTags = TextMemory()
    private var properties = PropertiesReader()

    mutating func frame(_ c: amqp_frame_t) -> InboundFrame {
        switch c.frame_type {
        case 1: return .method(channel: c.channel, method(c.payload.method))
        case 2:
            let header = c.payload.properties
            // Of another class than basic they are another structure.
            var read = MessageProperties()
            if header.class_id == 60, let decoded = header.decoded {
                read = properties.read(UnsafePointer(decoded.assumingMemoryBound(to: amqp_basic_properties_t.self)))
            }
            return .header(channel: c.channel, classID: header.class_id, bodySize: header.body_size, read)
        case 3: return .body(channel: c.channel, c.payload.body_fragment.raw)
        default: return .other
        }
    }

    private mutating func method(_ c: amqp_method_t) -> InboundMethod {
        guard let decoded = c.decoded else { return .unknown(id: c.id) }
        switch c.id {
        case Method.basicDeliver:
            let m = decoded.assumingMemoryBound(to: amqp_basic_deliver_t.self)
            return .deliver(
                consumerTag: consumerTags.text(m.pointee.consumer_tag), tag: m.pointee.delivery_tag,
                redelivered: m.pointee.redelivered != 0, exchange: exchanges.text(m.pointee.exchange),
                routingKey: routingKeys.text(m.pointee.routing_key))
        case Method.basicAck:
            let m = decoded.assumingMemoryBound(to: amqp_basic_ack_t.self).pointee
            return .confirm(tag: m.delivery_tag, multiple: m.multiple != 0, accepted: true)
        case Method.basicNack:
            let m = decoded.assumingMemoryBound(to: amqp_basic_nack_t.self).pointee
            return .confirm(tag: m.delivery_tag, multiple: m.multiple != 0, accepted: false)
        case Method.basicReturn:
            let m = decoded.assumingMemoryBound(to: amqp_basic_return_t.self).pointee
            return .returned(
                code: m.reply_code, text: m.reply_text.text, exchange: m.exchange.text, routingKey: m.routing_key.text)
        case Method.basicGetOK:
            let m = decoded.assumingMemoryBound(to: amqp_basic_get_ok_t.self).pointee
            return .got(
                tag: m.delivery_tag, redelivered: m.redelivered != 0, exchange: m.exchange.text,
                routingKey: m.routing_key.text, remaining: m.message_count)
        case Method.basicCancel:
            let m = decoded.assumingMemoryBound(to: amqp_basic_cancel_t.self).pointee
            return .cancel(consumerTag: m.consumer_tag.text, noWait: m.nowait != 0)
        case Method.channelClose:
            let m = decoded.assumingMemoryBound(to: amqp_channel_close_t.self).pointee
            return .channelClose(code: m.reply_code, text: m.reply_text.text)
        case Method.channelCloseOK: return .channelCloseOK
        case Method.channelFlow:
            return .flow(active: decoded.assumingMemoryBound(to: amqp_channel_flow_t.self).pointee.active != 0)
        case Method.connectionClose:
            let m = decoded.assumingMemoryBound(to: amqp_connection_close_t.self).pointee
            return .connectionClose(code: m.reply_code, text: m.reply_text.text)
        case Method.connectionCloseOK: return .connectionCloseOK
        case Method.connectionBlocked:
            return .blocked(
                reason: decoded.assumingMemoryBound(to: amqp_connection_blocked_t.self).pointee.reason.text)
        case Method.connectionUnblocked: return .unblocked
        default: return answer(c.id, decoded)
        }
    }

    private func answer(_ id: UInt32, _ decoded: UnsafeMutableRawPointer) -> InboundMethod {
        switch id {
        case Method.channelOpenOK: return .answer(.channelOpen, .ok)
        case Method.exchangeDeclareOK: return .answer(.exchangeDeclare, .ok)
        case Method.exchangeDeleteOK: return .answer(.exchangeDelete, .ok)
        case Method.queueBindOK: return .answer(.queueBind, .ok)
        case Method.queueUnbindOK: return .answer(.queueUnbind, .ok)
        case Method.basicQosOK: return .answer(.basicQos, .ok)
        case Method.basicConsumeOK: return .answer(.basicConsume, .ok)
        case Method.basicCancelOK: return .answer(.basicCancel, .ok)
        case Method.basicGetEmpty: return .answer(.basicGet, .empty)
        case Method.confirmSelectOK: return .answer(.confirmSelect, .ok)
        case Method.queueDeclareOK:
            let m = decoded.assumingMemoryBound(to: amqp_queue_declare_ok_t.self).pointee
            let status = QueueStatus(name: m.queue.text, messages: m.message_count, consumers: m.consumer_count)
            return .answer(.queueDeclare, .queue(status))
        case Method.queuePurgeOK:
            let m = decoded.assumingMemoryBound(to: amqp_queue_purge_ok_t.self).pointee
            return .answer(.queuePurge, .count(m.message_count))
        case Method.queueDeleteOK:
            let m = decoded.assumingMemoryBound(to: amqp_queue_delete_ok_t.self).pointee
            return .answer(.queueDelete, .count(m.message_count))
        default: return .unknown(id: id)
        }
    }
}

/// The numbers of the methods in use: class in the upper half, method in the lower.
enum Method {
    static let connectionClose: UInt32 = 0x000A_0032, connectionCloseOK: UInt32 = 0x000A_0033
    static let connectionBlocked: UInt32 = 0x000A_003C, connectionUnblocked: UInt32 = 0x000A_003D
    static let channelOpen: UInt32 = 0x0014_000A, channelOpenOK: UInt32 = 0x0014_000B
    static let channelFlow: UInt32 = 0x0014_0014, channelFlowOK: UInt32 = 0x0014_0015
    static let channelClose: UInt32 = 0x0014_0028, channelCloseOK: UInt32 = 0x0014_0029
    static let exchangeDeclare: UInt32 = 0x0028_000A, exchangeDeclareOK: UInt32 = 0x0028_000B
    static let exchangeDelete: UInt32 = 0x0028_0014, exchangeDeleteOK: UInt32 = 0x0028_0015
    static let queueDeclare: UInt32 = 0x0032_000A, queueDeclareOK: UInt32 = 0x0032_000B
    static let queueBind: UInt32 = 0x0032_0014, queueBindOK: UInt32 = 0x0032_0015
    static let queuePurge: UInt32 = 0x0032_001E, queuePurgeOK: UInt32 = 0x0032_001F
    static let queueDelete: UInt32 = 0x0032_0028, queueDeleteOK: UInt32 = 0x0032_0029
    static let queueUnbind: UInt32 = 0x0032_0032, queueUnbindOK: UInt32 = 0x0032_0033
    static let basicQos: UInt32 = 0x003C_000A, basicQosOK: UInt32 = 0x003C_000B
    static let basicConsume: UInt32 = 0x003C_0014, basicConsumeOK: UInt32 = 0x003C_0015
    static let basicCancel: UInt32 = 0x003C_001E, basicCancelOK: UInt32 = 0x003C_001F
    static let basicPublish: UInt32 = 0x003C_0028, basicReturn: UInt32 = 0x003C_0032
    static let basicDeliver: UInt32 = 0x003C_003C
    static let basicGet: UInt32 = 0x003C_0046, basicGetOK: UInt32 = 0x003C_0047, basicGetEmpty: UInt32 = 0x003C_0048
    static let basicAck: UInt32 = 0x003C_0050, basicReject: UInt32 = 0x003C_005A, basicNack: UInt32 = 0x003C_0078
    static let confirmSelect: UInt32 = 0x0055_000A, confirmSelectOK: UInt32 = 0x0055_000B
}
