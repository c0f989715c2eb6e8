import Glibc
import IOLoop
import Logging
import ParleyJSON
import ParleyRabbitMQ
import ParleyRedis
import TestSupport
import Testing
import Topology

/// The users that config/ ships: each can do its work and nothing else. A broker and a Redis of the suite's own load
/// those very files.
@Suite(
    "Least privilege",
    .enabled(if: Surroundings.areComplete && PrivateRabbitMQ.isInstalled && PrivateRedis.isAvailable),
    .serialized, .privateRabbitMQ(definitions: checkout("config/rabbitmq/definitions.json")))
struct LeastPrivilegeTests {
    let broker: PrivateRabbitMQ
    let redis: PrivateRedis

    init() async throws {
        broker = try #require(PrivateRabbitMQ.current)
        redis = try await PrivateRedis(options: ["--aclfile", checkout("config/redis/users.acl")])
    }

    func settings(_ user: String) -> [String: String] {
        [
            "rabbitmq.url": broker.url(user), "redis.url": redis.url("\(user):\(user)@"),
            // To which the producer may publish.
            "queue.exchange": "chat",
        ]
    }

    /// `body` with a worker of the shipped user on the shipped queue; the log must show that nothing was refused.
    func withWorker(
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

    @Test func checkSaysWhatAWorkerWithThisUserCouldNotDo() async throws {
        let own = try await parley("check", settings: settings("parley"))
        #expect(own.status == 0 && own.output.contains("rabbitmq       ok"), "\(own.output)")
        let other = settings("parley").merging(["rabbitmq.url": broker.url("producer")]) { $1 }
        let check = try await parley("check", settings: other)
        #expect(check.status == 2, "\(check.output)")
        #expect(check.output.contains("could not reply") && check.output.contains("ACCESS_REFUSED"), "\(check.output)")
    }

    @Test func checkSaysThatAJobQueueCouldNotBeConsumedAndTakesNoJob() async throws {
        try await broker.control("add_user", "blind", "blind")
        try await broker.control("set_permissions", "blind", ".*", ".*", "^chat\\.jobs\\.")
        try await broker.control("add_user", "all", "all")
        try await broker.control("set_permissions", "all", ".*", ".*", ".*")
        try await Producer.with(rabbitMQ: broker.url("all")) { producer in
            let message = OutgoingMessage(routingKey: "chat.jobs", body: Array("{}".utf8))
            _ = try await producer.connection.publish(message, channel: producer.channel)
            let blind = settings("parley").merging(["rabbitmq.url": broker.url("blind")]) { $1 }
            let refused = try await parley("check", settings: blind)
            #expect(refused.status == 2 && refused.output.contains("could not consume chat.jobs"), "\(refused.output)")
            let own = try await parley("check", settings: settings("parley"))
            #expect(own.status == 0 && own.output.contains("holds 1 messages"), "\(own.output)")
            let job = try await producer.connection.get("chat.jobs", noAck: true, channel: producer.channel)
            #expect(job?.redelivered == false, "check took the job and gave it back")
        }
    }

    @Test func aProducerAsksPublishesAndCollects() async throws {
        try await withWorker { _ in
            let settings = settings("producer")
            let asked = try await parley("ask", "Is anybody there?", "--json", settings: settings)
            #expect(asked.status == 0, "\(asked.errors)")
            let reply = try #require(try asked.lines.last)
            #expect(reply["answer"]?.string == "Is anybody there?")
            let id = try #require(reply["id"]?.string)
            let result = try await parley("result", id, settings: settings)
            #expect(result.status == 0 && result.errors.contains("no audit entry in chat:audit"), "\(result.errors)")

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
                        exchange: "chat", routingKey: worker.queue, properties: properties,
                        body: Array(#"{"query":"direct"}"#.utf8)),
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

    @Test func anOperatorsCommandsWork() async throws {
        let settings = settings("operator")
        try await withWorker { worker in
            let id = unique()
            try await withUser("producer") { connection, channel in
                let bad = OutgoingMessage(
                    exchange: "chat", routingKey: worker.queue, properties: MessageProperties(messageID: id),
                    body: Array("nonsense".utf8)
                )
                let outcome = try await connection.publish(bad, channel: channel)
                #expect(outcome == .confirmed)
            }
            _ = try await eventually("the dead letter") {
                try await parley("dead", "list", "--json", settings: settings).output.contains("invalid_job")
                    ? true : nil
            }
            for words in [
                ["dead", "show", id], ["requeue", "--id", id], ["revoke", unique()], ["revoke", "--undo", unique()],
                ["status", "--json"], ["delays", "show"], ["forget", "--id", unique(), "--yes"],
            ] {
                let process = try ParleyProcess(words, settings: settings)
                let status = try await process.exitStatus()
                #expect(status == 0, "\(words): \(process.errors)")
                #expect(!process.errors.contains("NOPERM") && !process.errors.contains("ACCESS_REFUSED"))
            }
            _ = try await eventually("the dead letter, once more") {
                try await parley("dead", "list", "--json", settings: settings).output.contains("invalid_job")
                    ? true : nil
            }
            let purged = try await parley("dead", "purge", "--all", "--yes", settings: settings)
            #expect(purged.status == 0, "\(purged.errors)")
        }
        try await withRedis("operator") { client in
            let audit = try await client.send(RedisCommand("LRANGE", "chat:audit", 0, -1)).array ?? []
            let actions = try audit.compactMap(\.bytes).compactMap { try JSONDocument($0).root["action"]?.string }
            #expect(Set(actions) == ["show", "requeue", "revoke", "undo revoke", "forget", "purge"])
        }
    }

    @Test func anOperatorRevokesAndForgetsWhatHeMayNotRead() async throws {
        let settings = settings("operator")
        let model = try await ModelServer { question, _ in question.contains("bad") ? .fails(400) : .answers }
        try await withWorker(["model.url": model.url, "retry.max_attempts": "1"]) { _ in
            var ids: [String] = []
            var answer = ""
            for question in ["a good one", "a bad one"] {
                let asked = try await parley("ask", question, "--json", settings: self.settings("producer"))
                let reply = try #require(try asked.lines.last)
                ids.append(try #require(reply["id"]?.string))
                answer += reply["answer"]?.string ?? ""
            }
            let revoked = try await parley("revoke", ids[0], ids[1], "--json", settings: settings)
            #expect(revoked.status == 0, "\(revoked.errors)")
            #expect(try revoked.lines.map { $0["state"]?.string } == ["answered", "revoked"])
            #expect(try revoked.lines.map { $0["status"]?.string } == ["succeeded", "failed"])

            let read = try await parley("result", ids[0], "--json", settings: settings)
            #expect(read.status != 0 && read.errors.contains("NOPERM"), "\(read.errors)")
            #expect(!answer.isEmpty && !(read.output + read.errors).contains(answer))
            let support = try await parley("result", ids[0], "--json", settings: self.settings("support"))
            #expect(support.status == 0 && support.output.contains(answer), "\(support.errors)")
            #expect(support.errors.isEmpty, "its look is in the audit, and says nothing: \(support.errors)")

            let forgotten = try await parley("forget", "--id", ids[0], "--yes", "--json", settings: settings)
            #expect(try forgotten.lines.last?["results"]?.int == 1, "\(forgotten.errors)")
            let gone = try await parley("result", ids[0], settings: self.settings("support"))
            #expect(gone.status == 1 && gone.errors.contains("no result"), "\(gone.errors)")
        }
        try await withRedis("support") { client in
            let audit = try await client.send(RedisCommand("LRANGE", "chat:audit", 0, -1)).array ?? []
            let looks = try audit.compactMap(\.bytes).map { try JSONDocument($0).root }
                .filter { $0["action"]?.string == "result" }
            #expect(looks.map { $0["shown"]?.int } == [1, 0])
        }
    }

    @Test func aWorkerCountsQuestionsAndAnOperatorForgetsThem() async throws {
        let model = try await ModelServer()
        let counting = ["model.url": model.url, "analytics.questions": "true"]
        try await withWorker(counting) { _ in
            let job = #"{"id":"\#(unique())","query":"What is counted?","user_id":"u","tenant":"t"}"#
            let published = try await parley("publish", settings: settings("producer"), input: job)
            #expect(published.status == 0, "\(published.errors)")
            _ = try await eventually("the count") {
                let forgotten = try await parley(
                    "forget", "--user", "u", "--yes", "--json", settings: settings("operator"))
                #expect(forgotten.status == 0, "\(forgotten.errors)")
                return try forgotten.lines.last?["recorded_questions"]?.int == 1 ? true : nil
            }
        }
    }

    @Test func workersShareTheirLimits() async throws {
        let model = try await ModelServer()
        try await withWorker(["model.url": model.url, "limits.requests_per_minute": "600", "limits.concurrent": "5"]) {
            _ in
            let asked = try await parley("ask", "Is there a limit?", "--json", settings: settings("producer"))
            #expect(asked.status == 0, "\(asked.errors)")
            try await withRedis("operator") { client in
                let page = try await client.send(RedisCommand("SCAN", 0, "MATCH", "chat:limit:*", "COUNT", 1000)).array
                // The bucket, its calls, and who takes from it.
                #expect(page?.last?.array?.count ?? 0 >= 2)
            }
        }
    }

    @Test func workersOpenTheirCallsInTheLedger() async throws {
        let model = try await ModelServer(delay: .seconds(600))
        try await withWorker(["model.url": model.url]) { _ in
            let job = #"{"id":"\#(unique())","query":"Is there a call?"}"#
            let published = try await parley("publish", settings: settings("producer"), input: job)
            #expect(published.status == 0, "\(published)")
            try await withRedis("operator") { client in
                func keys() async throws -> Int {
                    let page = try await client.send(RedisCommand("SCAN", 0, "MATCH", "chat:calls:*", "COUNT", 1000))
                    return page.array?.last?.array?.count ?? 0
                }
                // The worker's, and who has any.
                try await waitUntil("the call is open") { try await keys() == 2 }
                model.answer(after: .zero)
                try await waitUntil("it is closed") { try await keys() == 1 }
            }
        }
    }

    @Test func workersHearEachOthersStreams() async throws {
        let model = try await ModelServer()
        model.say(pieces: 1)
        try await broker.control("add_user", "crowd", "crowd")
        try await broker.control("set_permissions", "crowd", ".*", ".*", ".*")
        let own = ["model.url": model.url, "cache.ttl": "10m"]
        try await withWorker(own) { _ in
            try await withWorker(own) { _ in
                try await Producer.with(rabbitMQ: broker.url("crowd")) { producer in
                    try await withRedis("operator") { client in
                        // They take turns, and one of them makes the answer.
                        try await waitUntil("the other is given the beginning") {
                            let job = Array(#"{"query":"Is there a stream?","stream":true}"#.utf8)
                            let properties = MessageProperties(replyTo: producer.replies, messageID: unique())
                            let message = OutgoingMessage(routingKey: "chat.jobs", properties: properties, body: job)
                            _ = try await producer.connection.publish(message, channel: producer.channel)
                            try await Task.sleep(for: .milliseconds(200))
                            let scan = RedisCommand("SCAN", 0, "MATCH", "chat:cache:*:pieces", "COUNT", 1000)
                            return try await client.send(scan).array?.last?.array?.isEmpty == false
                        }
                    }
                    #expect(model.questions.count == 1)
                    model.say(pieces: 3)
                }
            }
        }
    }

    @Test func workersKeepBookOfTheirBatches() async throws {
        let server = try BatchServer()
        try await withWorker(["model.url": server.url, "model.name": "m", "model.feed": "batch"]) { _ in
            let job = #"{"id":"\#(unique())","query":"Is there a batch?","priority":0}"#
            #expect(try await parley("publish", settings: settings("producer"), input: job).status == 0)
            try await waitUntil("the batch is asked for") { server.looks > 0 && server.batches[0].isDone }
            try await withRedis("operator") { client in
                try await waitUntil("its result is there") {
                    let page = try await client.send(RedisCommand("SCAN", 0, "MATCH", "chat:result:*", "COUNT", 1000))
                    return page.array?.last?.array?.isEmpty == false
                }
            }
        }
    }

    @Test func aWorkerRetriesAfterADelay() async throws {
        let model = try await ModelServer { _, _ in .fails(500) }
        try await withWorker(["model.url": model.url, "retry.base": "100ms", "retry.max_attempts": "2"]) { _ in
            let asked = try await parley(
                "ask", "x", "--json", "--timeout", "25s", settings: settings("producer"))
            #expect(asked.output.contains("model_unavailable") && asked.output.contains(#""attempts":2"#), "\(asked)")
        }
    }

    // MARK: -

    /// A connection of this user with a channel that confirms.
    func withUser(
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

    func withRedis(_ user: String, _ body: (RedisClient) async throws -> Void) async throws {
        let loop = try IOLoop(name: "privilege")
        defer { loop.stop() }
        let client = RedisClient(
            configuration: try RedisConfiguration(url: redis.url("\(user):\(user)@")), loop: loop, logger: Self.quiet)
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
