import IOLoop
import Logging
import ParleyJSON
import ParleyRabbitMQ
import TestSupport

/// A job queue of a test's own with dead letters in it, and no worker.
struct Mortuary: Sendable {
    let queue = "contract.dead.\(unique())"
    let producer: Producer

    var dead: String { queue + ".dead" }
    var settings: [String: String] { ["queue.name": queue] }

    static func with(_ body: (Mortuary) async throws -> Void) async throws {
        try await Producer.with { producer in
            let mortuary = Mortuary(producer: producer)
            _ = try await producer.connection.declare(
                QueueDeclaration(name: mortuary.queue, arguments: ["x-max-priority": 10]))
            _ = try await producer.connection.declare(QueueDeclaration(name: mortuary.dead))
            let result: Result<Void, any Error>
            do { result = .success(try await body(mortuary)) } catch { result = .failure(error) }
            for queue in [mortuary.queue, mortuary.dead] { _ = try? await producer.connection.deleteQueue(queue) }
            try result.get()
        }
    }

    static let codes = ["model_timeout", "internal", "invalid_job", "worker_lost"]

    /// Letters `0 ..< count`: code by `% 4`, tenant by `% 3`, one a second from 2026-11-22T00:00:00Z.
    func bury(_ count: Int, from source: String? = nil) async throws {
        let broker = try RabbitMQConfiguration(url: Surroundings.rabbitMQ ?? "")
        let loop = try IOLoop(name: "mortuary")
        defer { loop.stop() }
        // In one call, so that they are in order.
        let publisher = RabbitMQPublisher(configuration: broker, loop: loop, logger: Logger(label: "mortuary"))
        await publisher.start()
        let outcomes = await publisher.publish(
            (0..<count).map { number in
                OutgoingMessage(
                    routingKey: dead, properties: Self.properties(number, source ?? queue),
                    body: Array(#"{"id":"j\#(number)","query":"a secret","tenant":"t\#(number % 3)"}"#.utf8))
            })
        await publisher.close()
        for outcome in outcomes {
            guard try outcome.get() == .confirmed else { throw Failure("\(dead) takes no letters") }
        }
    }

    private static func properties(_ number: Int, _ source: String) -> MessageProperties {
        let time = "2026-11-22T0\(number / 3600 % 10):\(two(number / 60 % 60)):\(two(number % 60)).000Z"
        return MessageProperties(
            contentType: "application/json",
            headers: [
                "x-parley-error-code": .string(codes[number % 4]), "x-parley-error": "it broke",
                "x-parley-attempts": 5, "x-parley-dead-at": .string(time), "x-parley-source-queue": .string(source),
                "x-shop": "kept",
            ],
            deliveryMode: 2, priority: UInt8(number % 10), messageID: "j\(number)")
    }

    private static func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }

    /// Takes everything that is in a queue, in order.
    func drain(_ queue: String) async throws -> [Received] {
        var all: [Received] = []
        while let delivery = try await producer.connection.get(queue, noAck: true, channel: producer.channel) {
            all.append(Received(delivery))
        }
        return all
    }

    /// Takes the ids of everything in a queue, quickly.
    func ids(_ queue: String) async throws -> [String] {
        var all: [String] = []
        let (connection, channel) = (producer.connection, producer.channel)
        while true {
            let some = try await withThrowingTaskGroup(of: String?.self) { group in
                for _ in 0..<256 {
                    group.addTask {
                        try await connection.get(queue, noAck: true, channel: channel)?.properties.messageID
                    }
                }
                return try await group.reduce(into: [String]()) { if let id = $1 { $0.append(id) } }
            }
            guard !some.isEmpty else { return all }
            all += some
        }
    }

    func count(_ queue: String) async throws -> Int { try await producer.count(queue) }

    /// Until the broker has put back what an ended process held.
    func untilAll(_ count: Int) async throws {
        _ = try await eventually("\(count) messages in both queues") {
            let both = try await self.count(queue) + self.count(dead)
            return both >= count ? true : nil
        }
    }
}
