import ParleyRabbitMQ
import ParleyRedis
import Testing

/// What each of the shipped users must not do.
extension LeastPrivilegeTests {
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
            // The default exchange leads to any queue: others' replies, dead letters, the delays.
            for queue in ["chat.jobs", "chat.jobs.dead", "chat.replies.shop-eu"] {
                try await expectRefusal("publishes to \(queue) by the default exchange") {
                    let channel = try await connection.openChannel()
                    try await connection.confirmSelect(channel: channel)
                    _ = try await connection.publish(OutgoingMessage(routingKey: queue, body: [1]), channel: channel)
                }
            }
            try await expectRefusal("declares an exchange") {
                try await connection.declareExchange("elsewhere", type: "fanout")
            }
        }
    }

    @Test func aTenantsUserHasItsOwnReplyQueuesAndNoOthers() async throws {
        try await withUser("shop-eu") { connection, _ in
            _ = try await connection.declare(QueueDeclaration(name: "chat.replies.shop-eu.1", durable: false))
            for queue in ["chat.replies", "chat.replies.shop-us", "chat.replies.shop-us.1", "chat.jobs"] {
                try await expectRefusal("declares \(queue)") {
                    _ = try await connection.declare(QueueDeclaration(name: queue, durable: false))
                }
                try await expectRefusal("reads \(queue)") { try await self.get(queue, connection) }
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
}
