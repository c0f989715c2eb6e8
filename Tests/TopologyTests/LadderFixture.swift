import ChatJobs
import IOLoop
import ParleyRabbitMQ
import TestSupport
import Testing

@testable import Topology

/// Job queues with their ladder, a publisher, and a consumer of all of them.
struct LadderFixture {
    let fixture: Fixture
    let queues: JobQueues
    let connection: RabbitMQConnection
    let publisher: RabbitMQPublisher
    let consumer: RabbitMQConsumer

    var base: String { queues.names.base }
    var ladder: DelayLadder { queues.delays }

    init(
        _ base: String, lanes: [String] = [], kind: JobQueues.Kind = .classic, consumes: [String]? = nil,
        maxBody: Int = .max
    ) async throws {
        fixture = try Fixture()
        let queues = JobQueues(base: base, lanes: lanes.map { .init(name: $0) }, kind: kind)
        self.queues = queues
        connection = try await fixture.connect()
        try await queues.ensureAll(on: connection)
        publisher = RabbitMQPublisher(configuration: fixture.configuration, loop: fixture.loop, logger: fixture.logger)
        await publisher.start()
        consumer = RabbitMQConsumer(
            configuration: fixture.configuration, loop: fixture.loop, queues: consumes ?? queues.jobNames,
            maxBody: maxBody, logger: fixture.logger)
        await consumer.start()
    }

    func message(_ text: String, to queue: String, after delay: Duration) -> OutgoingMessage {
        OutgoingMessage(
            exchange: ladder.entry, routingKey: ladder.routingKey(to: queue, after: delay),
            properties: MessageProperties(deliveryMode: 2), body: Array(text.utf8))
    }

    func publish(_ text: String, to queue: String, after delay: Duration) async throws {
        #expect(try await publisher.publish(message(text, to: queue, after: delay)) == .confirmed)
    }

    /// The next job, acknowledged.
    func next(within limit: Duration = .seconds(30)) async throws -> Delivery {
        let next = Task { await consumer.next(atMost: 1) }
        let timer = Task {
            try await Task.sleep(for: limit)
            next.cancel()
        }
        defer { timer.cancel() }
        guard let delivery = await next.value?.first else { throw Failure("no job came within \(limit)") }
        await consumer.acknowledge(delivery.tag)
        return delivery
    }

    func close() async {
        await consumer.close()
        await publisher.close()
        await connection.close()
    }
}

extension RabbitMQConnection {
    nonisolated func depth(_ ladder: DelayLadder) async throws -> DelayLadder.Depth { try await ladder.depth(on: self) }
}

extension JobQueues {
    /// The queues, and the delay queues at once.
    func ensureAll(on connection: RabbitMQConnection) async throws(RabbitMQError) {
        try await ensure(on: connection)
        try await delays.ensure(on: connection, for: jobNames)
    }
}
