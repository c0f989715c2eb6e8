import Adapters
import Answering
import ChatJobs
import ParleyRabbitMQ
import Pipeline
import TestSupport
import Testing

@testable import Topology

private struct StillClock: PipelineClock {
    let now = Duration.zero
    let wall = Timestamp(milliseconds: 0)
    func sleep(for duration: Duration) async {}
    func random() -> Double { 0.5 }
}

/// What quorum queues that drop, and queues that others declared, do to jobs.
@Suite(
    "Adopted queues", .serialized, .enabled(if: PrivateRabbitMQ.isInstalled), .timeLimit(.minutes(2)),
    .privateRabbitMQ())
struct DeliveryLimitTests {
    @Test("a job that is returned more often than its queue allows is still there", arguments: [2, 20])
    func returned(limit: Int64) async throws {
        let fixture = try Fixture()
        let queues = JobQueues(base: "worn.\(limit)", kind: .quorum)
        let connection = try await fixture.connect()
        try await connection.declare(
            QueueDeclaration(
                name: queues.names.base, arguments: ["x-queue-type": "quorum", "x-delivery-limit": .int(limit)]))
        try await queues.ensureAll(on: connection)
        let publisher = RabbitMQPublisher(
            configuration: fixture.configuration, loop: fixture.loop, logger: fixture.logger)
        await publisher.start()
        let limits = DeliveryLimits()
        let consumer = RabbitMQConsumer(
            configuration: fixture.configuration, loop: fixture.loop,
            queues: [ConsumedQueue(name: queues.names.base, prefetch: 10)], keeps: { limits.isWorn($0) },
            logger: fixture.logger)
        await consumer.start()
        let outbox = RabbitMQOutbox(publisher: publisher, queues: queues, clock: StillClock(), logger: fixture.logger)
        let intake = RabbitMQIntake(consumer: consumer, clock: StillClock(), renewing: outbox, limits)
        let properties = MessageProperties(headers: ["mine": "kept"], messageID: "id-1")
        let job = OutgoingMessage(routingKey: queues.names.base, properties: properties, body: Array("{}".utf8))
        #expect(try await publisher.publish(job) == .confirmed)
        for _ in 0..<Int(limit) * 2 + 3 {
            let incoming = try #require(await intake.nextWindow(atMost: 1)?.first)
            #expect(incoming.envelope.messageID == "id-1")
            await intake.handBack(incoming.receipt)
        }
        let incoming = try #require(await intake.nextWindow(atMost: 1)?.first)
        let delivery = try #require(incoming.original as? Delivery)
        #expect(delivery.properties.headers["mine"] == "kept")
        #expect(incoming.envelope.deferrals == 0 && incoming.envelope.earlierAttempts == 0)
        await intake.acknowledge(incoming.receipt)
        await consumer.close()
        await publisher.close()
        await connection.close()
    }

    @Test(
        "a limit is read from the broker's refusal",
        arguments: [(Int64?(3), JobQueues.DeliveryLimit?.some(.after(3))), (nil, nil)])
    func limits(argument: Int64?, expected: JobQueues.DeliveryLimit?) async throws {
        let fixture = try Fixture()
        let connection = try await fixture.connect()
        let name = "limit.\(argument ?? 0)"
        var arguments: FieldTable = ["x-queue-type": "quorum"]
        arguments["x-delivery-limit"] = argument.map { .int($0) }
        try await connection.declare(QueueDeclaration(name: name, arguments: arguments))
        let version = connection.serverProperties["version"]?.string ?? ""
        let unset: JobQueues.DeliveryLimit = version.hasPrefix("3.") ? .never : .after(20)
        #expect(await JobQueues.deliveryLimit(of: name, on: connection) == expected ?? unset)
        try await connection.declare(QueueDeclaration(name: name + ".classic", arguments: ["x-queue-type": "classic"]))
        #expect(await JobQueues.deliveryLimit(of: name + ".classic", on: connection) == .never)
        await connection.close()
    }

    @Test(
        "a queue that was declared without its type is adopted, and known for its lack of priorities",
        arguments: [true, false])
    func untyped(hasPriorities: Bool) async throws {
        let fixture = try Fixture()
        let connection = try await fixture.connect()
        let queues = JobQueues(base: "untyped.\(hasPriorities)", kind: .classic)
        try await connection.declare(
            QueueDeclaration(
                name: queues.names.base, arguments: hasPriorities ? ["x-max-priority": 10] : [:]))
        try await queues.ensureAll(on: connection)
        #expect(await queues.hasPriorities(queues.names.base, on: connection) == hasPriorities)
        #expect(
            await queues.warning(of: queues.names.base, on: connection)
                == (hasPriorities ? nil : queues.noPriorities(queues.names.base)))
        // Delay queues of a broker that has no quorum ones with a TTL, declared before types were said.
        let ladder = DelayLadder(base: "untyped.ladder.\(hasPriorities)", kind: .classic)
        var old = ladder.queue(0)
        old.arguments["x-queue-type"] = nil
        try await connection.declare(old)
        try await connection.declare(QueueDeclaration(name: ladder.base))
        try await ladder.ensure(on: connection, for: [ladder.base], levels: 2)
        await connection.close()
    }
}
