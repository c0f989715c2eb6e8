import ParleyRabbitMQ
import ParleyRedis
import TestSupport
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

    /// A queue of its own may hand replies on to the jobs, since a tenant publishes there: they become no jobs of anybody's.
    @Test(arguments: ["open", "authenticated"])
    func repliesThatATenantSendsOnToTheJobsGoNoFurther(mode: String) async throws {
        try await withWorker(["tenants.mode": mode]) { _ in
            try await withUser("shop-eu") { connection, _ in
                let queue = "chat.replies.shop-eu.\(unique())"
                let arguments: FieldTable = [
                    "x-dead-letter-exchange": "chat", "x-dead-letter-routing-key": "chat.jobs", "x-message-ttl": 1,
                ]
                _ = try await connection.declare(QueueDeclaration(name: queue, durable: false, arguments: arguments))
                let channel = try await connection.openChannel()
                try await connection.confirmSelect(channel: channel)
                let properties = MessageProperties(replyTo: queue, messageID: unique(), userID: "shop-eu")
                let job = OutgoingMessage(
                    exchange: "chat", routingKey: "chat.jobs", properties: properties,
                    body: Array(#"{"query":"a b c","stream":true,"metadata":{"query":"again"}}"#.utf8))
                #expect(try await connection.publish(job, channel: channel) == .confirmed)
                // At least a chunk and the reply. None is answered, so no more come of them.
                let dead = QueueDeclaration(name: "chat.jobs.dead")
                _ = try await eventually("letters") {
                    try await connection.declare(dead, passive: true).messages >= 2 ? true : nil
                }
                _ = try await connection.deleteQueue(queue)
            }
            let list = try await parley("dead", "list", "--json", settings: self.settings("operator"))
            let groups = try list.lines
            #expect(groups.count == 1 && groups.first?["code"]?.string == "invalid_job", "\(list)")
            #expect(list.output.contains("this is a reply of Parley's"), "\(list)")
            try await withUser("parley") { connection, _ in _ = try await connection.purge("chat.jobs.dead") }
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

    /// What each may read with `GET`, and write with `SET`, of one key of each kind.
    private static let rights: [String: (read: Set<String>, write: Set<String>)] = [
        "parley": (
            [
                "result:x", "result:shop-eu:x", "result:shop-us:x", "claim:x", "cache:x", "revoked:x", "worker:x",
                "revocations",
            ],
            ["result:x", "result:shop-eu:x", "result:shop-us:x", "claim:x", "cache:x", "revoked:x", "worker:x"]
        ),
        "producer": (["result:x", "result:shop-eu:x", "result:shop-us:x"], []),
        "shop-eu": (["result:shop-eu:x"], []),
        "shop-us": (["result:shop-us:x"], []),
        "operator": (["worker:x", "claim:x"], ["revoked:x"]),
        "support": (["result:x", "result:shop-eu:x", "result:shop-us:x"], []),
    ]

    @Test(arguments: ["parley", "producer", "shop-eu", "shop-us", "operator", "support"])
    func redisGivesEachItsKeysAndNothingElse(_ user: String) async throws {
        try await withRedis(user) { client in
            func set(_ key: String) -> RedisCommand { RedisCommand("SET", key, "x", "PX", 1000) }
            let (readable, writable) = try #require(Self.rights[user])
            for name in try #require(Self.rights["parley"]).read.union(["audit", "audit:x", "other"]) {
                #expect(
                    try await isRefused(RedisCommand("GET", "chat:\(name)"), client) == !readable.contains(name),
                    "\(name)")
                #expect(try await isRefused(set("chat:\(name)"), client) == !writable.contains(name), "\(name)")
                #expect(try await isRefused(RedisCommand("GET", "else:\(name)"), client), "\(name)")
            }
            for words in [
                ["KEYS", "*"], ["FLUSHALL"], ["FLUSHDB"], ["CONFIG", "GET", "*"], ["ACL", "LIST"], ["SHUTDOWN"],
                ["CLIENT", "LIST"], ["CLIENT", "KILL", "ID", "1"], ["SCRIPT", "FLUSH"],

                ["REPLICAOF", "NO", "ONE"], ["SAVE"], ["PUBLISH", "x", "y"], ["RENAME", "chat:result:x", "y"],
                ["FUNCTION", "LIST"], ["RANDOMKEY"], ["WAIT", "0", "1"],
                ["MIGRATE", "h", "1", "k", "0", "1"],
            ] {
                let command = RedisCommand(arguments: words.map { Array($0.utf8) })
                #expect(try await isRefused(command, client), "\(words)")
            }
            #expect(try await isRefused(RedisCommand("SCAN", "0"), client) == (user != "operator"))
            #expect(try await isRefused(RedisCommand("EVAL", "return 1", "0"), client) == (user != "parley"))
        }
    }

    @Test(arguments: ["producer", "shop-eu", "shop-us", "operator", "support"])
    func theAuditIsAddedToAndReadAndNothingElse(_ user: String) async throws {
        let mayAdd = ["operator", "support"].contains(user)
        try await withRedis("operator") { client in
            _ = try await client.send(RedisCommand("RPUSH", "chat:audit", #"{"action":"the first"}"#)).get()
        }
        try await withRedis(user) { client in
            let length = mayAdd ? try await client.send(RedisCommand("LLEN", "chat:audit")).get().int : nil
            for words in [
                ["LTRIM", "chat:audit", "1", "0"], ["LPOP", "chat:audit"], ["RPOP", "chat:audit"],
                ["LSET", "chat:audit", "0", "x"], ["LREM", "chat:audit", "0", "x"], ["LPUSH", "chat:audit", "x"],
                ["LINSERT", "chat:audit", "BEFORE", "x", "y"], ["LMPOP", "1", "chat:audit", "LEFT"],
                ["LMOVE", "chat:audit", "chat:audit", "LEFT", "LEFT"], ["RPOPLPUSH", "chat:audit", "chat:revoked:x"],
                ["BLPOP", "chat:audit", "1"], ["DEL", "chat:audit"], ["UNLINK", "chat:audit"],
                ["SET", "chat:audit", "x"], ["GETDEL", "chat:audit"], ["GETSET", "chat:audit", "x"],
                ["APPEND", "chat:audit", "x"],
                ["EXPIRE", "chat:audit", "0"], ["PEXPIRE", "chat:audit", "0"], ["EXPIREAT", "chat:audit", "1"],
                ["RENAME", "chat:audit", "chat:revoked:x"], ["COPY", "chat:revoked:x", "chat:audit", "REPLACE"],
                ["RESTORE", "chat:audit", "0", "x", "REPLACE"], ["MOVE", "chat:audit", "1"],
                ["SORT", "chat:x", "STORE", "chat:audit"],
                ["XADD", "chat:audit", "MAXLEN", "0", "*", "a", "b"], ["XTRIM", "chat:audit", "MAXLEN", "0"],
                ["INCR", "chat:audit"],
                ["EVAL", "redis.call('DEL', KEYS[1])", "1", "chat:audit"], ["DEL", "chat:revoked:x", "chat:audit"],
                ["SWAPDB", "0", "1"],
            ] {
                let command = RedisCommand(arguments: words.map { Array($0.utf8) })
                #expect(try await isRefused(command, client), "\(words)")
            }
            #expect(try await isRefused(RedisCommand("RPUSH", "chat:audit", "{}"), client) == !mayAdd)
            #expect(try await isRefused(RedisCommand("LRANGE", "chat:audit", 0, 1), client) == !mayAdd)
            #expect(try await isRefused(RedisCommand("RPUSH", "chat:audit:other", "{}"), client))
            guard let length else { return }
            let all = try await client.send(RedisCommand("LRANGE", "chat:audit", 0, -1)).get().array ?? []
            #expect(all.count == length + 1 && all.first?.string == #"{"action":"the first"}"#)
        }
    }

    /// An operator may see that there is an answer, and delete it.
    @Test func anOperatorFindsNoWayToAnAnswer() async throws {
        let key = "chat:result:\(unique())"
        try await withRedis("parley") { client in
            _ = try await client.send(RedisCommand("SET", key, "a secret", "PX", 60_000)).get()
        }
        try await withRedis("operator") { client in
            for words in [
                ["GET", key], ["MGET", key], ["GETRANGE", key, "0", "-1"], ["SUBSTR", key, "0", "-1"], ["GETEX", key],
                ["GETDEL", key], ["GETSET", key, "x"], ["SET", key, "x", "GET"], ["DUMP", key], ["LCS", key, key],
                ["COPY", key, "chat:revoked:x"], ["RENAME", key, "chat:revoked:x"],
                ["SORT", key, "BY", "nosort", "GET", key],
                ["SORT_RO", "chat:audit", "BY", "nosort", "GET", "chat:result:*"], ["OBJECT", "ENCODING", key],
                ["BITFIELD_RO", key, "GET", "u8", "0"], ["GETBIT", key, "0"], ["APPEND", key, ""],
                ["SETRANGE", key, "0", ""],
                ["EVAL", "return redis.call('GET', KEYS[1])", "1", key], ["FCALL", "f", "1", key],
                ["LRANGE", key, "0", "-1"],
                ["BITOP", "NOT", "chat:revoked:x", key], ["SET", "chat:revoked:x", "y", "GET"], ["PFCOUNT", key],
                ["XADD", key, "*", "a", "b"],
            ] {
                let answer = try await client.send(RedisCommand(arguments: words.map { Array($0.utf8) }))
                guard case .error(let text) = answer else {
                    Issue.record("\(words): \(answer)")
                    continue
                }
                #expect(text.hasPrefix("NOPERM"), "\(words): \(text)")
            }
            #expect(try await client.send(RedisCommand("EXISTS", key)).int == 1)
            #expect(try await client.send(RedisCommand("DEL", key)).int == 1)
        }
    }

    private func isRefused(_ command: RedisCommand, _ client: RedisClient) async throws -> Bool {
        guard case .error(let text) = try await client.send(command) else { return false }
        return text.hasPrefix("NOPERM")
    }

    @Test func redisLetsNobodyInWithoutAName() async throws {
        let outcome = try await parley(
            "result", "x", settings: ["rabbitmq.url": broker.url("producer"), "redis.url": redis.url()])
        #expect(outcome.status == 2 && outcome.errors.contains("redis.url"))
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
