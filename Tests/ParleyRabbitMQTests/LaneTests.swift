import IOLoop
import TestSupport
import Testing

@testable import ParleyRabbitMQ

@Suite(
    "Pausing and lanes", .serialized, .enabled(if: PrivateRabbitMQ.isInstalled), .timeLimit(.minutes(2)),
    .privateRabbitMQ())
struct LaneTests {
    private func consumer(
        _ f: Fixture, _ queues: [ConsumedQueue], declares: Bool = true, events: Log<ConnectionEvent>? = nil
    ) -> RabbitMQConsumer {
        RabbitMQConsumer(
            configuration: f.configuration, loop: f.loop, queues: queues,
            setup: { connection throws(RabbitMQError) in
                guard declares else { return }
                for queue in queues { try await connection.ensureQueue(QueueDeclaration(name: queue.name)) }
            }, onEvent: { events?.append($0) }, logger: f.logger)
    }

    private func publisher(_ f: Fixture, _ names: String...) async throws -> RabbitMQPublisher {
        let publisher = RabbitMQPublisher(configuration: f.configuration, loop: f.loop, logger: f.logger)
        await publisher.start()
        for name in names { try await publisher.ensureQueue(QueueDeclaration(name: name)) }
        return publisher
    }

    private func fill(_ publisher: RabbitMQPublisher, _ queue: String, _ count: Int) async throws {
        for outcome in await publisher.publish((0..<count).map({ OutgoingMessage(to: queue, "\($0)") })) {
            #expect(try outcome.get() == .confirmed)
        }
    }

    /// Messages ready in a queue, and its consumers.
    private func status(_ publisher: RabbitMQPublisher, _ queue: String) async throws -> QueueStatus {
        try await publisher.withConnection { connection throws(RabbitMQError) in
            try await connection.declare(QueueDeclaration(name: queue), passive: true)
        }
    }

    private func unacknowledged(_ f: Fixture) async throws -> [String: Int] {
        let text = try await f.broker.control(
            "-q", "list_queues", "--no-table-headers", "name", "messages_unacknowledged")
        return Dictionary(
            text.split(separator: "\n").compactMap { line in
                let words = line.split(separator: "\t")
                guard words.count == 2, let count = Int(words[1]) else { return nil }
                return (String(words[0]), count)
            }, uniquingKeysWith: { first, _ in first })
    }

    @Test("a delivery names the queue it was in, whatever exchange and routing key it came by")
    func queueOfADelivery() async throws {
        let f = try Fixture()
        let publisher = try await publisher(f, "lane.a", "lane.b")
        try await publisher.withConnection { connection throws(RabbitMQError) in
            try await connection.declareExchange("lane.own", type: "fanout")
            for queue in ["lane.a", "lane.b"] {
                try await connection.bind(queue: queue, exchange: "lane.own", routingKey: "")
            }
        }
        let consumer = consumer(f, [ConsumedQueue(name: "lane.a"), ConsumedQueue(name: "lane.b")])
        await consumer.start()
        _ = try await publisher.publish(OutgoingMessage(exchange: "lane.own", routingKey: "any.thing", body: [1]))
        var queues: Set<String> = []
        while queues.count < 2, let window = await consumer.next(atMost: 10) {
            for delivery in window {
                #expect(delivery.routingKey == "any.thing")
                queues.insert(delivery.queue)
                await consumer.acknowledge(delivery.tag)
            }
        }
        #expect(queues == ["lane.a", "lane.b"])
        await consumer.close()
        _ = try await publisher.publish(OutgoingMessage(exchange: "lane.own", routingKey: "other", body: [1]))
        let connection = try await f.connect()
        let channel = try await connection.openChannel()
        #expect(try await connection.get("lane.b", noAck: true, channel: channel)?.queue == "lane.b")
        await connection.close()
        await publisher.close()
    }

    @Test("what was taken before a pause counts against the prefetch after it")
    func prefetchAcrossPauses() async throws {
        let f = try Fixture()
        let publisher = try await publisher(f, "pauses")
        try await fill(publisher, "pauses", 100)
        let consumer = consumer(f, [ConsumedQueue(name: "pauses", prefetch: 10)])
        await consumer.start()
        var held: [Delivery] = []
        func take(until count: Int) async throws {
            while held.count < count { held += try #require(await consumer.next(atMost: 10)) }
        }
        try await take(until: 10)
        for _ in 0..<3 {
            await consumer.pause()
            await consumer.resume()
        }
        #expect(await consumer.isConsuming)
        #expect(try await status(publisher, "pauses").messages == 90)
        // Six of ten are free: a new consumer has them.
        // In one call: a consumer that began after the fifth would get five.
        await consumer.acknowledge(held.prefix(6).map(\.tag))
        held.removeFirst(6)
        try await take(until: 10)
        #expect(try await status(publisher, "pauses").messages == 84)
        // Those of before are gone: the rest comes as well.
        await consumer.acknowledge(held.prefix(4).map(\.tag))
        held.removeFirst(4)
        try await take(until: 10)
        try await waitUntil("ten are held") {
            try await unacknowledged(f)["pauses"] == 10
        }
        #expect(try await status(publisher, "pauses").consumers == 2)
        // Nothing is held any more: they become one, with all of the prefetch.
        var settled = 10
        while settled < 100 {
            await consumer.acknowledge(held.map(\.tag))
            settled += held.count
            held = settled < 100 ? try #require(await consumer.next(atMost: 10)) : []
        }
        try await waitUntil("one consumer is left") { try await status(publisher, "pauses").consumers == 1 }
        try await fill(publisher, "pauses", 20)
        try await waitUntil("ten are held again") { try await unacknowledged(f)["pauses"] == 10 }
        await consumer.close()
        await publisher.close()
    }

    @Test("each queue has its own prefetch")
    func prefetchOfEachQueue() async throws {
        let f = try Fixture()
        let publisher = try await publisher(f, "weight.high", "weight.main", "weight.bulk")
        for queue in ["weight.high", "weight.main", "weight.bulk"] { try await fill(publisher, queue, 30) }
        let consumer = consumer(
            f,
            [
                ConsumedQueue(name: "weight.high", prefetch: 16), ConsumedQueue(name: "weight.main", prefetch: 3),
                ConsumedQueue(name: "weight.bulk", prefetch: 1),
            ])
        await consumer.start()
        try await waitUntil("twenty are buffered") { await consumer.buffered >= 20 }
        let held = try await unacknowledged(f)
        #expect(held["weight.high"] == 16)
        #expect(held["weight.main"] == 3)
        #expect(held["weight.bulk"] == 1)
        await consumer.close()
        await publisher.close()
    }

    @Test("a pause ends consuming and hands back what nobody has taken; what was taken is settled")
    func pause() async throws {
        let f = try Fixture()
        let publisher = try await publisher(f, "pause")
        try await fill(publisher, "pause", 30)
        let consumer = consumer(f, [ConsumedQueue(name: "pause", prefetch: 20)])
        await consumer.start()
        try await waitUntil("twenty are buffered") { await consumer.buffered == 20 }
        let taken = try #require(await consumer.next(atMost: 5))
        await consumer.pause()
        await consumer.pause()
        #expect(await !consumer.isConsuming)
        try await waitUntil("the others are ready again") {
            let status = try await status(publisher, "pause")
            return status.messages == 25 && status.consumers == 0
        }
        for delivery in taken { await consumer.acknowledge(delivery.tag) }
        async let waiting = consumer.next(atMost: 100)
        await consumer.resume()
        await consumer.resume()
        #expect(await consumer.isConsuming)
        var numbers = try #require(await waiting).map { String(decoding: $0.body, as: UTF8.self) }
        while numbers.count < 20 {
            numbers += try #require(await consumer.next(atMost: 100)).map { String(decoding: $0.body, as: UTF8.self) }
        }
        #expect(Set(numbers) == Set((5..<25).map(String.init)))
        #expect(await consumer.droppedSettlements == 0)
        await consumer.stopConsuming()
        await consumer.resume()
        #expect(await !consumer.isConsuming)
        #expect(await consumer.next(atMost: 1) == nil)
        await consumer.close()
        #expect(try await status(publisher, "pause").messages == 25)
        await publisher.close()
    }

    @Test("of many pauses and resumes at once, the last one counts", arguments: [true, false])
    func quickChanges(endsPaused: Bool) async throws {
        let f = try Fixture()
        let publisher = try await publisher(f, "quick", "quick.lane")
        let consumer = consumer(f, [ConsumedQueue(name: "quick"), ConsumedQueue(name: "quick.lane")])
        await consumer.start()
        // From before it is connected until long after.
        for round in 0..<60 {
            Task { await consumer.pause() }
            Task { await consumer.resume() }
            if round % 7 == 0 { try await Task.sleep(for: .milliseconds(5)) }
        }
        try await waitUntil("it has connected") { await consumer.currentSession != nil }
        if endsPaused { await consumer.pause() } else { await consumer.resume() }
        await (endsPaused ? consumer.pause() : consumer.resume())
        for queue in ["quick", "quick.lane"] {
            try await waitUntil("\(queue) is as the last call wants it") {
                try await status(publisher, queue).consumers == (endsPaused ? 0 : 1)
            }
        }
        #expect(await consumer.isConsuming == !endsPaused)
        await consumer.close()
        await publisher.close()
    }

    @Test("a paused consumer that loses its connection connects and sets up, but does not consume")
    func pausedReconnect() async throws {
        let f = try Fixture()
        let events = Log<ConnectionEvent>()
        let publisher = try await publisher(f, "asleep")
        let consumer = consumer(f, [ConsumedQueue(name: "asleep")], events: events)
        await consumer.pause()
        await consumer.start()
        let isConnected = { (count: Int) in
            events.all.filter { if case .connected = $0 { true } else { false } }.count == count
        }
        try await waitUntil("it is connected") { isConnected(1) }
        try await fill(publisher, "asleep", 1)
        try await publisher.withConnection { connection throws(RabbitMQError) in
            _ = try await connection.deleteQueue("asleep")
        }
        await consumer.abortConnection()
        try await waitUntil("it is connected again") { isConnected(2) }
        let status = try await status(publisher, "asleep")
        #expect(status.consumers == 0)
        #expect(await !consumer.isConsuming)
        try await fill(publisher, "asleep", 1)
        await consumer.resume()
        #expect(await consumer.next(atMost: 1)?.count == 1)
        await consumer.close()
        await publisher.close()
    }

    @Test("a lane whose queue is missing, or goes, does not stop the others; it is consumed when it is there")
    func missingLane() async throws {
        let f = try Fixture()
        let events = Log<ConnectionEvent>()
        let publisher = try await publisher(f, "there")
        let consumer = consumer(
            f, [ConsumedQueue(name: "missing"), ConsumedQueue(name: "there")], declares: false, events: events)
        await consumer.start()
        try await fill(publisher, "there", 1)
        let held = try #require(await consumer.next(atMost: 1)?.first)
        #expect(held.queue == "there")
        #expect(events.all.contains(.consumerCancelled(queue: "missing")))
        try await publisher.ensureQueue(QueueDeclaration(name: "missing"))
        try await fill(publisher, "missing", 1)
        #expect(await consumer.next(atMost: 1)?.first?.queue == "missing")
        // Deleted while paused: resuming must not end the channel that the held delivery came by.
        await consumer.pause()
        try await publisher.withConnection { connection throws(RabbitMQError) in
            _ = try await connection.deleteQueue("missing")
        }
        await consumer.resume()
        #expect(events.all.filter { $0 == .consumerCancelled(queue: "missing") }.count == 2)
        await consumer.acknowledge(held.tag)
        try await publisher.ensureQueue(QueueDeclaration(name: "missing"))
        try await waitUntil("it is consumed once more") { try await status(publisher, "missing").consumers == 1 }
        #expect(!events.all.contains { if case .disconnected = $0 { true } else { false } })
        await consumer.close()
        #expect(try await status(publisher, "there").messages == 0)
        await publisher.close()
    }
}
