import IOLoop
import TestSupport
import Testing

@testable import ParleyRabbitMQ

/// A broker that breaks the protocol, or uses a part of it that RabbitMQ does not.
@Suite("Misbehaving brokers", .timeLimit(.minutes(2)))
struct MisbehaviourTests {
    private func consumer(
        _ f: PeerFixture, events: Log<ConnectionEvent> = Log()
    ) async -> RabbitMQConsumer {
        let consumer = RabbitMQConsumer(
            configuration: f.configuration, loop: f.loop, queues: ["q"], onEvent: { events.append($0) },
            logger: f.logger)
        await consumer.start()
        return consumer
    }

    private func take(_ count: Int, _ consumer: RabbitMQConsumer) async throws -> [Delivery] {
        var all: [Delivery] = []
        while all.count < count { all += try #require(await consumer.next(atMost: count - all.count)) }
        return all
    }

    @Test(
        "a content header of another class than basic ends the connection",
        arguments: [10, 20, 40, 50, 85, 90] as [UInt16])
    func headerOfAnotherClass(_ classID: UInt16) async throws {
        let f = try PeerFixture { peer in
            try peer.greet()
            try peer.serve { _ in
                .honest
            } afterwards: { event in
                guard event.is(.basicConsume) else { return }
                try peer.send(
                    PeerConnection.deliver(channel: 1, consumer: peer.consumers[1]?.first ?? "", tag: 1),
                    .header(channel: 1, classID: classID, bodySize: 0))
            }
        }
        let events = Log<ConnectionEvent>()
        let consumer = await consumer(f, events: events)
        try await waitUntil("the connection has ended") { !events.disconnections.isEmpty }
        #expect(events.disconnections.first?.code == .protocolViolation)
        await f.close(consumer)
    }

    @Test("what was delivered to somebody unknown is not settled with its neighbours")
    func unknownTags() async throws {
        let settled = Log<(tag: UInt64, multiple: Bool)>()
        let f = try PeerFixture { peer in
            try peer.greet()
            try peer.serve { event in
                guard case .method(_, let id, var arguments) = event, id == PeerMethod.basicAck.rawValue else {
                    return .honest
                }
                settled.append((try arguments.integer(), try arguments.integer(UInt8.self) != 0))
                return .handled
            } afterwards: { event in
                guard event.is(.basicConsume) else { return }
                try peer.deliver([1], tag: 1)
                try peer.send(
                    PeerConnection.deliver(channel: 1, consumer: "nobody", tag: 2), .header(channel: 1, bodySize: 1),
                    .body(channel: 1, [2]))
                for tag in [3, 4, 3, 1, 8] as [UInt64] { try peer.deliver([UInt8(tag)], tag: tag) }
            }
        }
        let consumer = await consumer(f)
        let got = try await take(4, consumer)
        #expect(got.map(\.body) == [[1], [3], [4], [8]])
        await consumer.acknowledge(got.map(\.tag))
        try await waitUntil("all four are settled") { settled.count == 4 }
        #expect(settled.all.map(\.tag) == [1, 3, 4, 8])
        #expect(settled.all.allSatisfy { !$0.multiple })
        #expect(await consumer.unsettled == 0)
        await f.close(consumer)
    }

    @Test("delivery tags that jump beyond all bounds end the connection")
    func hugeTag() async throws {
        let f = try PeerFixture { peer in
            try peer.greet()
            try peer.serve { _ in
                .honest
            } afterwards: { event in
                guard event.is(.basicConsume) else { return }
                try peer.deliver([1], tag: 1)
                try peer.deliver([1], tag: 1 << 60)
            }
        }
        let events = Log<ConnectionEvent>()
        let consumer = await consumer(f, events: events)
        try await waitUntil("the connection has ended") { !events.disconnections.isEmpty }
        #expect(events.disconnections.first?.code == .protocolViolation)
        await f.close(consumer)
    }

    @Test("a consumer that the broker ends is agreed to, when the broker waits for it", arguments: [false, true])
    func cancel(isNoWait: Bool) async throws {
        let agreed = Log<String>()
        let consumed = Gate()
        let f = try PeerFixture { peer in
            try peer.greet()
            try peer.serve { event in
                guard case .method(_, let id, var arguments) = event else { return .honest }
                if id == PeerMethod.basicCancelOK.rawValue { agreed.append(try arguments.short()) }
                return .honest
            } afterwards: { event in
                guard event.is(.basicConsume) else { return }
                // The second time it may stay.
                if consumed.isOpen { return }
                consumed.open()
                try peer.send(
                    .method(.basicCancel, channel: 1) {
                        $0.put(short: peer.consumers[1]?.first ?? "")
                        $0.put(isNoWait ? 1 : 0 as UInt8)
                    })
            }
        }
        let events = Log<ConnectionEvent>()
        let consumer = await consumer(f, events: events)
        try await waitUntil("it is told") { events.all.contains(.consumerCancelled(queue: "q")) }
        try await waitUntil("it consumes again") { await consumer.isConsuming }
        if isNoWait {
            #expect(agreed.all == [])
        } else {
            try await waitUntil("it is agreed to") { agreed.all == ["parley-1"] }
        }
        await f.close(consumer)
    }

    @Test("a late answer to a channel's end does not end its successor")
    func lateCloseOK() async throws {
        let f = try PeerFixture { peer in
            try peer.greet()
            var owesAnswer = false
            var hasCrossed = false
            try peer.serve { event in
                // Both sides close it at the same time; the broker's answer comes when the next channel is there.
                if event.is(.channelClose), !hasCrossed {
                    owesAnswer = true
                    hasCrossed = true
                    try peer.closeChannel(1, 406, "PRECONDITION_FAILED - at the same time")
                    return .handled
                }
                return .honest
            } afterwards: { event in
                guard owesAnswer, event.is(.channelOpen) else { return }
                owesAnswer = false
                try peer.send(.method(.channelCloseOK, channel: 1))
            }
        }
        let connection = try await f.connect()
        let first = try await connection.openChannel()
        #expect(first == 1)
        _ = await expectError(.preconditionFailed) { try await connection.closeChannel(first) }
        let second = try await connection.openChannel()
        try await connection.qos(prefetch: 1, channel: second)
        try await connection.qos(prefetch: 1, channel: second)
        // The number is free again.
        let third = try await connection.openChannel()
        #expect(Set([second, third]) == [1, 2])
        try await connection.closeChannel(third)
        try await connection.closeChannel(second)
        await f.close(connection)
    }

    @Test("an answer to an end that nobody asked for changes nothing")
    func unaskedCloseOK() async throws {
        let f = try PeerFixture { peer in
            try peer.greet()
            try peer.serve { _ in
                .honest
            } afterwards: { event in
                if event.is(.channelOpen) { try peer.send(.method(.channelCloseOK, channel: 1)) }
            }
        }
        let connection = try await f.connect()
        let channel = try await connection.openChannel()
        try await connection.qos(prefetch: 1, channel: channel)
        await f.close(connection)
    }

    /// Where the room in the socket ends is the kernel's secret: one of these shifts meets it in the middle of a header.
    @Test(
        "large headers never wait for room in the socket, and the loop goes on while the broker stands still",
        arguments: 0..<32)
    func headersAndRoom(shift: Int) async throws {
        let reads = Gate()
        let f = try PeerFixture { peer in
            try peer.greet()
            try peer.serve { _ in
                .honest
            } afterwards: { event in
                if event.is(.confirmSelect) { try reads.wait() }
            }
        }
        var configuration = f.configuration
        // What an ordinary kernel allows.
        configuration.sendBuffer = 212_992
        let publisher = RabbitMQPublisher(configuration: configuration, loop: f.loop, logger: f.logger)
        await publisher.start()
        await publisher.waitUntilConnected()
        var large = OutgoingMessage(to: "q")
        large.properties.headers["h"] = .string(String(repeating: "h", count: 130_900))
        let small = OutgoingMessage(routingKey: "q", body: [UInt8](repeating: 1, count: 1000))
        let first = OutgoingMessage(routingKey: "q", body: [UInt8](repeating: 1, count: shift * 5500))
        let messages = [first] + (0..<1000).map { $0 % 41 == 40 ? large : small }
        let outcomes = Task { await publisher.publish(messages, timeout: .seconds(100)) }
        let answers = Log<Int>()
        let asking = Task { for _ in 0..<20 { answers.append(await publisher.inFlight) } }
        try await waitUntil("the loop answers") { answers.count == 20 }
        await asking.value
        reads.open()
        for outcome in await outcomes.value { #expect(try outcome.get() == .confirmed) }
        await f.close(publisher)
    }
}
