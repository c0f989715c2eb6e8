import Glibc
import ParleyJSON
import ParleyRabbitMQ
import ParleyRedis
import TestSupport
import Testing

/// Section 6: `parley requeue`.
extension ContractTests {
    @Test func aRequeuedJobIsTheProducersAgainWithAFreshCount() async throws {
        try await Mortuary.with { mortuary in
            try await mortuary.bury(8)
            for _ in 1...2 {
                let requeued = try await parley("requeue", "--id", "j3", "--json", settings: mortuary.settings)
                #expect(requeued.status == 0, "\(requeued.errors)")
                let summary = try #require(try requeued.lines.first)
                #expect(
                    summary.members.map(\.name)
                        == ["matched", "requeued", "failed", "scanned", "dry_run", "interrupted", "seconds"])
                #expect(summary["matched"]?.int == 1 && summary["requeued"]?.int == 1 && summary["failed"]?.int == 0)
                #expect(!requeued.errors.contains("a secret") && requeued.errors.contains(#""action":"requeue""#))
                let job = try #require(try await mortuary.drain(mortuary.queue).first)
                #expect(try job.json["query"]?.string == "a secret")
                #expect(job.properties.priority == 3 && job.properties.messageID == "j3")
                #expect(job.properties.deliveryMode == 2 && job.properties.contentType == "application/json")
                #expect(job.properties.headers.keys.sorted() == ["x-parley-requeues", "x-shop"])
                // It dies again, as a worker would have it.
                var properties = job.properties
                properties.headers["x-parley-error-code"] = "internal"
                let message = OutgoingMessage(routingKey: mortuary.dead, properties: properties, body: job.body)
                _ = try await mortuary.producer.connection.publish(message, channel: mortuary.producer.channel)
            }
            let listed = try await parley("dead", "list", "--each", "--json", "--id", "j3", settings: mortuary.settings)
            #expect(try listed.lines.first?["requeues"]?.int == 2)
            #expect(
                try await mortuary.drain(mortuary.dead).prefix(7).map(\.properties.messageID)
                    == ["j0", "j1", "j2", "j4", "j5", "j6", "j7"])
        }
    }

    @Test func whatIsMeantGoesBackAndTheRestStaysInOrder() async throws {
        try await Mortuary.with { mortuary in
            try await mortuary.bury(3000)
            let dry = try await parley(
                "requeue", "--error", "internal", "--dry-run", "--json", settings: mortuary.settings)
            #expect(try dry.lines.first?["matched"]?.int == 750 && dry.lines.first?["requeued"]?.int == 0)
            let requeued = try await parley(
                "requeue", "--error", "internal", "--limit", "500", "--json", settings: mortuary.settings)
            #expect(try requeued.lines.first?["requeued"]?.int == 500)
            let gone = Set((0..<500).map { "j\($0 * 4 + 1)" })
            #expect(try await Set(mortuary.ids(mortuary.queue)) == gone)
            #expect(
                try await mortuary.drain(mortuary.dead).map(\.properties.messageID)
                    == (0..<3000).map { "j\($0)" }.filter { !gone.contains($0) })
        }
    }

    @Test func aWorkerAnswersWhatIsRequeued() async throws {
        let worker = try await Worker.start(["retrieval.mode": "never"])
        try await Producer.with { producer in
            let id = unique()
            let replies = producer.replies
            let message = OutgoingMessage(
                routingKey: worker.dead,
                properties: MessageProperties(
                    contentType: "application/json",
                    headers: ["x-parley-error-code": "internal", "x-parley-source-queue": .string(worker.queue)],
                    replyTo: replies, messageID: id), body: Array(#"{"query":"how are you"}"#.utf8))
            _ = try await producer.connection.publish(message, channel: producer.channel)
            let requeued = try await parley("requeue", "--all", settings: ["queue.name": worker.queue])
            #expect(requeued.status == 0 && requeued.output.hasPrefix("1 of 1 dead letters requeued"))
            #expect(try await producer.nextReply().answer == "how are you")
        }
        try await worker.stop()
    }

    @Test func aQueueThatIsNoMoreIsReplacedByTheJobQueue() async throws {
        try await Mortuary.with { mortuary in
            try await mortuary.bury(5, from: "contract.gone.\(unique())")
            let requeued = try await parley("requeue", "--all", "--json", settings: mortuary.settings)
            #expect(requeued.status == 0)
            #expect(requeued.errors.contains("contract.gone.") && requeued.errors.contains("warning"))
            #expect(try requeued.lines.first?["requeued"]?.int == 5)
            #expect(try await mortuary.ids(mortuary.queue).sorted() == (0..<5).map { "j\($0)" })
        }
    }

    @Test func aFullQueueIsAFailureAndLosesNothing() async throws {
        try await Mortuary.with { mortuary in
            let full = mortuary.queue + ".full"
            _ = try await mortuary.producer.connection.declare(
                QueueDeclaration(name: full, arguments: ["x-max-length": 3, "x-overflow": "reject-publish"]))
            try await mortuary.bury(10, from: full)
            let settings = mortuary.settings.merging(["queue.lanes": "full:1"]) { $1 }
            let requeued = try await parley("requeue", "--all", "--json", settings: settings)
            #expect(requeued.status == 1)
            let summary = try #require(try requeued.lines.first)
            let done = try #require(summary["requeued"]?.int)
            #expect(done >= 3 && done < 10 && summary["failed"]?.int == 10 - done)
            #expect(try await mortuary.ids(full).count == done)
            #expect(try await mortuary.ids(mortuary.dead).count == 10 - done)
            _ = try await mortuary.producer.connection.deleteQueue(full)
        }
    }

    @Test func theRateIsKept() async throws {
        try await Mortuary.with { mortuary in
            try await mortuary.bury(100)
            let requeued = try await parley(
                "requeue", "--all", "--rate", "50", "--json", settings: mortuary.settings)
            let seconds = try #require(try requeued.lines.first?["seconds"]?.double)
            #expect(seconds > 1.7 && seconds < 10)
            #expect(try await mortuary.count(mortuary.queue) == 100)
        }
    }

    @Test(arguments: [SIGINT, SIGKILL])
    func anInterruptedRequeueLosesNothing(_ signal: Int32) async throws {
        try await Mortuary.with { mortuary in
            try await mortuary.bury(20_000)
            let process = try ParleyProcess(
                ["requeue", "--all", "--rate", "4000", "--json"], settings: mortuary.settings)
            _ = try await eventually("the first jobs") { try await mortuary.count(mortuary.queue) > 1000 ? true : nil }
            process.signal(signal)
            let status = try await process.exitStatus()
            #expect(status == (signal == SIGINT ? 130 : 128 + SIGKILL))
            try await mortuary.untilAll(20_000)
            let (back, left) = (try await mortuary.ids(mortuary.queue), try await mortuary.ids(mortuary.dead))
            #expect(Set(back).union(left).count == 20_000, "nothing is lost")
            #expect(back.count > 1000 && left.count > 1000, "it was in the middle")
            let twice = back.count + left.count - 20_000
            if signal == SIGINT {
                #expect(twice == 0)
                let summary = try JSONDocument(Array(process.output.utf8)).root
                #expect(summary["interrupted"]?.bool == true && summary["requeued"]?.int == back.count)
            } else {
                #expect(twice <= 1024, "no more than was unconfirmed")
            }
        }
    }

    @Test func twoOperatorsShareTheWork() async throws {
        try await Mortuary.with { mortuary in
            try await mortuary.bury(10_000)
            let both = try (0..<2).map { _ in
                try ParleyProcess(["requeue", "--all", "--json"], settings: mortuary.settings)
            }
            var done = 0
            for process in both {
                #expect(try await process.exitStatus() == 0, "\(process.errors)")
                done += try JSONDocument(Array(process.output.utf8)).root["requeued"]?.int ?? 0
            }
            #expect(done == 10_000)
            let back = try await mortuary.ids(mortuary.queue)
            #expect(back.count == 10_000 && Set(back).count == 10_000)
            #expect(try await mortuary.count(mortuary.dead) == 0)
        }
    }

    @Test func eachRequeueIsInTheAuditAndAnAbsentRedisDoesNotStopIt() async throws {
        try await Mortuary.with { mortuary in
            try await mortuary.bury(4)
            _ = try await parley("requeue", "--error", "internal", settings: mortuary.settings)
            let entries = try await mortuary.producer.redis.send(
                RedisCommand("LRANGE", "chat:audit", -1000, -1))
            let own = try (entries.array ?? []).compactMap(\.bytes).map { try JSONDocument($0).root }
                .filter { $0["queue"]?.string == mortuary.queue }
            #expect(own.count == 2, "one when it began, one when it was done")
            let last = try #require(own.last)
            #expect(last["action"]?.string == "requeue" && last["state"]?.string == "done")
            #expect(last["filters"]?.string == "error=internal" && last["requeued"]?.int == 1)
            #expect(last["operator"]?.string?.contains("@") == true && last["time"]?.string?.hasSuffix("Z") == true)
            let port = try freePort()
            let without = try await parley(
                "requeue", "--all", "--json",
                settings: mortuary.settings.merging(["redis.url": "redis://127.0.0.1:\(port)/0"]) { $1 })
            #expect(without.status == 0 && without.errors.contains("no audit entry"))
            #expect(try without.lines.first?["requeued"]?.int == 3)
        }
    }
}
