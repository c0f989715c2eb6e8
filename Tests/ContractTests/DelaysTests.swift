import ParleyJSON
import ParleyRabbitMQ
import ParleyRedis
import TestSupport
import Testing

/// Section 6: `parley delays`.
extension ContractTests {
    @Test func theDelayQueuesAreShownAndRemovedUnlessJobsWaitInThem() async throws {
        let worker = try await Worker.start()
        let settings = ["queue.name": worker.queue]
        try await Producer.with { producer in
            let due = rfc3339(secondsFromNow: 3600)
            for number in 0..<3 {
                let body = #"{"query":"\#(number)","not_before":"\#(due)"}"#
                try await producer.publish(body, to: worker, id: unique())
            }
            let shown = try await eventually("three jobs that wait") {
                let shown = try await parley("delays", "show", "--json", settings: settings)
                return try shown.lines.first?["total"]?.int == 3 ? shown : nil
            }
            let depth = try #require(try shown.lines.first)
            #expect(depth.members.map(\.name) == ["name", "exists", "total", "levels"])
            #expect(depth["name"]?.string == worker.queue + ".delay" && depth["exists"]?.bool == true)
            let levels = depth["levels"]?.elements ?? []
            #expect(levels.count == 28 && levels.first?["wait_ms"]?.int == 125)
            // A little less than an hour begins on the level of 2048 s, 125 ms × 2 ^ 14.
            #expect(levels[14]["messages"]?.int == 3 && levels[14]["wait_ms"]?.int == 2_048_000)
            #expect(levels[14]["queue"]?.string == worker.queue + ".delay.14" && levels[13]["messages"]?.int == 0)
            let text = try await parley("delays", "show", settings: settings)
            #expect(text.output.contains("3  \(worker.queue).delay.14, 34.13 min\n3 jobs wait"))
            #expect(try await worker.stop() == 0)

            let unasked = try await parley("delays", "remove", "--force", settings: settings)
            #expect(unasked.status == 2 && unasked.errors.contains("--yes"))
            let refused = try await parley("delays", "remove", "--yes", settings: settings)
            #expect(refused.status == 1 && refused.errors.contains("3 jobs wait") && refused.output.isEmpty)
            #expect(try await parley("delays", "show", "--json", settings: settings).output == shown.output)

            let removed = try await parley("delays", "remove", "--force", "--yes", "--json", settings: settings)
            #expect(removed.status == 0)
            #expect(try removed.lines.first?["lost"]?.int == 3)
            #expect(removed.errors.contains(#""action":"remove delays""#))
            let entries = try await producer.redis.send(
                RedisCommand("LRANGE", "chat:audit", -1000, -1))
            let own = try (entries.array ?? []).compactMap(\.bytes).map { try JSONDocument($0).root }
                .filter { $0["queue"]?.string == worker.queue && $0["action"]?.string == "remove delays" }
            #expect(own.count == 2 && own.last?["lost"]?.int == 3)
            let gone = try await parley("delays", "show", "--json", settings: settings)
            #expect(try gone.lines.first?["exists"]?.bool == false && gone.lines.first?["total"]?.int == 0)
        }
    }

    @Test func jobsThatWaitAreShownOneByOneAndRemovedOneByOne() async throws {
        let worker = try await Worker.start()
        let settings = ["queue.name": worker.queue]
        try await Producer.with { producer in
            let due = rfc3339(secondsFromNow: 3600)
            let ids = (0..<3).map { _ in unique() }
            for id in ids {
                try await producer.publish(#"{"query":"x","not_before":"\#(due)"}"#, to: worker, id: id)
            }
            let shown = try await eventually("three jobs that wait") {
                let shown = try await parley("delays", "show", "--each", "--json", settings: settings)
                return shown.output.split(separator: "\n").count == 3 ? shown : nil
            }
            #expect(try Set(shown.lines.compactMap { $0["id"]?.string }) == Set(ids), "\(shown)")
            for line in try shown.lines {
                #expect(line["due"]?.string?.prefix(15) == due.prefix(15), "\(shown)")
                #expect(line["queue"]?.string == worker.queue)
            }
            let text = try await parley("delays", "show", "--each", settings: settings)
            #expect(text.output.contains(ids[0]) && text.output.contains("3 jobs wait"), "\(text)")
            let removed = try await parley("delays", "remove", "--id", ids[1], "--yes", settings: settings)
            #expect(removed.status == 0 && removed.output.hasPrefix("1 jobs removed"), "\(removed)")
            let again = try await parley("delays", "remove", "--id", ids[1], "--yes", settings: settings)
            #expect(again.status == 1 && again.errors.contains("nothing was removed"), "\(again)")
            let left = try await parley("delays", "show", "--each", "--json", settings: settings)
            #expect(try Set(left.lines.compactMap { $0["id"]?.string }) == [ids[0], ids[2]])
            _ = try await parley("delays", "remove", "--force", "--yes", settings: settings)
        }
        try await worker.stop()
    }

    @Test func aRevocationCanBeTakenBack() async throws {
        let worker = try await Worker.start()
        try await Producer.with { producer in
            let id = unique()
            #expect(try await parley("revoke", id).status == 0)
            let undone = try await parley("revoke", "--undo", id, unique(), "--json")
            #expect(undone.status == 0)
            #expect(try undone.lines.compactMap { $0["state"]?.string } == ["restored", "not revoked"], "\(undone)")
            #expect(try await producer.ask(#"{"query":"x"}"#, of: worker, id: id).answer == "x")
        }
        try await worker.stop()
    }

    @Test func emptyDelayQueuesAreRemovedAndAWorkerBringsThemBack() async throws {
        let worker = try await Worker.start()
        let settings = ["queue.name": worker.queue]
        try await worker.stop()
        for _ in 0..<2 {
            let removed = try await parley("delays", "remove", "--yes", settings: settings)
            #expect(removed.status == 0 && removed.output.contains("nothing was removed"), "\(removed.errors)")
        }
        #expect(try await parley("delays", "show", settings: settings).output.hasPrefix("there are no delay queues"))
        let other = try await Worker.start(queue: worker.queue)
        try await Producer.with { producer in
            let body = #"{"query":"x","not_before":"\#(rfc3339(secondsFromNow: 1))"}"#
            let reply = try await producer.ask(body, of: other)
            #expect(try reply.status == "succeeded")
        }
        let shown = try await parley("delays", "show", settings: settings)
        #expect(shown.output == "0 jobs wait in the delay queues of \(worker.queue)\n")
        try await other.stop()
    }
}
