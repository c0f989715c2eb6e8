import TestSupport
import Testing

@testable import ParleyRabbitMQ

/// What makes trouble costs its own messages only: with a broker that does as it is told.
@Suite("Isolation", .timeLimit(.minutes(2)))
struct IsolationTests {
    private func publisher(
        _ f: PeerFixture, budget: Int? = 100, events: Log<ConnectionEvent> = Log()
    ) async -> RabbitMQPublisher {
        let publisher = RabbitMQPublisher(
            configuration: f.configuration, loop: f.loop, addressBudget: budget, onEvent: { events.append($0) },
            logger: f.logger)
        await publisher.start()
        await publisher.waitUntilConnected()
        return publisher
    }

    private func outcomes(
        _ publisher: RabbitMQPublisher, _ queues: [String]
    ) async -> [Result<PublishOutcome, RabbitMQError>] {
        await publisher.publish(queues.map { OutgoingMessage(to: $0) })
    }

    @Test("a message that the broker fails on is found alone, and the others are only sent again")
    func poison() async throws {
        let f = try PeerFixture { peer in
            try peer.greet()
            var held: [PeerMessage] = []
            try peer.serve { event in
                guard case .message(let message) = event else { return .honest }
                // It reads on for a while, as a broker does: the others are under way.
                if peer.number == 1 {
                    held.append(message)
                    if held.count < 21 { return .handled }
                } else if message.routingKey != "bad" {
                    return .honest
                }
                try peer.closeConnection(541, "INTERNAL_ERROR")
                return .end
            }
        }
        let publisher = await publisher(f)
        var queues = (0..<20).map { "good.\($0 % 3)" }
        queues.insert("bad", at: 10)
        let outcomes = await outcomes(publisher, queues)
        for (queue, outcome) in zip(queues, outcomes) {
            switch outcome {
            case .success(let outcome): #expect(outcome == .confirmed && queue != "bad")
            case .failure(let error): #expect(error.code == .unacceptable && queue == "bad", "\(queue): \(error)")
            }
        }
        #expect(try await publisher.publish(OutgoingMessage(to: "good.0")) == .confirmed)
        await f.close(publisher)
    }

    @Test("who publishes without a budget is told of an unknown fate, and the culprit is found when all insist")
    func poisonWithoutBudget() async throws {
        let f = try PeerFixture { peer in
            try peer.greet()
            try peer.serve { event in
                guard case .message(let message) = event, message.routingKey == "bad" else { return .honest }
                try peer.closeConnection(541, "INTERNAL_ERROR")
                return .end
            }
        }
        let publisher = await publisher(f, budget: nil)
        func insist(_ queue: String) async -> RabbitMQError.Code? {
            while true {
                do throws(RabbitMQError) {
                    _ = try await publisher.publish(OutgoingMessage(to: queue))
                    return nil
                } catch {
                    guard error.code == .connectionLost || error.code == .channelClosed else { return error.code }
                }
            }
        }
        let codes = await withTaskGroup(of: (String, RabbitMQError.Code?).self) { group in
            for queue in ["good", "bad", "good", "good"] { group.addTask { (queue, await insist(queue)) } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        for (queue, code) in codes { #expect(code == (queue == "bad" ? .unacceptable : nil)) }
        await f.close(publisher)
    }

    @Test("a body above the broker's limit costs a channel once, and is refused beforehand from then on")
    func tooLarge() async throws {
        let sizes = Log<Int>()
        let f = try PeerFixture { peer in
            try peer.greet()
            try peer.serve { event in
                guard case .message(let message) = event else { return .honest }
                sizes.append(message.body.count)
                guard message.body.count > 100 else { return .honest }
                try peer.closeChannel(
                    message.channel, 406,
                    "PRECONDITION_FAILED - message size \(message.body.count) is larger than configured max size 100")
                return .handled
            }
        }
        let events = Log<ConnectionEvent>()
        let publisher = await publisher(f, events: events)
        let large = OutgoingMessage(routingKey: "q", body: [UInt8](repeating: 0, count: 101))
        let outcomes = await publisher.publish([OutgoingMessage(to: "q"), large, OutgoingMessage(to: "q")])
        #expect(try outcomes[0].get() == .confirmed)
        #expect(try outcomes[2].get() == .confirmed)
        let error = await expectError(.invalidMessage) { try outcomes[1].get() }
        #expect(error?.message.contains("100") == true)
        _ = await expectError(.invalidMessage) { try await publisher.publish(large) }
        #expect(try await publisher.publish(OutgoingMessage(to: "q")) == .confirmed)
        #expect(sizes.all.count { $0 == 101 } == 1)
        #expect(events.disconnections == [] && f.broker.accepted == 1)
        #expect(await publisher.channels == 2)
        await f.close(publisher)
    }

    @Test("a queue that the broker does not answer for fills its own budget, and is no sign of an outage")
    func unanswered() async throws {
        let f = try PeerFixture { peer in
            try peer.greet()
            try peer.serve { event in
                if case .message(let message) = event, message.routingKey == "stuck" { return .handled }
                return .honest
            }
        }
        let publisher = await publisher(f, budget: 3)
        async let stuck = withTaskGroup(of: RabbitMQError.Code?.self) { group in
            for _ in 0..<3 {
                group.addTask {
                    do throws(RabbitMQError) {
                        _ = try await publisher.publish(OutgoingMessage(to: "stuck"), timeout: .seconds(2))
                        return nil
                    } catch {
                        return error.code
                    }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        try await waitUntil("three are under way") { await publisher.inFlight == 3 }
        _ = await expectError(.congested) { try await publisher.publish(OutgoingMessage(to: "stuck")) }
        while await publisher.inFlight > 0 {
            #expect(try await publisher.publish(OutgoingMessage(to: "free")) == .confirmed)
        }
        #expect(await stuck == [.unanswered, .unanswered, .unanswered])
        #expect(f.broker.accepted == 1)
        await f.close(publisher)
    }

    @Test("a confirm of what was not published settles nothing")
    func unknownConfirm() async throws {
        let asked = Gate()
        let f = try PeerFixture { peer in
            try peer.greet()
            try peer.serve { event in
                guard case .message(let message) = event else { return .honest }
                guard message.sequence == 2 else { return .handled }
                try peer.ack(99, multiple: true, channel: message.channel)
                try peer.ack(0, channel: message.channel)
                try peer.ack(2, channel: message.channel)
                try asked.wait()
                try peer.ack(1, channel: message.channel)
                return .handled
            }
        }
        let publisher = await publisher(f)
        async let first = publisher.publish(OutgoingMessage(to: "first"))
        try await waitUntil("it is under way") { await publisher.inFlight == 1 }
        #expect(try await publisher.publish(OutgoingMessage(to: "second")) == .confirmed)
        #expect(await publisher.inFlight == 1)
        asked.open()
        #expect(try await first == .confirmed)
        await f.close(publisher)
    }

    @Test("a broker that ends each channel at once is left alone for a while")
    func noChannelLasts() async throws {
        let f = try PeerFixture { peer in
            try peer.greet()
            try peer.serve { _ in
                .honest
            } afterwards: { event in
                guard case .method(let channel, PeerMethod.confirmSelect.rawValue, _) = event else { return }
                try peer.closeChannel(channel, 406, "PRECONDITION_FAILED - as I please")
            }
        }
        let events = Log<ConnectionEvent>()
        let publisher = RabbitMQPublisher(
            configuration: f.configuration, loop: f.loop, onEvent: { events.append($0) }, logger: f.logger)
        await publisher.start()
        try await waitUntil("the connection is given up") { !events.disconnections.isEmpty }
        #expect(await publisher.channels <= 21)
        await publisher.close()
        f.broker.close()
    }
}
