import TestSupport
import Testing

@testable import ParleyRabbitMQ

@Suite("Refusals", .serialized, .enabled(if: PrivateRabbitMQ.isInstalled), .timeLimit(.minutes(2)), .privateRabbitMQ())
struct RefusalTests {
    @Test("a queue that is full costs its own messages only: another channel is tried, and the connection stays")
    func anotherChannel() async throws {
        let f = try Fixture()
        let events = Log<ConnectionEvent>()
        let publisher = RabbitMQPublisher(
            configuration: f.configuration, loop: f.loop, addressBudget: 100, onEvent: { events.append($0) },
            logger: f.logger)
        await publisher.start()
        for name in ["full", "roomy"] {
            let arguments: FieldTable =
                name == "full" ? ["x-max-length": 1, "x-overflow": "reject-publish"] : FieldTable()
            try await publisher.ensureQueue(QueueDeclaration(name: name, arguments: arguments))
        }
        #expect(try await publisher.publish(OutgoingMessage(to: "full")) == .confirmed)
        let started = ContinuousClock.now
        var codes: [RabbitMQError.Code] = []
        while await publisher.channels < 2 {
            #expect(try await publisher.publish(OutgoingMessage(to: "roomy"), waits: false) == .confirmed)
            do throws(RabbitMQError) {
                _ = try await publisher.publish(OutgoingMessage(to: "full"), waits: false)
                Issue.record("a full queue has taken a message")
            } catch {
                codes.append(error.code)
            }
            try #require(ContinuousClock.now - started < .seconds(60))
        }
        #expect(ContinuousClock.now - started >= .seconds(2))
        // The broker was asked a few times, and not for each of the messages.
        #expect(Set(codes) == [.nacked, .congested])
        #expect((2...10).contains(codes.count { $0 == .nacked }))
        #expect(events.disconnections == [] && events.connections == 1)
        // It takes one again: whoever asks is served.
        try await publisher.withConnection { connection throws(RabbitMQError) in _ = try await connection.purge("full")
        }
        try await waitUntil("it takes messages again") {
            (try? await publisher.publish(OutgoingMessage(to: "full"))) == .confirmed
        }
        await publisher.close()
    }

    @Test("an address on which the broker ends the connection costs nobody else anything")
    func poison() async throws {
        let f = try Fixture()
        let events = Log<ConnectionEvent>()
        let publisher = RabbitMQPublisher(
            configuration: f.configuration, loop: f.loop, addressBudget: 100, onEvent: { events.append($0) },
            logger: f.logger)
        await publisher.start()
        try await publisher.ensureQueue(QueueDeclaration(name: "healthy"))
        let (client, channel) = try await f.connectConfirming()
        let replies = Log<Delivery>()
        try await client.consume("amq.rabbitmq.reply-to", channel: channel, noAck: true) { event in
            if case .delivery(let delivery) = event { replies.append(delivery) }
        }
        var request = OutgoingMessage(to: "healthy")
        request.properties.replyTo = "amq.rabbitmq.reply-to"
        _ = try await client.publish(request, channel: channel)
        let got = try #require(try await client.get("healthy", noAck: true, channel: channel))
        let honest = try #require(got.properties.replyTo)
        #expect(PublishAddress(exchange: "", routingKey: honest).isPlausibleDirectReply)
        // RabbitMQ 3.10 takes the address for an Erlang term, and fails to decode it.
        let bad = (0..<20).map { "amq.rabbitmq.reply-to.AAA\($0 % 10).BBBB" }
        let queues = (0..<100).map { $0 % 2 == 0 ? "healthy" : honest } + bad
        let outcomes = await publisher.publish(queues.map { OutgoingMessage(to: $0) })
        for (queue, outcome) in zip(queues, outcomes) {
            switch outcome {
            case .success(let outcome): #expect(outcome == .confirmed && !bad.contains(queue))
            case .failure(let error):
                #expect(error.code == .unacceptable && bad.contains(queue), "\(queue): \(error)")
                #expect(error.message.contains(queue))
            }
        }
        try await waitUntil("the replies are there") { replies.count == 50 }
        #expect(events.disconnections == [] && events.connections == 1)
        // Known by now: it is not even tried.
        _ = await expectError(.unacceptable) { try await publisher.publish(OutgoingMessage(to: bad[0])) }
        #expect(try await publisher.publish(OutgoingMessage(to: honest)) == .confirmed)
        await publisher.close()
        await client.close()
    }

    @Test("the wait doubles with each channel that does not help, and begins anew with the first message taken")
    func patience() {
        var refusals = Refusals()
        var now = ContinuousClock.now
        func waited(for queue: String) -> Int {
            var steps = 0
            while refusals.refused(exchange: "", routingKey: queue, at: now) == nil {
                now += .milliseconds(500)
                steps += 1
            }
            return steps
        }
        #expect(waited(for: "a") == 4)
        refusals.startOver()
        #expect(waited(for: "a") == 8)
        refusals.startOver()
        #expect(waited(for: "a") == 16)
        #expect(waited(for: "b") == 4, "each address has its own")
        refusals.accepted(exchange: "", routingKey: "b")
        #expect(waited(for: "a") == 32)
        refusals.accepted(exchange: "", routingKey: "a")
        #expect(waited(for: "a") == 4)
        for _ in 0..<10 { _ = waited(for: "a") }
        #expect(waited(for: "a") == 128, "at most 64 seconds")
    }
}
