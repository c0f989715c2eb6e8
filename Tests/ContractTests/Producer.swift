import IOLoop
import Logging
import ParleyJSON
import ParleyRabbitMQ
import ParleyRedis
import TestSupport

/// Another system: publishes jobs and takes replies over plain AMQP, and looks into Redis.
struct Producer: Sendable {
    let replies = "contract.replies.\(unique())"
    let connection: RabbitMQConnection
    let channel: UInt16
    let redis: RedisClient
    private let loop: IOLoop

    /// Gives `body` a connected producer, which is closed afterwards.
    /// - Parameter rabbitMQ: a broker other than the one that all tests share.
    static func with<T>(rabbitMQ: String? = nil, _ body: (Producer) async throws -> T) async throws -> T {
        let producer = try await Producer(rabbitMQ ?? Surroundings.rabbitMQ)
        do {
            let result = try await body(producer)
            await producer.close()
            return result
        } catch {
            await producer.close()
            throw error
        }
    }

    private init(_ broker: String?) async throws {
        guard let broker, let store = Surroundings.redis else { throw Failure("no servers") }
        var logger = Logger(label: "contract")
        logger.logLevel = .critical
        loop = try IOLoop(name: "contract")
        connection = try await RabbitMQConnection.open(
            try RabbitMQConfiguration(url: broker), loop: loop, logger: logger)
        channel = try await connection.openChannel()
        try await connection.confirmSelect(channel: channel)
        redis = RedisClient(configuration: try RedisConfiguration(url: store), loop: loop, logger: logger)
        try await redis.connect()
        _ = try await connection.declare(
            QueueDeclaration(name: replies, durable: false, exclusive: true, autoDelete: true), channel: channel)
    }

    private func close() async {
        await connection.close()
        await redis.close()
        loop.stop()
    }

    // MARK: - Jobs

    func publish(_ body: [UInt8], to worker: Worker, _ properties: MessageProperties) async throws {
        let message = OutgoingMessage(routingKey: worker.queue, properties: properties, body: body)
        guard try await connection.publish(message, channel: channel) == .confirmed else {
            throw Failure("\(worker.queue) does not take the job")
        }
    }

    /// - Parameter id: the property `message_id`.
    func publish(
        _ body: String, to worker: Worker, id: String?, replyTo: String?? = nil, priority: UInt8? = nil
    ) async throws {
        try await publish(
            Array(body.utf8), to: worker,
            MessageProperties(deliveryMode: 2, priority: priority, replyTo: replyTo ?? replies, messageID: id))
    }

    /// Publishes a job and waits for what comes back.
    func ask(_ body: String, of worker: Worker, id: String? = unique()) async throws -> Received {
        try await publish(body, to: worker, id: id)
        return try await nextReply()
    }

    // MARK: - What comes back

    func nextReply(within limit: Duration = .seconds(60)) async throws -> Received {
        try await next(from: replies, within: limit)
    }

    func next(from queue: String, within limit: Duration = .seconds(60)) async throws -> Received {
        try await eventually("a message in \(queue)", within: limit) {
            try await connection.get(queue, noAck: true, channel: channel).map(Received.init)
        }
    }

    func isEmpty(_ queue: String) async throws -> Bool { try await count(queue) == 0 }

    func count(_ queue: String) async throws -> Int {
        Int(try await connection.declare(QueueDeclaration(name: queue), passive: true, channel: channel).messages)
    }

    func stored(_ id: String) async throws -> [UInt8]? {
        try await redis.send(RedisCommand("GET", "chat:result:\(id)")).bytes
    }

    func untilStored(_ id: String) async throws -> Received {
        let body = try await eventually("the result of \(id)") { try await stored(id) }
        return Received(properties: MessageProperties(), body: body)
    }
}

/// A reply, a chunk or a dead letter.
struct Received {
    let properties: MessageProperties
    let body: [UInt8]

    init(properties: MessageProperties, body: [UInt8]) {
        self.properties = properties
        self.body = body
    }

    init(_ delivery: Delivery) { self.init(properties: delivery.properties, body: delivery.body) }

    var json: JSONElement { get throws { try JSONDocument(body).root } }
    var status: String? { get throws { try json["status"]?.string } }
    var answer: String? { get throws { try json["answer"]?.string } }
    var errorCode: String? { get throws { try json["error"]?["code"]?.string } }
    var members: Set<String> { get throws { Set(try json.members.map(\.name)) } }

    func header(_ name: String) -> String? { properties.headers[name]?.string }
}
