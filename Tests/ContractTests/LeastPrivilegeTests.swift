import Glibc
import IOLoop
import JSON
import Logging
import RabbitMQ
import Redis
import Testing
import Topology

/// The users that config/ ships: each can do its work and nothing else. A broker and a Redis of the suite's own load
/// those very files.
@Suite(
    "Least privilege",
    .enabled(if: Surroundings.areComplete && PrivateRabbitMQ.isInstalled && PrivateRedis.server != nil),
    .serialized, .privateRabbitMQ(definitions: checkout("config/rabbitmq/definitions.json")))
struct LeastPrivilegeTests {
    let broker: PrivateRabbitMQ
    let redis: PrivateRedis

    init() async throws {
        broker = try #require(PrivateRabbitMQ.current)
        redis = try await PrivateRedis("--aclfile", checkout("config/redis/users.acl"))
    }

    private func settings(_ user: String) -> [String: String] {
        ["rabbitmq.url": broker.url(user), "redis.url": redis.url(user)]
    }

    /// `body` with a worker of the shipped user on the shipped queue; the log must show that nothing was refused.
    private func withWorker(
        _ settings: [String: String] = [:], _ body: (Worker) async throws -> Void
    ) async throws {
        let worker = try await Worker.start(
            queue: "chat.jobs", self.settings("parley").merging(settings) { $1 })
        try await body(worker)
        #expect(try await worker.stop() == 0)
        for word in ["ACCESS_REFUSED", "NOPERM", "RabbitMQ refuses", #""level":"error""#] {
            #expect(!worker.log.contains(word), "\(worker.log)")
        }
    }

    // MARK: - Each can do its work

    @Test func aProducerAsksPublishesAndCollects() async throws {
        try await withWorker { _ in
            let settings = settings("producer")
            let asked = try await parley("ask", "Is anybody there?", "--json", settings: settings)
            #expect(asked.status == 0, "\(asked.errors)")
            let reply = try #require(try asked.lines.last)
            #expect(reply["answer"]?.string == "Is anybody there?")
            let id = try #require(reply["id"]?.string)
            #expect(try await parley("result", id, settings: settings).status == 0)

            let queue = "chat.replies.\(unique())"
            let jobs = (1...3).map { #"{"id":"\#(unique())","query":"question \#($0)"}"# }.joined(separator: "\n")
            let published = try await parley("publish", "--reply-to", queue, settings: settings, input: jobs)
            #expect(published.status == 0, "\(published.errors)")
            let replies = try await parley("replies", queue, "--count", "3", "--timeout", "20s", settings: settings)
            #expect(replies.status == 0, "\(replies.errors)")
            #expect(try replies.lines.count == 3)
        }
    }

    @Test func aProducerGetsItsReplyDirectly() async throws {
        try await withWorker { worker in
            try await withUser("producer") { connection, channel in
                let (replies, feed) = AsyncStream<[UInt8]>.makeStream()
                _ = try await connection.consume("amq.rabbitmq.reply-to", channel: channel, noAck: true) {
                    if case .delivery(let delivery) = $0 { feed.yield(delivery.body) }
                }
                let properties = MessageProperties(replyTo: "amq.rabbitmq.reply-to", messageID: unique())
                let outcome = try await connection.publish(
                    OutgoingMessage(
                        routingKey: worker.queue, properties: properties, body: Array(#"{"query":"direct"}"#.utf8)),
                    channel: channel)
                #expect(outcome == .confirmed)
                let reply = try #require(await replies.first { _ in true })
                #expect(try JSONDocument(reply).root["answer"]?.string == "direct")
            }
        }
    }

    @Test func aWorkerAnswersStoresAndBuriesTheDead() async throws {
        #expect(try await parley("check", settings: settings("parley")).status == 0)
        try await withWorker { worker in
            try await withUser("operator") { connection, channel in
                let bad = OutgoingMessage(routingKey: worker.queue, body: Array("nonsense".utf8))
                #expect(try await connection.publish(bad, channel: channel) == .confirmed)
                let dead = try await eventually("the dead letter") {
                    try await connection.get(worker.dead, noAck: true, channel: channel)
                }
                #expect(dead.properties.headers["x-parley-error-code"]?.string == "invalid_job")
            }
        }
    }

    @Test func aWorkerMakesTheDelaysAndAnOperatorTakesThemDown() async throws {
        let ladder = DelayLadder(base: "chat.jobs", kind: .classic)
        try await withUser("parley") { connection, channel in
            try await ladder.ensure(on: connection, for: ["chat.jobs"])
            try await ladder.ensure(on: connection, for: ["chat.jobs"])
            let key = ladder.routingKey(to: "chat.jobs", after: .milliseconds(300))
            let job = OutgoingMessage(exchange: ladder.entry, routingKey: key, body: Array("later".utf8))
            #expect(try await connection.publish(job, channel: channel) == .confirmed)
            let back = try await eventually("the delayed job") {
                try await connection.get("chat.jobs", noAck: true, channel: channel)
            }
            #expect(back.body == Array("later".utf8))
        }
        try await withUser("operator") { connection, _ in
            #expect(try await ladder.depth(on: connection).total == 0)
            try await ladder.remove(on: connection)
        }
    }

    @Test func anOperatorSetsUpTakesDownAndLooksAfterTheDead() async throws {
        try await withUser("operator") { connection, channel in
            let lane = "chat.jobs.lane-\(unique())"
            _ = try await connection.declare(QueueDeclaration(name: lane, arguments: ["x-max-priority": 10]))
            let letter = OutgoingMessage(routingKey: "chat.jobs.dead", body: [1])
            #expect(try await connection.publish(letter, channel: channel) == .confirmed)
            #expect(try await connection.get("chat.jobs.dead", noAck: true, channel: channel) != nil)
            _ = try await connection.purge("chat.jobs.dead")
            try await connection.deleteQueue(lane)
        }
    }

    // MARK: - And nothing else

    @Test func aProducerNeitherReadsJobsNorTouchesTheirQueues() async throws {
        try await withUser("producer") { connection, _ in
            for queue in ["chat.jobs", "chat.jobs.dead", "chat.jobs.delay.3"] {
                try await expectRefusal("reads \(queue)") { try await self.get(queue, connection) }
                try await expectRefusal("consumes \(queue)") {
                    _ = try await connection.consume(queue, channel: try await connection.openChannel()) { _ in }
                }
                try await expectRefusal("purges \(queue)") { try await connection.purge(queue) }
                try await expectRefusal("deletes \(queue)") { try await connection.deleteQueue(queue) }
                try await expectRefusal("declares \(queue).x") {
                    _ = try await connection.declare(QueueDeclaration(name: queue + ".x"))
                }
                try await expectRefusal("binds \(queue)") {
                    try await connection.bind(queue: queue, exchange: "amq.fanout", routingKey: "")
                }
            }
            try await expectRefusal("declares an exchange") {
                try await connection.declareExchange("elsewhere", type: "fanout")
            }
        }
    }

    @Test func aWorkerDeletesNoJobsAndReadsNoReplies() async throws {
        try await withUser("parley") { connection, _ in
            for queue in ["chat.jobs", "chat.jobs.dead", "chat.replies"] {
                try await expectRefusal("deletes \(queue)") { try await connection.deleteQueue(queue) }
            }
            try await expectRefusal("reads replies") { try await self.get("chat.replies", connection) }
            try await expectRefusal("purges replies") { try await connection.purge("chat.replies") }
            for queue in ["chat.replies.mine", "chat.jobsy", "elsewhere"] {
                try await expectRefusal("declares \(queue)") {
                    _ = try await connection.declare(QueueDeclaration(name: queue))
                }
            }
            try await expectRefusal("publishes to another exchange") {
                let channel = try await connection.openChannel()
                try await connection.confirmSelect(channel: channel)
                let message = OutgoingMessage(exchange: "amq.fanout", routingKey: "", body: [1])
                _ = try await connection.publish(message, channel: channel)
            }
        }
    }

    @Test func anOperatorStaysWithTheJobs() async throws {
        try await withUser("operator") { connection, _ in
            try await expectRefusal("reads replies") { try await self.get("chat.replies", connection) }
            try await expectRefusal("deletes replies") { try await connection.deleteQueue("chat.replies") }
            try await expectRefusal("declares elsewhere") {
                _ = try await connection.declare(QueueDeclaration(name: "elsewhere"))
            }
        }
    }

    @Test(arguments: ["parley", "producer", "operator"])
    func redisGivesEachItsKeysAndNothingElse(_ user: String) async throws {
        try await withRedis(user) { client in
            func refused(_ command: RedisCommand) async throws -> Bool {
                guard case .error(let text) = try await client.send(command) else { return false }
                return text.hasPrefix("NOPERM")
            }
            func set(_ key: String) -> RedisCommand { RedisCommand("SET", key, "x", "PX", 1000) }
            let may: [String: (read: [String], write: [String])] = [
                "parley": (
                    ["result:x", "claim:x", "cache:x", "revoked:x", "worker:x", "revocations"],
                    ["result:x", "claim:x", "cache:x", "revoked:x", "worker:x"]
                ),
                "producer": (["result:x"], []),
                "operator": (["result:x", "worker:x", "revoked:x", "revocations"], ["revoked:x", "revocations"]),
            ]
            let (readable, writable) = try #require(may[user])
            for name in ["result:x", "claim:x", "cache:x", "revoked:x", "worker:x", "revocations", "audit:x", "other"] {
                #expect(try await refused(RedisCommand("GET", "chat:\(name)")) == !readable.contains(name), "\(name)")
                #expect(try await refused(set("chat:\(name)")) == !writable.contains(name), "\(name)")
                #expect(try await refused(RedisCommand("GET", "else:\(name)")), "\(name)")
            }
            for words in [
                ["KEYS", "*"], ["FLUSHALL"], ["FLUSHDB"], ["CONFIG", "GET", "*"], ["ACL", "LIST"], ["SHUTDOWN"],
                ["CLIENT", "LIST"], ["CLIENT", "KILL", "ID", "1"], ["SCRIPT", "FLUSH"],
                ["REPLICAOF", "NO", "ONE"], ["SAVE"], ["PUBLISH", "x", "y"], ["RENAME", "chat:result:x", "y"],
            ] {
                let command = RedisCommand(arguments: words.map { Array($0.utf8) })
                #expect(try await refused(command), "\(words)")
            }
            let audit = RedisCommand("XADD", "chat:audit", "*", "action", "test")
            #expect(try await refused(audit) == (user != "operator"))
            #expect(try await refused(RedisCommand("SCAN", "0")) == (user != "operator"))
            #expect(try await refused(RedisCommand("EVAL", "return 1", "0")) == (user != "parley"))
        }
    }

    @Test func redisLetsNobodyInWithoutAName() async throws {
        let outcome = try await parley(
            "result", "x", settings: ["rabbitmq.url": broker.url("producer"), "redis.url": redis.url()])
        #expect(outcome.status == 1 || outcome.status == 3)
        #expect(outcome.errors.contains("NOAUTH") || outcome.errors.contains("password"), "\(outcome.errors)")
    }

    // MARK: -

    private func get(_ queue: String, _ connection: RabbitMQConnection) async throws {
        _ = try await connection.get(queue, channel: try await connection.openChannel())
    }

    private func expectRefusal(_ what: String, _ body: () async throws -> Void) async throws {
        do {
            try await body()
            Issue.record("not refused: \(what)")
        } catch let error as RabbitMQError {
            #expect(error.code == .accessRefused, "\(what): \(error)")
        }
    }

    /// A connection of this user with a channel that confirms.
    private func withUser(
        _ user: String, _ body: (RabbitMQConnection, UInt16) async throws -> Void
    ) async throws {
        let loop = try IOLoop(name: "privilege")
        defer { loop.stop() }
        let connection = try await RabbitMQConnection.open(
            try RabbitMQConfiguration(url: broker.url(user)), loop: loop, logger: Self.quiet)
        do {
            let channel = try await connection.openChannel()
            try await connection.confirmSelect(channel: channel)
            try await body(connection, channel)
        } catch {
            await connection.close()
            throw error
        }
        await connection.close()
    }

    private func withRedis(_ user: String, _ body: (RedisClient) async throws -> Void) async throws {
        let loop = try IOLoop(name: "privilege")
        defer { loop.stop() }
        let client = RedisClient(
            configuration: try RedisConfiguration(url: redis.url(user)), loop: loop, logger: Self.quiet)
        do {
            try await client.connect()
            try await body(client)
        } catch {
            await client.close()
            throw error
        }
        await client.close()
    }

    private static var quiet: Logger {
        var logger = Logger(label: "contract")
        logger.logLevel = .critical
        return logger
    }
}
