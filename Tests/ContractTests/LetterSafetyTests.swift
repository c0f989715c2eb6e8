import ParleyJSON
import ParleyRabbitMQ
import ParleyRedis
import TestSupport
import Testing

/// Looking at letters loses none, and sending them back sends nothing where it does not belong.
extension ContractTests {
    /// A quorum queue for dead letters that drops what came back more often than `limit` times.
    private func withFragileLetters(
        limit: Int64, count: Int, _ body: (Producer, [String: String], String) async throws -> Void
    ) async throws {
        try await Producer.with { producer in
            let queue = "contract.fragile.\(unique())"
            let dead = queue + ".dead"
            let quorum: FieldTable = ["x-queue-type": "quorum", "x-delivery-limit": .int(limit)]
            _ = try await producer.connection.declare(QueueDeclaration(name: dead, arguments: quorum))
            for number in 0..<count {
                let message = OutgoingMessage(
                    routingKey: dead,
                    properties: MessageProperties(
                        headers: ["x-parley-error-code": "internal", "x-mine": .int(Int64(number))],
                        messageID: "j\(number)"),
                    body: Array(#"{"query":"q\#(number)"}"#.utf8))
                _ = try await producer.connection.publish(message, channel: producer.channel)
            }
            try await body(producer, ["queue.name": queue], dead)
            _ = try? await producer.connection.deleteQueue(dead)
        }
    }

    @Test(arguments: [1, 3])
    func lookingUsesUpNoDeliveryLimit(limit: Int64) async throws {
        try await withFragileLetters(limit: limit, count: 5) { producer, settings, dead in
            let looks = [
                ["dead", "list"], ["dead", "list", "--each", "--limit", "1"], ["dead", "show", "j3"],
                ["requeue", "--all", "--dry-run"], ["dead", "purge", "--id", "none", "--yes"],
                ["dead", "list", "--error", "internal"], ["dead", "list", "--each"], ["dead", "list"],
            ]
            for look in looks {
                let process = try ParleyProcess(look, settings: settings)
                #expect(try await process.exitStatus() == 0, "\(look): \(process.output) \(process.errors)")
                #expect(try await producer.count(dead) == 5, "after \(look)")
            }
            let listed = try await parley("dead", "list", "--each", "--json", settings: settings)
            #expect(try Set(listed.lines.compactMap { $0["id"]?.string }) == ["j0", "j1", "j2", "j3", "j4"])
            let shown = try await parley("dead", "show", "j3", "--json", settings: settings)
            #expect(try shown.lines.first?["headers"]?["x-mine"]?.int == 3)
            #expect(try shown.lines.first?["body"]?["query"]?.string == "q3")
        }
    }

    @Test func jobsGoToJobQueuesOnlyWhateverALetterSays() async throws {
        try await Mortuary.with { mortuary in
            let victim = "contract.victim.\(unique())"
            _ = try await mortuary.producer.connection.declare(QueueDeclaration(name: victim))
            try await mortuary.bury(4, from: victim)
            let requeued = try await parley("requeue", "--all", "--json", settings: mortuary.settings)
            #expect(requeued.status == 0 && requeued.errors.contains(victim), "\(requeued)")
            #expect(try await mortuary.count(victim) == 0)
            #expect(try await mortuary.count(mortuary.queue) == 4)
            _ = try? await mortuary.producer.connection.deleteQueue(victim)
        }
    }

    @Test func aLetterThatNoWorkerSignedIsNotSentBack() async throws {
        let key = "0123456789abcdef0123"
        let worker = try await Worker.start(["secrets.letter_key": key])
        let settings = ["queue.name": worker.queue, "secrets.letter_key": key]
        try await Producer.with { producer in
            let id = unique()
            let refused = try await producer.ask(#"{"query":7}"#, of: worker, id: id)
            #expect(try refused.errorCode == "invalid_job")
            let forged = OutgoingMessage(
                routingKey: worker.dead,
                properties: MessageProperties(
                    headers: [
                        "x-parley-error-code": "invalid_job", "x-parley-source-queue": .string(worker.queue),
                        "x-parley-signature": .string(String(repeating: "0", count: 64)),
                    ], messageID: "forged"), body: Array(#"{"query":"x"}"#.utf8))
            _ = try await producer.connection.publish(forged, channel: producer.channel)
            _ = try await eventually("two letters") { try await producer.count(worker.dead) == 2 ? true : nil }
            #expect(try await worker.stop() == 0)
            let dry = try await parley("requeue", "--all", "--dry-run", "--json", settings: settings)
            let run = try await parley("requeue", "--all", "--json", settings: settings)
            #expect(dry.status == 1 && run.status == 1 && run.errors.contains("secrets.letter_key"), "\(dry) \(run)")
            for member in ["matched", "failed", "scanned"] {
                #expect(try dry.lines.first?[member]?.int == run.lines.first?[member]?.int, "\(dry) \(run)")
            }
            #expect(try run.lines.first?["requeued"]?.int == 1 && run.lines.first?["failed"]?.int == 1)
            #expect(try await producer.count(worker.queue) == 1)
            #expect(try await producer.count(worker.dead) == 1)
            let all = try await parley("requeue", "--all", "--unsigned", "--json", settings: settings)
            #expect(all.status == 0)
            #expect(try await producer.count(worker.dead) == 0)
        }
    }

    @Test func aLetterWithoutAnIdIsShownAndPurgedByItsDigest() async throws {
        try await Mortuary.with { mortuary in
            for text in ["nonsense", "more nonsense"] {
                let message = OutgoingMessage(routingKey: mortuary.dead, body: Array(text.utf8))
                _ = try await mortuary.producer.connection.publish(message, channel: mortuary.producer.channel)
            }
            let listed = try await parley("dead", "list", "--each", settings: mortuary.settings)
            let digest = try #require(listed.output.split(separator: "digest ").dropFirst().first?.prefix(12))
            let shown = try await parley("dead", "show", "--digest", String(digest), settings: mortuary.settings)
            #expect(shown.status == 0 && shown.output.contains("\nnonsense\n"), "\(shown)")
            let purged = try await parley(
                "dead", "purge", "--digest", String(digest), "--yes", settings: mortuary.settings)
            #expect(purged.status == 0 && purged.output.hasPrefix("1 dead letters purged"), "\(purged)")
            #expect(
                try await mortuary.drain(mortuary.dead).map { String(decoding: $0.body, as: UTF8.self) } == [
                    "more nonsense"
                ])
            let wrong = try await parley("dead", "show", "--digest", "xyz", settings: mortuary.settings)
            #expect(wrong.status == 2 && wrong.errors.contains("--digest xyz"))
        }
    }

    @Test func whoFindsNothingBecauseAnotherHoldsTheLettersIsTold() async throws {
        try await Mortuary.with { mortuary in
            try await mortuary.bury(8)
            let (connection, channel) = (
                mortuary.producer.connection, try await mortuary.producer.connection.openChannel()
            )
            _ = try await connection.consume(mortuary.dead, channel: channel) { _ in }
            _ = try await eventually("all are held") { try await mortuary.count(mortuary.dead) == 0 ? true : nil }
            for flags in [[], ["--each"]] {
                let process = try ParleyProcess(
                    ["dead", "list", "--error", "worker_lost"] + flags, settings: mortuary.settings)
                #expect(try await process.exitStatus() == 0)
                #expect(process.errors.contains("another command is looking"), "\(process.errors)")
                #expect(!process.output.contains("no dead letters"), "\(process.output)")
            }
            try await connection.closeChannel(channel)
        }
    }

    @Test func everyMetricHasItsSentenceAndTheBrokerIsOne() async throws {
        let worker = try await Worker.start()
        try await Producer.with { producer in _ = try await producer.ask(#"{"query":"x"}"#, of: worker) }
        let lines = try await eventually("the services") {
            let lines = try await worker.get("/metrics").body.split(separator: "\n")
            return lines.contains("parley_service_away{service=\"rabbitmq\"} 0") ? lines : nil
        }
        for line in lines where line.hasPrefix("# TYPE ") {
            let name = line.split(separator: " ")[2]
            #expect(lines.contains { $0.hasPrefix("# HELP \(name) ") }, "\(name)")
        }
        for service in ["redis", "model", "vectors", "embeddings"] {
            #expect(lines.contains("parley_service_away{service=\"\(service)\"} 0"), "\(service)")
        }
        try await worker.stop()
    }

    @Test func whatIsNotKnownIsNotZero() async throws {
        try await Mortuary.with { mortuary in
            let redis = mortuary.settings.merging(["redis.url": "redis://127.0.0.1:\(try freePort())/0"]) { $1 }
            let away = try await parley("status", "--json", settings: redis)
            let root = try #require(try away.lines.first)
            #expect(away.status == 3 && root["workers"]?.isNull == true)
            for member in ["workers", "in_flight", "rate"] {
                #expect(root["totals"]?[member]?.isNull == true, "\(member)")
            }
            #expect(root["services"]?.elements.compactMap { $0["state"]?.string } == ["ok", "away"])
            let text = try await parley("status", settings: redis)
            #expect(text.output.contains("workers unknown") && !text.output.contains("0 workers"), "\(text)")
            let broker = try #require(Surroundings.rabbitMQ).replacing("guest:guest@", with: "guest:wrong@")
            let refused = try await parley(
                "status", settings: mortuary.settings.merging(["rabbitmq.url": broker]) { $1 })
            #expect(refused.status == 2 && refused.output.contains("rabbitmq  not allowed"), "\(refused)")
            let json = try await parley(
                "status", "--json", settings: mortuary.settings.merging(["rabbitmq.url": broker]) { $1 })
            #expect(try json.lines.first?["totals"]?["dead"]?.isNull == true)
        }
    }
}
