import ParleyJSON
import ParleyRabbitMQ
import ParleyRedis
import TestSupport
import Testing

/// Section 6: `parley status`.
extension ContractTests {
    @Test func statusShowsQueuesServersAndWorkers() async throws {
        try await Mortuary.with { mortuary in
            try await mortuary.bury(3)
            let presence = """
                {"host":"here","pid":7,"version":"0.1.0","state":"paused","away":["model"],
                "in_flight":4,"jobs":100,"rate":2.5,"later":{"x":[1]}}
                """
            let key = "chat:worker:\(unique())"
            _ = try await mortuary.producer.redis.send(RedisCommand("SET", key, presence, "PX", 60_000))
            let settings = mortuary.settings.merging(["queue.lanes": "bulk:1"]) { $1 }
            let json = try await parley("status", "--json", settings: settings)
            #expect(json.status == 0 && json.output.split(separator: "\n").count == 1)
            let root = try #require(try json.lines.first)
            #expect(root.members.map(\.name) == ["queues", "services", "workers", "totals"])
            let queues = root["queues"]?.elements ?? []
            #expect(queues.map { $0["kind"]?.string } == ["jobs", "jobs", "delay", "dead"])
            #expect(queues.map { $0["messages"]?.int } == [0, nil, nil, 3])
            #expect(queues.first?["name"]?.string == mortuary.queue)
            #expect(root["services"]?.elements.compactMap { $0["reachable"]?.bool } == [true, true])
            let worker = root["workers"]?.elements.first { $0["pid"]?.int == 7 && $0["host"]?.string == "here" }
            #expect(worker?["away"]?.elements.first?.string == "model")
            #expect(worker?["later"]?["x"]?.elements.first?.int == 1)
            #expect(root["totals"]?["dead"]?.int == 3 && root["totals"]?["in_flight"]?.int ?? 0 >= 4)
            let text = try await parley("status", settings: settings)
            #expect(text.status == 0)
            for part in ["here:7", "paused", "model", "missing", mortuary.dead, "3 dead"] {
                #expect(text.output.contains(part), "\(part)")
            }
            _ = try await mortuary.producer.redis.send(RedisCommand("DEL", key))
        }
    }

    @Test func statusShowsTheQueuesWhenRedisIsAway() async throws {
        try await Mortuary.with { mortuary in
            try await mortuary.bury(2)
            let address = "redis://127.0.0.1:\(try freePort())/0"
            let settings = mortuary.settings.merging(["redis.url": address]) { $1 }
            let text = try await parley("status", settings: settings)
            #expect(text.status == 3 && text.output.contains("2 dead") && text.output.contains("away"))
            let json = try await parley("status", "--json", settings: settings)
            #expect(json.status == 3)
            #expect(try json.lines.first?["totals"]?["dead"]?.int == 2)
        }
    }

    @Test func whatAKilledWorkerHeldIsNotCountedTwice() async throws {
        try await Mortuary.with { mortuary in
            // Under a prefix of its own: other tests' workers are none of its business.
            let prefix = unique()
            let key = "\(prefix):worker:one"
            let settings = mortuary.settings.merging(["redis.prefix": prefix]) { $1 }
            let presence = """
                {"host":"gone","pid":9,"queue":"\(mortuary.queue)","state":"working","in_flight":4,"rate":2.5}
                """
            // Its sign of life has two seconds left of five: again, should the command have come too late.
            let root = try await eventually("the silent worker") {
                _ = try await mortuary.producer.redis.send(RedisCommand("SET", key, presence, "PX", 2000))
                let root = try await parley("status", "--json", settings: settings).lines.first
                return root?["workers"]?.elements.contains { $0["host"]?.string == "gone" } == true ? root : nil
            }
            let worker = try #require(root["workers"]?.elements.first { $0["host"]?.string == "gone" })
            #expect(worker["state"]?.string == "silent" && worker["in_flight"]?.int == 4)
            for (name, count) in [("workers", 0), ("in_flight", 0), ("rate", 0)] {
                #expect(root["totals"]?[name]?.int == count, "\(name)")
            }
            _ = try await mortuary.producer.redis.send(RedisCommand("DEL", key))
        }
    }

    @Test(.enabled(if: PrivateRedis.isAvailable))
    func afterRedisWasAwayAWorkerIsOneConsumerAgain() async throws {
        let redis = try await PrivateRedis()
        let model = try await ModelServer(delay: .seconds(600))
        let worker = try await Worker.start([
            "redis.url": redis.url(), "model.url": model.url, "model.max_concurrency": "64", "worker.prefetch": "64",
        ])
        try await Producer.with { producer in
            func consumers() async throws -> Int {
                let queue = QueueDeclaration(name: worker.queue)
                return Int(try await producer.connection.declare(queue, passive: true).consumers)
            }
            for _ in 0..<4 { try await producer.publish(#"{"query":"x"}"#, to: worker, id: unique()) }
            _ = try await eventually("four questions") { model.questions.count == 4 ? true : nil }
            try await redis.stop()
            // With four jobs in work, which count against what a new consumer gets. A fifth finds out that Redis is away.
            try await producer.publish(#"{"query":"z"}"#, to: worker, id: unique())
            _ = try await eventually("no consumer") { try await consumers() == 0 ? true : nil }
            try await redis.start()
            try await worker.untilReady()
            model.answer(after: .zero)
            for _ in 0..<5 { #expect(try await producer.nextReply().status == "succeeded") }
            #expect(try await producer.ask(#"{"query":"y"}"#, of: worker).status == "succeeded")
            _ = try await eventually("one consumer") { try await consumers() == 1 ? true : nil }
        }
        #expect(try await worker.stop() == 0)
    }

    @Test func watchedStatusComesAgainAndAgain() async throws {
        let process = try ParleyProcess(["status", "--watch", "--every", "100ms", "--json"])
        _ = try await eventually("three looks") { process.output.split(separator: "\n").count >= 3 ? true : nil }
        process.signal(2)
        #expect(try await process.exitStatus() == 130)
    }
}
