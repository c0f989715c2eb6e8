import CRabbitMQ
import DequeModule
import IOLoop
import Logging

/// One life of a connection, on its loop: reads frames, dispatches them, writes what a turn has queued.
///
/// Every method is called on the loop's thread, by the actors that share the loop or by the loop's own callbacks.
final class Session: @unchecked Sendable {
    // Proof of @unchecked Sendable: `loop`, `configuration`, `logger` are immutable; all else is touched on the loop
    // only: actors with this loop as executor hold the session, and `loop.add`, `schedule`, `atTurnEnd` check it.
    let loop: IOLoop
    let configuration: RabbitMQConfiguration
    let logger: Logger
    let endpoint: RabbitMQConfiguration.Endpoint
    let serverProperties: FieldTable
    let frameMax: Int

    /// `nil` once ended. Readers keep a reference while they are inside the library.
    var wire: Wire?
    var ended: RabbitMQError?
    var channels: [UInt16: Channel] = [:]
    /// Numbers of channels that are gone, though the broker's answer to our close is yet to come.
    var crossing: Set<UInt16> = []
    var blockedReason: String?
    /// What the session ends with when the orderly close is through.
    var closing: RabbitMQError?

    var controls = Deque<Control>()
    var arena = Arena()
    /// How much may still be written before the kernel is asked again whether there is room.
    var budget = 0
    /// How much the kernel surely takes.
    var room = 0
    var partial: PartialContent?
    var flushScheduled = false
    var closeSent = false

    private var hasComplained = false
    var readScheduled = false
    var onBlocked: [(String?) -> Void] = []
    private var onEnd: [(RabbitMQError) -> Void] = []
    private var source: IOSource?
    private var heartbeatTimer: IOTimer?
    private var wantsWritable = false
    private var nextCall: UInt64 = 0

    struct Control {
        let channel: Channel?
        let call: Call?
        /// Encodes and sends; the status of the library, or an error when nothing was sent.
        let send: (inout Arena, Wire) throws(RabbitMQError) -> Int32
    }

    init(wire: Wire, loop: IOLoop, configuration: RabbitMQConfiguration, logger: Logger) {
        self.wire = wire
        self.loop = loop
        self.configuration = configuration
        self.logger = logger
        endpoint = wire.endpoint
        serverProperties = wire.serverProperties
        frameMax = wire.frameMax
    }

    /// Begins to watch the socket. From here until the end the loop keeps the session alive.
    func start() throws(RabbitMQError) {
        guard let wire else { return }
        do {
            source = try loop.add(wire.fd, for: .readable) { ready in
                // What a turn may read has been read when there is a read to come.
                if ready.contains(.readable), !self.readScheduled { self.readFrames() }
                if ready.contains(.writable) { self.becameWritable() }
            }
        } catch {
            self.wire = nil
            throw RabbitMQError(.unreachable, "cannot watch the connection to \(endpoint): \(error)")
        }
        if wire.heartbeat > 0 { armHeartbeat(.milliseconds(max(250, wire.heartbeat * 250))) }
        // Frames that came with the login's answers are in the library's buffer, where no poll sees them.
        scheduleRead()
    }

    /// librabbitmq sends and checks heartbeats while it reads, so an idle connection has to be read too.
    private func armHeartbeat(_ interval: Duration) {
        heartbeatTimer = loop.schedule(after: interval) { [weak self] in
            guard let self, ended == nil else { return }
            armHeartbeat(interval)
            readFrames()
        }
    }

    /// Calls `body` when the session ends; at once when it has.
    func whenEnded(_ body: @escaping (RabbitMQError) -> Void) {
        if let ended { body(ended) } else { onEnd.append(body) }
    }

    /// Ends the session: nothing touches the C connection afterwards.
    func end(_ error: RabbitMQError) {
        guard ended == nil else { return }
        ended = error
        if let source { loop.remove(source) }
        if let heartbeatTimer { loop.cancel(heartbeatTimer) }
        let channels = self.channels
        self.channels = [:]
        controls = []
        partial = nil
        for channel in channels.values { channel.end(error) }
        let onEnd = self.onEnd
        self.onEnd = []
        for body in onEnd { body(error) }
        onBlocked = []
        arena.free()
        wire = nil
    }

    /// Writes what is queued, says goodbye and ends with `reason`; the broker gets `limit` to answer.
    func close(_ reason: RabbitMQError, within limit: Duration = .seconds(2)) {
        guard ended == nil, closing == nil else { return }
        closing = reason
        scheduleFlush()
        loop.schedule(after: limit) { self.end(reason) }
    }

    /// The broker does what the protocol does not have it do, and it can be borne: told once.
    func complain(_ what: String) {
        guard !hasComplained else { return }
        hasComplained = true
        logger.error(
            "the broker breaks the protocol; the connection goes on",
            metadata: ["endpoint": "\(endpoint)", "what": "\(what)"])
    }

    /// Whether it has neither ended nor been told to.
    var isAlive: Bool { ended == nil && closing == nil }

    // MARK: - Calls

    func openChannel(_ completion: @escaping (Result<Channel, RabbitMQError>) -> Void) {
        let limit = UInt16(clamping: wire.map { Int(amqp_get_channel_max($0.state)) } ?? 2047)
        var number: UInt16 = 1
        func isTaken(_ number: UInt16) -> Bool { channels[number] != nil || crossing.contains(number) }
        while isTaken(number), number < (limit == 0 ? .max : limit) { number += 1 }
        guard !isTaken(number) else {
            return completion(.failure(RabbitMQError(.closed, "all \(limit) channels of the connection are in use")))
        }
        let channel = Channel(number: number)
        channels[number] = channel
        call(channel, Method.channelOpenOK, "channel.open") { _, wire in
            var method = amqp_channel_open_t(out_of_band: amqp_bytes_t())
            return amqp_send_method(wire.state, number, Method.channelOpen, &method)
        } completion: { result in
            completion(result.map { _ in channel })
        }
    }

    /// Closes a channel; unsettled deliveries go back to their queues.
    func closeChannel(_ channel: Channel, _ completion: @escaping (Result<Reply, RabbitMQError>) -> Void = { _ in }) {
        let number = channel.number
        call(channel, Method.channelCloseOK, "channel.close") { [weak channel] _, wire in
            channel?.hasSentClose = true
            var method = amqp_channel_close_t(reply_code: 200, reply_text: amqp_bytes_t(), class_id: 0, method_id: 0)
            return amqp_send_method(wire.state, number, Method.channelClose, &method)
        } completion: {
            completion($0)
        }
        channel.isClosing = true
    }

    /// Sends a request and completes with its answer, the error that ended the channel, or a time-out.
    func call(
        _ channel: Channel, _ reply: UInt32, _ name: StaticString,
        send: @escaping (inout Arena, Wire) throws(RabbitMQError) -> Int32,
        completion: @escaping (Result<Reply, RabbitMQError>) -> Void
    ) {
        guard ended == nil, closing == nil, channel.isOpen, !channel.isClosing else {
            return completion(.failure(ended ?? closing ?? RabbitMQError(.channelClosed, "the channel is closed")))
        }
        nextCall += 1
        let id = nextCall
        let timer = loop.schedule(after: configuration.rpcTimeout) { [weak channel, configuration] in
            guard let channel, let index = channel.calls.firstIndex(where: { $0.id == id }) else { return }
            let completion = channel.calls[index].completion
            channel.calls[index].completion = nil
            completion?(.failure(RabbitMQError(.timedOut, "no answer to \(name) within \(configuration.rpcTimeout)")))
        }
        let call = Call(id: id, reply: reply, name: name) { [loop] result in
            loop.cancel(timer)
            completion(result)
        }
        channel.calls.append(call)
        controls.append(Control(channel: channel, call: call, send: send))
        scheduleFlush()
    }

    // MARK: - Readiness

    func waitForWritable() {
        guard !wantsWritable, let source else { return }
        wantsWritable = true
        loop.update(source, for: [.readable, .writable])
    }

    private func becameWritable() {
        guard ended == nil, wantsWritable, let source else { return }
        wantsWritable = false
        loop.update(source, for: .readable)
        flush()
    }
}
