import Glibc
import IOLoop
import TestSupport
import Testing

@testable import ParleyRabbitMQ

@Suite(
    "Consumer and publisher", .serialized, .enabled(if: PrivateRabbitMQ.isInstalled), .timeLimit(.minutes(2)),
    .privateRabbitMQ())
struct ReconnectTests {
    private func declare(_ name: String) -> @Sendable (RabbitMQConnection) async throws(RabbitMQError) -> Void {
        { connection throws(RabbitMQError) in try await connection.ensureQueue(QueueDeclaration(name: name)) }
    }

    private func consumer(
        _ f: Fixture, _ queue: String, prefetch: UInt16 = 100, noAck: Bool = false, events: Log<ConnectionEvent>? = nil
    ) -> RabbitMQConsumer {
        RabbitMQConsumer(
            configuration: f.configuration, loop: f.loop, queues: [queue], prefetch: prefetch, noAck: noAck,
            setup: queue.isEmpty ? { @Sendable _ in } : declare(queue), onEvent: { events?.append($0) },
            logger: f.logger)
    }

    private func publisher(_ f: Fixture, _ queue: String, events: Log<ConnectionEvent>? = nil) -> RabbitMQPublisher {
        RabbitMQPublisher(
            configuration: f.configuration, loop: f.loop, setup: declare(queue), onEvent: { events?.append($0) },
            logger: f.logger)
    }

    @Test("thousands go round: published in batches, consumed in windows, settled, and nothing is left")
    func roundTrip() async throws {
        let f = try Fixture()
        let publisher = publisher(f, "round")
        let consumer = consumer(f, "round", prefetch: 500)
        await publisher.start()
        await consumer.start()
        let messages = (0..<5000).map { OutgoingMessage(to: "round", "\($0)") }
        async let outcomes = publisher.publish(messages)
        var bodies: [String] = []
        while bodies.count < 5000, let window = await consumer.next(atMost: 64) {
            #expect((1...64).contains(window.count))
            for delivery in window {
                bodies.append(String(decoding: delivery.body, as: UTF8.self))
                await consumer.acknowledge(delivery.tag)
            }
        }
        #expect(bodies == (0..<5000).map(String.init))
        for outcome in await outcomes { #expect(try outcome.get() == .confirmed) }
        await consumer.close()
        #expect(await consumer.next(atMost: 1) == nil)
        #expect(try await publisher.ensureQueue(QueueDeclaration(name: "round")).messages == 0)
        #expect(await consumer.droppedSettlements == 0)
        await publisher.close()
    }

    @Test("no more than the prefetch is held, and out-of-order settling lets more come")
    func prefetch() async throws {
        let f = try Fixture()
        let publisher = publisher(f, "prefetch")
        await publisher.start()
        _ = await publisher.publish((0..<50).map { OutgoingMessage(to: "prefetch", "\($0)") })
        let consumer = consumer(f, "prefetch", prefetch: 10)
        await consumer.start()
        try await waitUntil("ten are buffered") { await consumer.buffered == 10 }
        let first = try #require(await consumer.next(atMost: 100))
        #expect(first.count == 10)
        // The broker's count of what is ready is the proof that no eleventh is under way.
        #expect(try await publisher.ensureQueue(QueueDeclaration(name: "prefetch")).messages == 40)
        await consumer.acknowledge(first[9].tag)
        await consumer.acknowledge(first[4].tag)
        await consumer.reject(first[0].tag, requeue: false)
        try await waitUntil("three more have come") { await consumer.buffered == 3 }
        await consumer.stopConsuming()
        #expect(await consumer.next(atMost: 1) == nil)
        for delivery in first[1...8] where delivery.tag != first[4].tag { await consumer.acknowledge(delivery.tag) }
        await consumer.close()
        try await waitUntil("the buffered ones are back") {
            try await publisher.ensureQueue(QueueDeclaration(name: "prefetch")).messages == 40
        }
        await publisher.close()
    }

    @Test("after a crash of the broker both come back; old tags are dropped, their messages come again")
    func restart() async throws {
        let f = try Fixture()
        let events = Log<ConnectionEvent>()
        let publisher = publisher(f, "restart", events: events)
        let consumer = consumer(f, "restart", events: events)
        await publisher.start()
        await consumer.start()
        var durable = OutgoingMessage(to: "restart", "kept")
        durable.properties.deliveryMode = 2
        #expect(try await publisher.publish(durable) == .confirmed)
        let old = try #require(await consumer.next(atMost: 1)?.first)
        try await f.broker.crash()
        try await waitUntil("both have noticed") {
            let isConnected = await publisher.isConnected
            let isConsuming = await consumer.isConsuming
            return !isConnected && !isConsuming
        }
        _ = await expectError(.timedOut) { try await publisher.publish(durable, timeout: .milliseconds(300)) }
        async let waiting = publisher.publish(OutgoingMessage(to: "restart", "waited"))
        await consumer.acknowledge(old.tag)
        try await f.broker.start()
        #expect(try await waiting == .confirmed)
        var seen: [String] = []
        while seen.count < 2, let window = await consumer.next(atMost: 10) {
            for delivery in window {
                #expect(delivery.tag.epoch != old.tag.epoch)
                seen.append(String(decoding: delivery.body, as: UTF8.self))
                await consumer.acknowledge(old.tag)
                await consumer.acknowledge(delivery.tag)
            }
        }
        #expect(seen.sorted() == ["kept", "waited"])
        #expect(await consumer.droppedSettlements == 3)
        #expect(events.all.contains { if case .disconnected = $0 { true } else { false } })
        await consumer.close()
        #expect(try await publisher.ensureQueue(QueueDeclaration(name: "restart")).messages == 0)
        await publisher.close()
    }

    @Test("a queue deleted under its consumer is reported, declared and consumed again")
    func deletedQueue() async throws {
        let f = try Fixture()
        let events = Log<ConnectionEvent>()
        let consumer = consumer(f, "deleted", events: events)
        let publisher = publisher(f, "other")
        await consumer.start()
        await publisher.start()
        try await waitUntil("it consumes") { await consumer.isConsuming }
        try await publisher.withConnection { connection throws(RabbitMQError) in
            _ = try await connection.deleteQueue("deleted")
        }
        try await waitUntil("the event is there") { events.all.contains(.consumerCancelled(queue: "deleted")) }
        try await waitUntil("it is consumed again") {
            try await publisher.ensureQueue(QueueDeclaration(name: "deleted")).consumers == 1
        }
        #expect(try await publisher.publish(OutgoingMessage(to: "deleted")) == .confirmed)
        #expect(await consumer.next(atMost: 1)?.count == 1)
        await consumer.close()
        await publisher.close()
    }

    @Test("a blocked broker takes no messages until it is unblocked")
    func blocked() async throws {
        let f = try Fixture()
        let events = Log<ConnectionEvent>()
        let publisher = publisher(f, "blocked", events: events)
        _ = await expectError(.unreachable) {
            try await publisher.publish(OutgoingMessage(to: "blocked"), waits: false)
        }
        await publisher.start()
        #expect(try await publisher.publish(OutgoingMessage(to: "blocked")) == .confirmed)
        try await f.broker.control("set_vm_memory_high_watermark", "0")
        _ = await expectError(.blocked) {
            try await publisher.publish(OutgoingMessage(to: "blocked"), timeout: .seconds(3))
        }
        #expect(await publisher.isBlocked)
        _ = await expectError(.blocked) {
            try await publisher.publish(OutgoingMessage(to: "blocked"), waits: false)
        }
        _ = await expectError(.blocked) {
            try await publisher.publish(OutgoingMessage(to: "blocked"), timeout: .milliseconds(200))
        }
        async let waiting = publisher.publish(OutgoingMessage(to: "blocked"))
        try await f.broker.control("set_vm_memory_high_watermark", "0.4")
        #expect(try await waiting == .confirmed)
        #expect(events.all.contains(.unblocked))
        await publisher.close()
    }

    @Test("a broker that has stopped reading blocks neither the loop nor the outbox")
    func fullSocket() async throws {
        let f = try Fixture("?heartbeat=0")
        let publisher = publisher(f, "full")
        await publisher.start()
        await publisher.waitUntilConnected()
        f.broker.signal(SIGSTOP)
        let big = (0..<40).map { _ in OutgoingMessage(routingKey: "full", body: [UInt8](repeating: 1, count: 1 << 20)) }
        async let outcomes = publisher.publish(big, timeout: .seconds(60))
        let start = ContinuousClock.now
        _ = await expectError(.timedOut) {
            try await publisher.publish(OutgoingMessage(to: "full"), timeout: .milliseconds(500))
        }
        #expect(ContinuousClock.now - start < .seconds(2))
        f.broker.signal(SIGCONT)
        for outcome in await outcomes { #expect(try outcome.get() == .confirmed) }
        await publisher.close()
    }

    @Test("replies come through a queue that the broker names, without acknowledgements")
    func serverNamed() async throws {
        let f = try Fixture()
        let consumer = consumer(f, "", noAck: true)
        let publisher = publisher(f, "other")
        await consumer.start()
        await publisher.start()
        try await waitUntil("it consumes") { await consumer.isConsuming }
        let name = try #require(await consumer.queueNames.first)
        #expect(name.hasPrefix("amq.gen-"))
        #expect(try await publisher.publish(OutgoingMessage(to: name, "hello")) == .confirmed)
        let got = try #require(await consumer.next(atMost: 1)?.first)
        #expect(got.body == Array("hello".utf8))
        await consumer.close()
        await publisher.close()
    }

    @Test("a waiting next ends with its task, and with close")
    func cancellation() async throws {
        let f = try Fixture()
        let consumer = consumer(f, "cancel")
        await consumer.start()
        let task = Task { await consumer.next(atMost: 1) }
        task.cancel()
        #expect(await task.value == nil)
        async let waiting = consumer.next(atMost: 1)
        await consumer.close()
        #expect(await waiting == nil)
    }

    @Test("wrong credentials are reported and tried again, and close ends it")
    func authentication() async throws {
        let f = try Fixture()
        var configuration = f.configuration
        configuration.password = "wrong"
        let events = Log<ConnectionEvent>()
        let publisher = RabbitMQPublisher(
            configuration: configuration, loop: f.loop, onEvent: { events.append($0) }, logger: f.logger)
        await publisher.start()
        try await waitUntil("two attempts have failed", within: .seconds(20)) { events.all.count >= 2 }
        for event in events.all {
            guard case .disconnected(let error, _) = event else { continue }
            #expect(error.code == .authenticationFailed)
        }
        await publisher.close()
        _ = await expectError(.closed) { try await publisher.publish(OutgoingMessage(to: "x")) }
    }

    @Test("a tag is void from the moment its connection has ended, and only then")
    func void() async throws {
        let f = try Fixture()
        let publisher = publisher(f, "void")
        let consumer = consumer(f, "void")
        await publisher.start()
        await consumer.start()
        _ = try await publisher.publish(OutgoingMessage(to: "void"))
        let old = try #require(await consumer.next(atMost: 1)?.first)
        #expect(await !consumer.isVoid(old.tag))
        #expect(await consumer.isVoidOnceLost(old.tag))
        let again = try #require(await consumer.next(atMost: 1)?.first)
        #expect(await !consumer.isVoid(again.tag))
        #expect(await consumer.isVoid(old.tag))
        await consumer.acknowledge(again.tag)
        #expect(await !consumer.isVoid(again.tag), "settled is not void")
        await consumer.close()
        #expect(await consumer.isVoid(again.tag))
        await publisher.close()
    }

    @Test("descriptors stay flat over many reconnects")
    func reconnects() async throws {
        let f = try Fixture()
        let events = Log<ConnectionEvent>()
        let consumer = RabbitMQConsumer(
            configuration: f.configuration, loop: f.loop, queues: ["flat"], setup: declare("flat"),
            onEvent: { events.append($0) }, logger: f.logger)
        await consumer.start()
        try await waitUntil("it consumes") { await consumer.isConsuming }
        let before = openDescriptors()
        for round in 1...8 {
            await consumer.abortConnection()
            try await waitUntil("reconnect \(round)", within: .seconds(30)) { await consumer.isConsuming }
        }
        // One leaked per round would be eight; other suites of this process may open a few meanwhile.
        #expect(openDescriptors() < before + 6)
        await consumer.close()
    }
}

extension RabbitMQConsumer {
    /// Loses the connection, as a cable would.
    func abortConnection() { currentSession?.end(RabbitMQError(.connectionLost, "aborted")) }

    /// In one turn of the loop: nobody else has heard of the end yet.
    func isVoidOnceLost(_ tag: DeliveryTag) -> Bool {
        abortConnection()
        return isVoid(tag)
    }
}
