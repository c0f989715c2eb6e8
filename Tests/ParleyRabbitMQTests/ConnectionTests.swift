import Glibc
import IOLoop
import TestSupport
import Testing

@testable import ParleyRabbitMQ

@Suite(
    "One connection", .serialized, .enabled(if: PrivateRabbitMQ.isInstalled), .timeLimit(.minutes(2)),
    .privateRabbitMQ())
struct ConnectionTests {
    @Test("all field types, properties and Unicode survive the broker")
    func fieldTable() async throws {
        let f = try Fixture()
        let (connection, channel) = try await f.connectConfirming()
        try await connection.declare(QueueDeclaration(name: "fields", arguments: ["x-max-priority": 10]))
        // In the order of their names, which RabbitMQ 4 brings them into.
        let headers: FieldTable = [
            "array": .array([1, "a", .array([]), .table(["k": false])]), "big": .int(.max), "bool": true,
            "bytes": .bytes([0, 255]), "decimal": .decimal(scale: 2, value: 314), "double": 0.25, "empty": .table([:]),
            "null": .null, "small": -5, "table": .table(["x": .table(["y": 1])]), "text": "你好 мир 👋",
            "time": .timestamp(1_700_000_000), "键": "值",
        ]
        let properties = MessageProperties(
            contentType: "application/json; charset=utf-8", contentEncoding: "identity", headers: headers,
            deliveryMode: 2, priority: 7, correlationID: "c-1", replyTo: "some.reply.queue.name", expiration: "60000",
            messageID: "m-1", timestamp: 1_700_000_001, type: "t", userID: "guest", appID: "app")
        let outcome = try await connection.publish(
            OutgoingMessage(routingKey: "fields", properties: properties, body: [1, 2, 3]), channel: channel)
        #expect(outcome == .confirmed)
        let got = try #require(try await connection.get("fields", noAck: true, channel: channel))
        #expect(got.properties == properties)
        #expect(got.body == [1, 2, 3])
        #expect(try await connection.get("fields", noAck: true, channel: channel) == nil)
        #expect(connection.serverProperties["product"] == "RabbitMQ")
        await connection.close()
    }

    @Test("bodies of every size arrive, empty and larger than a frame and the socket's buffer")
    func sizes() async throws {
        let f = try Fixture()
        let (connection, channel) = try await f.connectConfirming()
        try await connection.declare(QueueDeclaration(name: "sizes"))
        for size in [0, 1, 131_063, 131_064, 131_065, 262_144, 40 << 20] {
            let body = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
                for index in 0..<size { buffer[index] = UInt8(truncatingIfNeeded: index &* 31) }
                count = size
            }
            let outcome = try await connection.publish(
                OutgoingMessage(routingKey: "sizes", body: body), channel: channel)
            #expect(outcome == .confirmed)
            let got = try await connection.get("sizes", noAck: true, channel: channel)
            #expect(got?.body == body, "size \(size)")
        }
        await connection.close()
    }

    @Test("headers to which the broker has added more than fits a frame arrive")
    func headersGrownByTheBroker() async throws {
        let f = try Fixture()
        let (connection, channel) = try await f.connectConfirming()
        try await connection.declare(QueueDeclaration(name: "grown"))
        let arguments: FieldTable = [
            "x-message-ttl": 1, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "grown",
        ]
        try await connection.declare(QueueDeclaration(name: "growing", arguments: arguments))
        // A frame has 131,072 bytes.
        let headers: FieldTable = ["big": .string(String(repeating: "h", count: 130_900))]
        let outcome = try await connection.publish(
            OutgoingMessage(routingKey: "growing", properties: MessageProperties(headers: headers), body: [1]),
            channel: channel)
        #expect(outcome == .confirmed)
        var got: Delivery?
        try await waitUntil("it has expired") {
            got = try await connection.get("grown", noAck: true, channel: channel)
            return got != nil
        }
        #expect(got?.properties.headers["big"] == headers["big"])
        #expect(got?.properties.headers["x-death"] != nil)
        await connection.close()
    }

    @Test("an unroutable message is returned, and its neighbours are confirmed")
    func returned() async throws {
        let f = try Fixture()
        let (connection, channel) = try await f.connectConfirming()
        try await connection.declare(QueueDeclaration(name: "there"))
        let outcomes = try await withThrowingTaskGroup(of: (Int, PublishOutcome).self) { group in
            for index in 0..<200 {
                group.addTask {
                    let queue = index % 3 == 0 ? "nowhere" : "there"
                    return (index, try await connection.publish(OutgoingMessage(to: queue), channel: channel))
                }
            }
            return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
        for (index, outcome) in outcomes {
            #expect(outcome == (index % 3 == 0 ? .returned(code: 312, reason: "NO_ROUTE") : .confirmed))
        }
        var silent = OutgoingMessage(to: "nowhere")
        silent.mandatory = false
        #expect(try await connection.publish(silent, channel: channel) == .confirmed)
        await connection.close()
    }

    @Test("a queue with other arguments is named with the argument, or adopted")
    func differing() async throws {
        let f = try Fixture()
        let connection = try await f.connect()
        try await connection.declare(QueueDeclaration(name: "ten", arguments: ["x-max-priority": 10]))
        let other = QueueDeclaration(name: "ten", arguments: ["x-max-priority": 5])
        let error = await expectError(.preconditionFailed) { try await connection.declare(other) }
        #expect(error?.argument == "x-max-priority")
        let strict = await expectError(.preconditionFailed) { try await connection.ensureQueue(other, strict: true) }
        #expect(strict?.argument == "x-max-priority")
        #expect(try await connection.ensureQueue(other) == QueueStatus(name: "ten", messages: 0, consumers: 0))
        #expect(try await connection.ensureQueue(QueueDeclaration(name: "fresh")).name == "fresh")
        _ = await expectError(.notFound) {
            try await connection.declare(QueueDeclaration(name: "missing"), passive: true)
        }
        #expect(try await connection.deleteQueue("fresh") == 0)
        await connection.close()
    }

    @Test("exchanges and bindings route; purge and delete count")
    func topology() async throws {
        let f = try Fixture()
        let (connection, channel) = try await f.connectConfirming()
        try await connection.declareExchange("ex", type: "topic")
        try await connection.declare(QueueDeclaration(name: "bound"))
        try await connection.bind(queue: "bound", exchange: "ex", routingKey: "a.*")
        let message = OutgoingMessage(exchange: "ex", routingKey: "a.b", body: [1])
        #expect(try await connection.publish(message, channel: channel) == .confirmed)
        #expect(try await connection.publish(message, channel: channel) == .confirmed)
        #expect(try await connection.purge("bound") == 2)
        try await connection.unbind(queue: "bound", exchange: "ex", routingKey: "a.*")
        #expect(try await connection.publish(message, channel: channel) == .returned(code: 312, reason: "NO_ROUTE"))
        try await connection.deleteExchange("ex")
        _ = await expectError(.notFound) { try await connection.publish(message, channel: channel) }
        await connection.close()
    }

    @Test("the broker may close a channel, and the connection goes on")
    func channelClosed() async throws {
        let f = try Fixture()
        let connection = try await f.connect()
        let first = try await connection.openChannel()
        _ = await expectError(.notFound) { try await connection.consume("missing", channel: first) { _ in } }
        _ = await expectError(.channelClosed) { try await connection.qos(prefetch: 1, channel: first) }
        let second = try await connection.openChannel()
        let ends = Log<RabbitMQError>()
        try await connection.onChannelEnd(second) { ends.append($0) }
        try await connection.declare(QueueDeclaration(name: "double"))
        let confirming = try await connection.openChannel()
        try await connection.confirmSelect(channel: confirming)
        _ = try await connection.publish(OutgoingMessage(to: "double"), channel: confirming)
        let got = try #require(try await connection.get("double", channel: second))
        await connection.ack(got.tag)
        await connection.ack(got.tag)
        try await waitUntil("the channel is closed") { !ends.all.isEmpty }
        #expect(ends.all.first?.code == .preconditionFailed)
        #expect(await connection.isOpen)
        let third = try await connection.openChannel()
        await connection.ack(got.tag)
        try await connection.qos(prefetch: 1, channel: third)
        try await connection.closeChannel(third)
        await connection.close()
    }

    @Test("direct reply-to answers on the channel that asked")
    func directReply() async throws {
        let f = try Fixture()
        let (connection, channel) = try await f.connectConfirming()
        try await connection.declare(QueueDeclaration(name: "requests"))
        let replies = Log<Delivery>()
        try await connection.consume("amq.rabbitmq.reply-to", channel: channel, noAck: true) { event in
            if case .delivery(let delivery) = event { replies.append(delivery) }
        }
        var request = OutgoingMessage(to: "requests")
        request.properties.replyTo = "amq.rabbitmq.reply-to"
        _ = try await connection.publish(request, channel: channel)
        let (server, serverChannel) = try await f.connectConfirming()
        let got = try #require(try await server.get("requests", noAck: true, channel: serverChannel))
        let address = try #require(got.properties.replyTo)
        #expect(try await server.publish(OutgoingMessage(to: address, "pong"), channel: serverChannel) == .confirmed)
        try await waitUntil("the reply is there") { !replies.all.isEmpty }
        #expect(replies.all.first?.body == Array("pong".utf8))
        await connection.close()
        await server.close()
    }

    @Test("what AMQP cannot express is refused before anything is sent")
    func invalidMessages() async throws {
        let f = try Fixture()
        let (connection, channel) = try await f.connectConfirming()
        try await connection.declare(QueueDeclaration(name: "valid"))
        let long = String(repeating: "x", count: 256)
        var message = OutgoingMessage(to: "valid")
        message.properties.correlationID = long
        _ = await expectError(.invalidMessage) { try await connection.publish(message, channel: channel) }
        _ = await expectError(.invalidMessage) {
            try await connection.publish(OutgoingMessage(to: long), channel: channel)
        }
        message = OutgoingMessage(to: "valid")
        message.properties.headers["big"] = .string(String(repeating: "x", count: 200_000))
        _ = await expectError(.invalidMessage) { try await connection.publish(message, channel: channel) }
        var deep = FieldValue.null
        for _ in 0..<200 { deep = .array([deep]) }
        message.properties.headers = ["deep": deep]
        _ = await expectError(.invalidMessage) { try await connection.publish(message, channel: channel) }
        _ = await expectError(.invalidMessage) { try await connection.declare(QueueDeclaration(name: long)) }
        #expect(try await connection.publish(OutgoingMessage(to: "valid"), channel: channel) == .confirmed)
        await connection.close()
    }

    @Test("a wrong password, a missing virtual host and a silent port are told apart")
    func refusals() async throws {
        let f = try Fixture()
        func open(_ change: (inout RabbitMQConfiguration) -> Void) async throws {
            var configuration = f.configuration
            change(&configuration)
            _ = try await RabbitMQConnection.open(configuration, loop: f.loop, logger: f.logger)
        }
        let wrong = await expectError(.authenticationFailed) { try await open { $0.password = "wrong-secret" } }
        #expect(wrong.map { !"\($0)".contains("wrong-secret") } == true)
        let vhost = await expectError(.accessRefused) { try await open { $0.virtualHost = "none" } }
        #expect(vhost?.message.contains("none") == true)
        let port = Int(try freePort())
        let nobody = await expectError(.unreachable) {
            try await open { $0.endpoints = [.init(host: "127.0.0.1", port: port)] }
        }
        #expect(nobody?.message.contains("\(port)") == true)
        _ = await expectError(.unreachable) {
            try await open { $0.endpoints = [.init(host: "no.such.host.invalid", port: 1)] }
        }
        var several = f.configuration
        several.endpoints.insert(.init(host: "127.0.0.1", port: port), at: 0)
        for _ in 0..<5 {
            let connection = try await RabbitMQConnection.open(several, loop: f.loop, logger: f.logger)
            await connection.close()
        }
    }

    @Test("fifty connections leave no descriptor behind")
    func descriptors() async throws {
        let f = try Fixture()
        try await f.connect().close()
        let before = openDescriptors()
        for index in 0..<50 {
            let connection = try await f.connect()
            _ = try await connection.openChannel()
            if index % 2 == 0 { await connection.close() } else { await connection.abort() }
        }
        // Other suites of this process open some meanwhile; fifty leaked ones would be far more.
        #expect(openDescriptors() < before + 25)
    }

    @Test("an idle connection outlives many heartbeats", .timeLimit(.minutes(1)))
    func heartbeat() async throws {
        let f = try Fixture("?heartbeat=1")
        let connection = try await f.connect()
        let start = ContinuousClock.now
        try await waitUntil("five heartbeats have passed") {
            try #require(await connection.isOpen)
            return ContinuousClock.now - start > .seconds(5)
        }
        _ = try await connection.openChannel()
        await connection.close()
    }

    @Test("a broker that stands still is noticed by its heartbeats")
    func frozen() async throws {
        let f = try Fixture("?heartbeat=1")
        let connection = try await f.connect()
        f.broker.signal(SIGSTOP)
        defer { f.broker.signal(SIGCONT) }
        let start = ContinuousClock.now
        try await waitUntil("the connection has ended") { await !connection.isOpen }
        let error = await connection.waitUntilEnded()
        #expect(error.code == .connectionLost)
        #expect(ContinuousClock.now - start < .seconds(6))
    }

    @Test("a header nested twenty-five thousand levels deep harms nobody")
    func poisonousHeader() async throws {
        let f = try Fixture()
        let (connection, channel) = try await f.connectConfirming()
        try await connection.declare(QueueDeclaration(name: "poison"))
        try await connection.publishDeeplyNested(levels: 25_000, routingKey: "poison", channel: channel)
        try await waitUntil("it is queued") {
            try await connection.declare(QueueDeclaration(name: "poison"), passive: true).messages == 1
        }
        let got = try await connection.get("poison", noAck: true, channel: channel)
        #expect(got?.body == [1])
        await connection.close()
    }
}

extension RabbitMQConnection {
    /// Ends without a goodbye, as a crash would.
    func abort() { session.end(RabbitMQError(.closed, "aborted")) }
}

func openDescriptors() -> Int {
    var count = 0
    guard let directory = opendir("/proc/self/fd") else { return -1 }
    while readdir(directory) != nil { count += 1 }
    closedir(directory)
    return count
}
