import Testing

@testable import ParleyRabbitMQ

/// The connection's rules as values: frames in, actions out. Calls and consumers are words here.
@Suite("Connection machine")
struct ConnectionMachineTests {
    private typealias Machine = ConnectionMachine<String, String>

    private func machine(channels: Int = 1, max: UInt16 = 0) throws -> Machine {
        var machine = Machine(peer: "peer", channelMax: max)
        for epoch in 0..<channels {
            let number = try machine.addChannel(epoch: UInt64(epoch + 1))
            _ = try machine.request(.channelOpen, on: number, "open \(number)")
            _ = machine.received(.method(channel: number, .answer(.channelOpen, .ok)))
        }
        return machine
    }

    /// An action in words.
    private func said(_ action: Machine.Action?) -> String? {
        switch action {
        case nil: nil
        case .answer(let call, let reply): "\(call) ← \(reply)"
        case .deliver(let consumer, let delivery):
            "\(consumer) ← \(delivery.tag.epoch)/\(delivery.tag.number) from \(delivery.queue): \(delivery.body)"
                + (delivery.discarded.map { " of \($0.bytes)" } ?? "")
        case .confirmed(let channel, let tag, let multiple, let accepted):
            "\(channel): \(accepted ? "ack" : "nack") \(tag)\(multiple ? "…" : "")"
        case .returned(let channel, let delivery, let bodySize, let code, _):
            "\(channel): returned \(delivery.routingKey), \(bodySize), \(code)"
        case .agree(let method, let channel): "\(channel): agree to \(method)"
        case .consumerEnded(let consumer, let error, let channel, let answer):
            "\(channel): \(consumer) ended, \(error.code)" + (answer.map { ", \($0)" } ?? "")
        case .channelEnded(let channel, let error, let remains, let answer):
            "\(channel) ended, \(error.code): \(remains.closing.map { "\($0), " } ?? "")\(remains.calls) \(remains.consumers)"
                + (answer == nil ? "" : ", answered")
        case .blocked(let reason): "blocked: \(reason ?? "no")"
        case .complain(let what): "complain: \(what)"
        case .end(let error, let answer): "end: \(error.code)" + (answer == nil ? "" : ", answered")
        }
    }

    private func body(_ channel: UInt16, _ bytes: [UInt8], _ machine: inout Machine) -> String? {
        bytes.withUnsafeBytes { said(machine.received(.body(channel: channel, $0))) }
    }

    private func deliver(_ tag: UInt64, to consumer: String) -> InboundFrame {
        .method(
            channel: 1,
            .deliver(consumerTag: consumer, tag: tag, redelivered: false, exchange: "", routingKey: "key"))
    }

    private func header(_ size: UInt64, channel: UInt16 = 1, classID: UInt16 = 60) -> InboundFrame {
        .header(channel: channel, classID: classID, bodySize: size, MessageProperties())
    }

    // MARK: - Requests

    @Test("answers go to the oldest request that waits for their kind")
    func answers() throws {
        var machine = try machine(channels: 2)
        _ = try machine.request(.queueDeclare(QueueDeclaration(name: "a"), passive: false), on: 1, "a")
        _ = try machine.request(.qos(prefetch: 1), on: 1, "qos")
        _ = try machine.request(.queueDeclare(QueueDeclaration(name: "b"), passive: false), on: 1, "b")
        _ = try machine.request(.qos(prefetch: 1), on: 2, "other channel")
        #expect(said(machine.received(.method(channel: 1, .answer(.basicQos, .ok)))) == "qos ← ok")
        #expect(said(machine.received(.method(channel: 1, .answer(.queueDeclare, .count(1))))) == "a ← count(1)")
        #expect(said(machine.received(.method(channel: 1, .answer(.queueDeclare, .count(2))))) == "b ← count(2)")
        let unasked = said(machine.received(.method(channel: 1, .answer(.basicQos, .ok))))
        #expect(unasked == "complain: it has answered a request that nobody made")
        #expect(said(machine.received(.method(channel: 2, .answer(.basicQos, .ok)))) == "other channel ← ok")
    }

    @Test("a request that is not sent after all is forgotten")
    func withdrawal() throws {
        var machine = try machine()
        let first = try machine.request(.qos(prefetch: 1), on: 1, "first")
        _ = try machine.request(.qos(prefetch: 2), on: 1, "second")
        #expect(machine.withdraw(first, on: 1) == "first")
        #expect(machine.withdraw(first, on: 1) == nil)
        #expect(machine.withdraw(first, on: 9) == nil)
        #expect(said(machine.received(.method(channel: 1, .answer(.basicQos, .ok)))) == "second ← ok")
    }

    @Test("channels have the lowest free numbers, and no more than was agreed on")
    func numbers() throws {
        var machine = try machine(channels: 3, max: 3)
        #expect(throws: RabbitMQError.self) { try machine.addChannel(epoch: 9) }
        _ = machine.received(.method(channel: 2, .channelClose(code: 404, text: "gone")))
        let free = try machine.addChannel(epoch: 9)
        #expect(free == 2)
    }

    // MARK: - Ends

    @Test("a channel that the broker ends takes all with it that waited on it, and is answered")
    func channelClosed() throws {
        var machine = try machine(channels: 2)
        _ = try machine.request(.qos(prefetch: 1), on: 1, "call")
        machine.add(ConsumerSlot(tag: "t", queue: "q", maxBody: .max, context: "consumer"), on: 1)
        let action = machine.received(.method(channel: 1, .channelClose(code: 406, text: "PRECONDITION_FAILED")))
        #expect(said(action) == #"1 ended, preconditionFailed: ["call"] ["consumer"], answered"#)
        let mayAnswer = machine.mayWrite(.channelCloseOK, on: 1)
        #expect(mayAnswer)
        let mayAck = machine.mayWrite(.ack(1, multiple: false), on: 1)
        #expect(!mayAck)
        #expect(throws: RabbitMQError.self) { try machine.request(.qos(prefetch: 1), on: 1, "late") }
        #expect(machine.received(.method(channel: 1, .confirm(tag: 1, multiple: false, accepted: true))) == nil)
        #expect(machine.received(header(1)) == nil)
        #expect(machine.reason == nil, "the other one goes on")
    }

    @Test("a channel that is to end takes no more requests, writes what was queued before, and ends with the answer")
    func closing() throws {
        var machine = try machine()
        _ = try machine.request(.qos(prefetch: 1), on: 1, "before")
        _ = try machine.request(.channelClose, on: 1, "close")
        #expect(throws: RabbitMQError.self) { try machine.request(.qos(prefetch: 1), on: 1, "after") }
        var mayWrite = [machine.mayWrite(.qos(prefetch: 1), on: 1)]
        mayWrite.append(machine.mayWrite(.channelClose, on: 1))
        mayWrite.append(machine.mayWrite(.ack(1, multiple: false), on: 1))
        #expect(mayWrite == [true, true, false])
        let action = machine.received(.method(channel: 1, .channelCloseOK))
        #expect(said(action) == #"1 ended, closed: close, ["before"] []"#)
        #expect(try machine.addChannel(epoch: 9) == 1)
    }

    @Test("a number that both sides have closed at once is free when the broker's late answer has come")
    func crossing() throws {
        var machine = try machine()
        _ = try machine.request(.channelClose, on: 1, "close")
        _ = machine.mayWrite(.channelClose, on: 1)
        let action = machine.received(.method(channel: 1, .channelClose(code: 406, text: "at once")))
        #expect(said(action) == #"1 ended, preconditionFailed: ["close"] [], answered"#)
        #expect(try machine.addChannel(epoch: 8) == 2)
        #expect(machine.received(.method(channel: 1, .channelCloseOK)) == nil)
        #expect(try machine.addChannel(epoch: 9) == 1)
        let late = said(machine.received(.method(channel: 1, .channelCloseOK)))
        #expect(late == "complain: it has agreed to a channel's end that nobody asked for")
    }

    @Test("an end that was not yet written crosses nothing")
    func notYetCrossing() throws {
        var machine = try machine()
        _ = try machine.request(.channelClose, on: 1, "close")
        _ = machine.received(.method(channel: 1, .channelClose(code: 406, text: "first")))
        let mayWrite = machine.mayWrite(.channelClose, on: 1)
        #expect(!mayWrite)
        #expect(try machine.addChannel(epoch: 9) == 1)
    }

    @Test("goodbye is said once, when all is written, and nothing is asked for any more")
    func goodbye() throws {
        var machine = try machine()
        var steps = [machine.saysGoodbye()]
        let reason = RabbitMQError(.closed, "bye")
        steps += [machine.close(reason), machine.close(reason), machine.saysGoodbye(), machine.saysGoodbye()]
        #expect(steps == [false, true, false, true, false])
        #expect(machine.reason == reason && machine.ended == nil)
        #expect(throws: reason) { try machine.addChannel(epoch: 9) }
        #expect(throws: reason) { try machine.request(.qos(prefetch: 1), on: 1, "late") }
        let mayAck = machine.mayWrite(.ack(1, multiple: false), on: 1)
        #expect(mayAck, "what was done before still counts")
        #expect(said(machine.received(.method(channel: 0, .connectionCloseOK))) == "end: closed")
    }

    @Test("the end tells what waited, in the order of the channels, and comes once")
    func end() throws {
        var machine = try machine(channels: 3)
        for number in [3, 1, 2] as [UInt16] { _ = try machine.request(.qos(prefetch: 1), on: number, "\(number)") }
        let error = RabbitMQError(.connectionLost, "lost")
        let end = machine.end(error)
        let remains = try #require(end)
        #expect(remains.map(\.0) == [1, 2, 3])
        #expect(remains.flatMap(\.1.calls) == ["1", "2", "3"])
        let again = machine.end(error)
        #expect(again == nil)
        #expect(machine.ended == error)
        #expect(machine.received(.method(channel: 0, .connectionCloseOK)) == nil)
        #expect(machine.received(deliver(1, to: "t")) == nil)
    }

    @Test("the broker's end of the connection is answered, and says why")
    func connectionClosed() throws {
        var machine = try machine()
        let action = machine.received(.method(channel: 0, .connectionClose(code: 320, text: "CONNECTION_FORCED")))
        #expect(said(action) == "end: connectionLost, answered")
    }

    // MARK: - Content

    @Test("a message arrives frame by frame, on several channels at once")
    func content() throws {
        var machine = try machine(channels: 2)
        machine.add(ConsumerSlot(tag: "t", queue: "q", maxBody: 3, context: "consumer"), on: 1)
        _ = try machine.request(.get(queue: "g", noAck: true), on: 2, "get")
        #expect(machine.received(deliver(7, to: "t")) == nil)
        let got = InboundMethod.got(tag: 1, redelivered: true, exchange: "", routingKey: "g", remaining: 0)
        #expect(machine.received(.method(channel: 2, got)) == nil)
        #expect(machine.received(header(3)) == nil)
        #expect(said(machine.received(header(0, channel: 2)))?.hasPrefix("get ← message") == true)
        #expect(body(1, [1, 2], &machine) == nil)
        #expect(body(1, [3], &machine) == "consumer ← 1/7 from q: [1, 2, 3]")
        _ = machine.received(deliver(8, to: "t"))
        _ = machine.received(header(4))
        #expect(body(1, [1, 2, 3, 4], &machine) == "consumer ← 1/8 from q: [] of 4")
        _ = machine.received(deliver(9, to: "nobody"))
        let nobodys = said(machine.received(header(0)))
        #expect(nobodys == "complain: it has delivered to a consumer that there is not")
        let returned = InboundMethod.returned(code: 312, text: "NO_ROUTE", exchange: "", routingKey: "gone")
        #expect(machine.received(.method(channel: 1, returned)) == nil)
        _ = machine.received(header(2))
        #expect(body(1, [1, 2], &machine) == "1: returned gone, 2, 312")
    }

    @Test("what was not announced ends the connection")
    func violations() throws {
        var machine = try machine()
        #expect(said(machine.received(header(1))) == "end: protocolViolation")
        #expect(body(1, [1], &machine) == "end: protocolViolation")
        _ = machine.received(deliver(1, to: "t"))
        #expect(body(1, [1], &machine) == "end: protocolViolation", "before its header")
        _ = machine.received(header(2))
        #expect(body(1, [1, 2, 3], &machine) == "end: protocolViolation", "longer than announced")
        #expect(said(machine.received(header(1, classID: 10))) == "end: protocolViolation")
        #expect(machine.received(header(1, channel: 9)) == nil, "a channel that is closed here")
        #expect(machine.received(.other) == nil)
    }

    @Test("a consumer that the broker ends is agreed to when it waits, known or not")
    func cancel() throws {
        var machine = try machine()
        for tag in ["a", "b"] {
            machine.add(ConsumerSlot(tag: tag, queue: "q", maxBody: .max, context: tag), on: 1)
        }
        #expect(machine.hasConsumer("a", on: 1) && !machine.hasConsumer("c", on: 1) && !machine.hasConsumer("a", on: 2))
        func cancel(_ tag: String, _ noWait: Bool) -> String? {
            said(machine.received(.method(channel: 1, .cancel(consumerTag: tag, noWait: noWait))))
        }
        #expect(cancel("a", true) == "1: a ended, notFound")
        #expect(cancel("b", false) == #"1: b ended, notFound, cancelOK(tag: "b")"#)
        #expect(cancel("c", true) == nil)
        #expect(cancel("c", false) == #"1: agree to cancelOK(tag: "c")"#)
        #expect(!machine.hasConsumer("a", on: 1))
        let flow = said(machine.received(.method(channel: 1, .flow(active: false))))
        #expect(flow == "1: agree to flowOK(active: false)")
    }

    @Test("an alarm of the broker is kept until it is over")
    func blocked() throws {
        var machine = try machine()
        #expect(said(machine.received(.method(channel: 0, .blocked(reason: "low on disk")))) == "blocked: low on disk")
        #expect(machine.blockedReason == "low on disk")
        #expect(said(machine.received(.method(channel: 0, .unblocked))) == "blocked: no")
        #expect(machine.blockedReason == nil)
        #expect(machine.received(.method(channel: 0, .unknown(id: 1))) == nil)
        #expect(machine.received(.method(channel: 1, .connectionCloseOK)) == nil, "not on a channel")
    }

    @Test("whatever comes in whatever order, it is answered by an action and never by a trap", arguments: 0..<50)
    func anyOrder(seed: UInt64) throws {
        var state = seed &* 6_364_136_223_846_793_005 &+ 1
        func draw(_ n: UInt64) -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (state >> 33) % n
        }
        var machine = try machine(channels: 2)
        var open: Set<UInt16> = [1, 2]
        for step in 0..<2000 {
            let channel = UInt16(draw(4))
            let method: InboundMethod? =
                switch draw(16) {
                case 0: .channelClose(code: 406, text: "")
                case 1: .channelCloseOK
                case 2: .deliver(consumerTag: "t", tag: draw(9), redelivered: false, exchange: "", routingKey: "")
                case 3: .got(tag: 1, redelivered: false, exchange: "", routingKey: "", remaining: 0)
                case 4: .returned(code: 312, text: "", exchange: "", routingKey: "")
                case 5: .confirm(tag: draw(9), multiple: draw(2) == 0, accepted: draw(2) == 0)
                case 6: .answer(.basicQos, .ok)
                case 7: .cancel(consumerTag: "t", noWait: draw(2) == 0)
                case 8: .flow(active: true)
                case 9: .unknown(id: 0)
                default: nil
                }
            if let method {
                if case .channelEnded(let number, _, _, _)? = machine.received(.method(channel: channel, method)) {
                    #expect(open.remove(number) != nil, "it ends once")
                }
                continue
            }
            switch draw(6) {
            case 0: _ = machine.received(header(draw(3), channel: channel))
            case 1: _ = body(channel, [UInt8](repeating: 0, count: Int(draw(3))), &machine)
            case 2: machine.add(ConsumerSlot(tag: "t", queue: "q", maxBody: 1, context: "c"), on: channel)
            case 3: if let number = try? machine.addChannel(epoch: UInt64(step)) { open.insert(number) }
            case 4: _ = try? machine.request(draw(2) == 0 ? .channelClose : .qos(prefetch: 1), on: channel, "r")
            default: _ = machine.mayWrite(draw(2) == 0 ? .channelClose : .ack(1, multiple: true), on: channel)
            }
        }
        let remains = machine.end(RabbitMQError(.closed, ""))
        #expect(remains?.count == open.count)
    }
}
