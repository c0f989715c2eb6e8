import Glibc

/// One client's connection to a ``ScriptedBroker``, in the hands of the script, on its thread.
package final class PeerConnection {
    /// How long a script waits for a frame that the client owes it.
    package static let patience = 20

    /// Counts from 1 in one broker.
    package let number: Int
    package let socket: Int32
    private var received: [UInt8] = []
    private var published: [UInt16: UInt64] = [:]
    private var confirming: Set<UInt16> = []
    /// What is being published on a channel, of which the body has not come in full.
    private var partial: [UInt16: (message: PeerMessage, missing: UInt64)] = [:]
    /// The consumer tags of each channel.
    package private(set) var consumers: [UInt16: [String]] = [:]

    init(number: Int, socket: Int32) {
        self.number = number
        self.socket = socket
    }

    // MARK: - Frames

    package func readFrame() throws -> PeerFrame {
        try receive(7)
        var head = PeerReader(Array(received.prefix(7)))
        let type = try head.integer(UInt8.self)
        let channel = try head.integer(UInt16.self)
        let size = Int(try head.integer(UInt32.self))
        try receive(size + 8)
        let payload = Array(received[7..<7 + size])
        guard received[7 + size] == 0xCE else { throw PeerProblem("a frame without its end") }
        received.removeFirst(size + 8)
        return PeerFrame(type, channel: channel, payload)
    }

    private func receive(_ count: Int) throws {
        while received.count < count {
            var chunk = [UInt8](repeating: 0, count: 65536)
            let size = recv(socket, &chunk, chunk.count, 0)
            if size == 0 { throw PeerProblem(Self.hungUp) }
            guard size > 0 else { throw PeerProblem("recv: \(String(cString: strerror(errno)))") }
            received.append(contentsOf: chunk.prefix(size))
        }
    }

    static let hungUp = "the client has hung up"

    package func send(_ frames: PeerFrame...) throws { try send(frames.flatMap(\.bytes)) }

    package func send(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            let size = bytes.withUnsafeBytes { all in
                let rest = UnsafeRawBufferPointer(rebasing: all[sent...])
                return Glibc.send(socket, rest.baseAddress, rest.count, Int32(MSG_NOSIGNAL))
            }
            guard size > 0 else { throw PeerProblem("send: \(String(cString: strerror(errno)))") }
            sent += size
        }
    }

    /// Ends the connection without a word.
    package func hangUp() { shutdown(socket, Int32(SHUT_RDWR)) }

    // MARK: - Manners

    /// The handshake, as RabbitMQ does it.
    package func greet(frameMax: UInt32 = 131_072, channelMax: UInt16 = 2047, heartbeat: UInt16 = 0) throws {
        try receive(8)
        guard received.prefix(4).elementsEqual("AMQP".utf8) else { throw PeerProblem("no AMQP client") }
        received.removeFirst(8)
        try send(
            .method(.connectionStart, channel: 0) {
                $0.put(0 as UInt8)
                $0.put(9 as UInt8)
                $0.put(raw: PeerBytes.sized(PeerBytes.field("product", "S", PeerBytes.sized(Array("Scripted".utf8)))))
                $0.put(long: Array("PLAIN".utf8))
                $0.put(long: Array("en_US".utf8))
            })
        try expect(.connectionStartOK)
        try send(
            .method(.connectionTune, channel: 0) {
                $0.put(channelMax)
                $0.put(frameMax)
                $0.put(heartbeat)
            })
        try expect(.connectionTuneOK)
        try expect(.connectionOpen)
        try send(.method(.connectionOpenOK, channel: 0) { $0.put(short: "") })
    }

    /// The next method that is not a heartbeat has to be this one.
    @discardableResult
    package func expect(_ method: PeerMethod) throws -> PeerReader {
        while true {
            guard case .method(_, let id, let arguments) = try next() else { continue }
            guard id == method.rawValue else { throw PeerProblem("\(method) wanted, \(String(id, radix: 16)) came") }
            return arguments
        }
    }

    /// What a client says.
    package enum Event {
        case method(channel: UInt16, id: UInt32, PeerReader)
        /// A message, with all of its body.
        case message(PeerMessage)
        case heartbeat

        /// Whether it is this method.
        package func `is`(_ method: PeerMethod) -> Bool {
            if case .method(_, method.rawValue, _) = self { true } else { false }
        }
    }

    package func next() throws -> Event {
        while true {
            let frame = try readFrame()
            switch frame.type {
            case PeerFrame.method:
                var reader = PeerReader(frame.payload)
                let id = try reader.integer(UInt32.self)
                guard id == PeerMethod.basicPublish.rawValue else {
                    return .method(channel: frame.channel, id: id, reader)
                }
                _ = try reader.integer(UInt16.self)
                published[frame.channel, default: 0] += 1
                let message = PeerMessage(
                    channel: frame.channel, sequence: published[frame.channel] ?? 0, exchange: try reader.short(),
                    routingKey: try reader.short(), mandatory: try reader.integer(UInt8.self) & 1 != 0, properties: [],
                    body: [])
                partial[frame.channel] = (message, .max)
            case PeerFrame.header:
                var reader = PeerReader(frame.payload)
                _ = try reader.integer(UInt32.self)
                partial[frame.channel]?.missing = try reader.integer()
                partial[frame.channel]?.message.properties = Array(reader.rest)
            case PeerFrame.body:
                partial[frame.channel]?.message.body += frame.payload
                partial[frame.channel]?.missing -= UInt64(frame.payload.count)
            case PeerFrame.heartbeat: return .heartbeat
            default: throw PeerProblem("a frame of type \(frame.type)")
            }
            if let whole = partial[frame.channel], whole.missing == 0 {
                partial[frame.channel] = nil
                return .message(whole.message)
            }
        }
    }

    /// What a script makes of an event.
    package enum Verdict {
        /// As an honest broker would.
        case honest
        /// It has seen to it.
        case handled
        /// It has heard enough.
        case end
    }

    /// Answers as an honest broker would, except where the script does so itself; until the client hangs up or says
    /// goodbye. What the script does `afterwards` follows an honest answer.
    package func serve(
        _ script: (Event) throws -> Verdict = { _ in .honest }, afterwards: (Event) throws -> Void = { _ in }
    ) throws {
        while true {
            let event: Event
            do { event = try next() } catch let problem as PeerProblem where problem.description == Self.hungUp {
                return
            }
            switch try script(event) {
            case .handled: continue
            case .end: return
            case .honest:
                if try !answer(event) { return }
                try afterwards(event)
            }
        }
    }

    /// False when the client has said goodbye.
    private func answer(_ event: Event) throws -> Bool {
        switch event {
        case .message(let message):
            if confirming.contains(message.channel) { try ack(message) }
        case .method(let channel, let id, var arguments):
            switch PeerMethod(rawValue: id) {
            case .connectionClose?:
                try send(.method(.connectionCloseOK, channel: 0))
                return false
            case .channelOpen?:
                published[channel] = 0
                confirming.remove(channel)
                consumers[channel] = nil
                try send(.method(.channelOpenOK, channel: channel) { $0.put(0 as UInt32) })
            case .channelClose?: try send(.method(.channelCloseOK, channel: channel))
            case .confirmSelect?:
                confirming.insert(channel)
                try send(.method(.confirmSelectOK, channel: channel))
            case .basicQos?: try send(.method(.basicQosOK, channel: channel))
            case .queueDeclare?:
                _ = try arguments.integer(UInt16.self)
                let name = try arguments.short()
                try send(
                    .method(.queueDeclareOK, channel: channel) {
                        $0.put(short: name)
                        $0.put(0 as UInt64)
                    })
            case .basicConsume?:
                _ = try arguments.integer(UInt16.self)
                _ = try arguments.short()
                let tag = try arguments.short()
                consumers[channel, default: []].append(tag)
                try send(.method(.basicConsumeOK, channel: channel) { $0.put(short: tag) })
            case .basicCancel?:
                let tag = try arguments.short()
                try send(.method(.basicCancelOK, channel: channel) { $0.put(short: tag) })
            default: break
            }
        case .heartbeat: break
        }
        return true
    }

    // MARK: - What a broker says

    package func ack(_ message: PeerMessage) throws { try ack(message.sequence, channel: message.channel) }

    package func ack(_ sequence: UInt64, multiple: Bool = false, channel: UInt16) throws {
        try send(
            .method(.basicAck, channel: channel) {
                $0.put(sequence)
                $0.put(multiple ? 1 : 0 as UInt8)
            })
    }

    package func nack(_ message: PeerMessage) throws {
        try send(
            .method(.basicNack, channel: message.channel) {
                $0.put(message.sequence)
                $0.put(0 as UInt8)
            })
    }

    package static func deliver(
        channel: UInt16, consumer: String, tag: UInt64, routingKey: String = "q"
    ) -> PeerFrame {
        .method(.basicDeliver, channel: channel) {
            $0.put(short: consumer)
            $0.put(tag)
            $0.put(0 as UInt8)
            $0.put(short: "")
            $0.put(short: routingKey)
        }
    }

    /// A whole message to the channel's first consumer.
    package func deliver(
        _ body: [UInt8], tag: UInt64, channel: UInt16 = 1, properties: [UInt8] = [0, 0]
    ) throws {
        var bytes = Self.deliver(channel: channel, consumer: consumers[channel]?.first ?? "", tag: tag).bytes
        bytes += PeerFrame.header(channel: channel, bodySize: UInt64(body.count), properties: properties).bytes
        for start in stride(from: 0, to: body.count, by: 131_064) {
            bytes += PeerFrame.body(channel: channel, Array(body[start..<min(body.count, start + 131_064)])).bytes
        }
        try send(bytes)
    }

    package func closeChannel(_ channel: UInt16, _ code: UInt16, _ text: String) throws {
        try send(.method(.channelClose, channel: channel) { Self.reason(&$0, code, text) })
    }

    package func closeConnection(_ code: UInt16, _ text: String) throws {
        try send(.method(.connectionClose, channel: 0) { Self.reason(&$0, code, text) })
    }

    private static func reason(_ arguments: inout PeerBytes, _ code: UInt16, _ text: String) {
        arguments.put(code)
        arguments.put(short: text)
        arguments.put(0 as UInt32)
    }
}
