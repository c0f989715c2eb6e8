import Glibc
import ParleyJSON
import ParleyRabbitMQ
import ParleyRedis
import TestSupport
import Testing

/// Sections 3 and 4: results, order, and what happens when workers end.
extension ContractTests {
    @Test func theResultIsTheReplyAndIsThereBeforeIt() async throws {
        let worker = try await Worker.start()
        try await Producer.with { producer in
            for _ in 0..<50 {
                let id = unique()
                let reply = try await producer.ask(#"{"query":"x"}"#, of: worker, id: id)
                #expect(try await producer.stored(id) == reply.body)
            }
            let id = unique()
            try await producer.publish(#"{"query":"x"}"#, to: worker, id: id, replyTo: .some(nil))
            #expect(try await producer.untilStored(id).status == "succeeded")
        }
        try await worker.stop()
    }

    @Test func livesAreSpreadEvenlyOverTheirRange() async throws {
        let worker = try await Worker.start(["results.ttl": "1h"])
        try await Producer.with { producer in
            let ids = (0..<1000).map { _ in unique() }
            for id in ids {
                try await producer.publish(#"{"query":"x"}"#, to: worker, id: id, replyTo: .some(nil))
            }
            for id in ids { _ = try await producer.untilStored(id) }
            let lives = try await producer.redis.send(ids.map { RedisCommand("PTTL", "chat:result:\($0)") })
                .map { Double(try #require($0.int)) / 3_600_000 }
            #expect(lives.allSatisfy { (0.89...1.1).contains($0) })
            // A uniform draw puts 200 into each fifth, give or take 13; 65 is five times that.
            for fifth in 0..<5 {
                let low = 0.9 + 0.04 * Double(fifth)
                let count = lives.count { $0 >= low && $0 < low + 0.04 }
                #expect((135...265).contains(count), "\(count) of 1000 from \(low)")
            }
        }
        try await worker.stop()
    }

    @Test func theSameIDIsAnsweredFromTheStoreAndTheModelIsAskedOnce() async throws {
        let model = try await ModelServer(delay: .milliseconds(100))
        let worker = try await Worker.start(["model.url": model.url])
        try await Producer.with { producer in
            let id = unique()
            // Twice at once, and again when the answer is there.
            try await producer.publish(#"{"query":"x"}"#, to: worker, id: id)
            try await producer.publish(#"{"query":"x"}"#, to: worker, id: id)
            let first = try await producer.nextReply()
            let second = try await producer.nextReply()
            let third = try await producer.ask(#"{"query":"x"}"#, of: worker, id: id)
            #expect(first.body == second.body && first.body == third.body)
            let ids = [first, second, third].map(\.properties.messageID)
            #expect(ids[0] != nil && Set(ids).count == 1)
            #expect(model.questions.count == 1)
        }
        try await worker.stop()
    }

    @Test(arguments: ["builtin", "server"]) func anIDBelongsToTheFirstJobThatHadIt(model kind: String) async throws {
        let model = try await ModelServer(delay: .milliseconds(300))
        let worker = try await Worker.start(kind == "server" ? ["model.url": model.url] : [:])
        try await Producer.with { producer in
            let id = unique()
            let body = #"{"query":"the first question","history":[{"role":"user","content":"hello"}]}"#
            let first = try await producer.ask(body, of: worker, id: id)
            #expect(try first.status == "succeeded")
            let others = [
                #"{"query":"another question"}"#, #"{"query":"the first question"}"#,
                #"{"query":"the first question","history":[{"role":"user","content":"hello"}],"tenant":"other"}"#,
            ]
            for other in others {
                let reply = try await producer.ask(other, of: worker, id: id)
                #expect(try reply.status == "failed")
                #expect(try reply.json["error"]?["code"]?.string == "id_conflict")
                #expect(!String(decoding: reply.body, as: UTF8.self).contains("the first question"))
            }
            #expect(try await producer.stored(id) == first.body, "nothing of it is changed")
            // The same job, written another way and with other metadata.
            let again = #"""
                { "history" : [{"content":"hello","role":"user"}], "metadata":{"try":2}, "options":{}, "stream":false,
                  "query" : "the first question" }
                """#
            #expect(try await producer.ask(again, of: worker, id: id).body == first.body)
            if kind == "server" { #expect(model.questions.count == 1) }
        }
        try await worker.stop()
    }

    @Test func ofTwoJobsThatTakeAnIDAtOnceOneIsAnswered() async throws {
        let model = try await ModelServer(delay: .milliseconds(200))
        let workers = try await [
            Worker.start(["model.url": model.url]), Worker.start(["model.url": model.url]),
        ]
        try await Producer.with { producer in
            for _ in 0..<20 {
                let id = unique()
                try await producer.publish(#"{"query":"mine"}"#, to: workers[0], id: id)
                try await producer.publish(#"{"query":"theirs"}"#, to: workers[1], id: id)
                let replies = [try await producer.nextReply(), try await producer.nextReply()]
                let codes = try replies.map { try $0.json["error"]?["code"]?.string }
                #expect(codes.contains(nil) && codes.contains("id_conflict"), "\(codes)")
            }
            #expect(model.questions.count == 20)
        }
        for worker in workers { try await worker.stop() }
    }

    @Test func whatHasExpiredStaysExpired() async throws {
        let worker = try await Worker.start()
        try await Producer.with { producer in
            let id = unique()
            let body = #"{"query":"x","deadline":"\#(rfc3339(secondsFromNow: -1))"}"#
            let first = try await producer.ask(body, of: worker, id: id)
            #expect(try first.status == "expired")
            let second = try await producer.ask(body, of: worker, id: id)
            #expect(second.body == first.body)
            #expect(second.properties.messageID == first.properties.messageID)
        }
        try await worker.stop()
    }

    @Test func higherPriorityGoesFirstThenTheEarlierDeadline() async throws {
        let model = try await ModelServer(delay: .seconds(30))
        let worker = try await Worker.start(["model.url": model.url, "model.max_concurrency": "1"])
        try await Producer.with { producer in
            try await producer.publish(#"{"query":"first"}"#, to: worker, id: unique())
            _ = try await eventually("the first call") { model.questions.isEmpty ? nil : true }
            for number in 0..<4 {
                try await producer.publish(#"{"query":"low \#(number)"}"#, to: worker, id: unique(), priority: 0)
                // Later ones have earlier deadlines.
                let deadline = "2099-01-0\(9 - number)T00:00:00Z"
                try await producer.publish(
                    #"{"query":"high \#(number)","deadline":"\#(deadline)"}"#, to: worker, id: unique(), priority: 9)
            }
            _ = try await eventually("all jobs in front of the model") {
                try await worker.metric("parley_model_queue") == 8 ? true : nil
            }
            model.answer(after: .milliseconds(1))
            for _ in 0..<9 { _ = try await producer.nextReply() }
            let order = model.questions.map { $0.split(separator: " ").suffix(2).joined(separator: " ") }
            #expect(
                order.dropFirst() == [
                    "high 3", "high 2", "high 1", "high 0", "low 0", "low 1", "low 2", "low 3",
                ])
        }
        try await worker.stop()
    }

    @Test func aDeadlineEndsACallThatTakesTooLong() async throws {
        let model = try await ModelServer(delay: .seconds(30))
        let worker = try await Worker.start(["model.url": model.url])
        try await Producer.with { producer in
            let deadline = rfc3339(secondsFromNow: 1)
            let reply = try await producer.ask(#"{"query":"x","deadline":"\#(deadline)"}"#, of: worker)
            #expect(try reply.status == "expired")
            _ = try await eventually("the end of the call") { model.abandoned == 1 ? true : nil }
        }
        try await worker.stop()
    }

    @Test func jobsInFlightAreFinishedOnSIGTERM() async throws {
        let model = try await ModelServer(delay: .seconds(30))
        let worker = try await Worker.start(["model.url": model.url])
        try await Producer.with { producer in
            for _ in 0..<10 { try await producer.publish(#"{"query":"x"}"#, to: worker, id: unique()) }
            _ = try await eventually("the calls") { model.questions.count == 10 ? true : nil }
            worker.process.signal(SIGTERM)
            _ = try await eventually("the drain") { worker.log.contains("draining") ? true : nil }
            model.answer(after: .zero)
            #expect(try await worker.process.exitStatus() == 0)
            for _ in 0..<10 { #expect(try await producer.nextReply().status == "succeeded") }
            #expect(try await producer.isEmpty(worker.queue))
        }
    }

    @Test func whatTheGraceDoesNotSufficeForGoesBackToTheQueue() async throws {
        let model = try await ModelServer(delay: .seconds(30))
        let settings = ["model.url": model.url, "worker.shutdown_grace": "200ms"]
        let worker = try await Worker.start(settings)
        try await Producer.with { producer in
            let ids = (0..<10).map { _ in unique() }
            for id in ids { try await producer.publish(#"{"query":"x"}"#, to: worker, id: id) }
            _ = try await eventually("the calls") { model.questions.count == 10 ? true : nil }
            #expect(try await worker.stop() == 0)
            #expect(model.abandoned == 10)
            _ = try await eventually("the jobs") { try await producer.count(worker.queue) == 10 ? true : nil }
            model.answer(after: .zero)
            let next = try await Worker.start(queue: worker.queue, settings)
            var answered: Set<String> = []
            for _ in ids { answered.insert(try await producer.nextReply().json["id"]?.string ?? "") }
            #expect(answered == Set(ids))
            try await next.stop()
        }
    }

    @Test func aKilledWorkersJobsAreAnsweredByAnother() async throws {
        let model = try await ModelServer(delay: .seconds(30))
        let worker = try await Worker.start(["model.url": model.url])
        try await Producer.with { producer in
            let ids = (0..<20).map { _ in unique() }
            for id in ids { try await producer.publish(#"{"query":"x"}"#, to: worker, id: id) }
            _ = try await eventually("the calls") { model.questions.count == 20 ? true : nil }
            let other = try await Worker.start(queue: worker.queue)
            #expect(try await worker.stop(SIGKILL) == 128 + SIGKILL)
            var answered: Set<String> = []
            for _ in ids { answered.insert(try await producer.nextReply().json["id"]?.string ?? "") }
            #expect(answered == Set(ids))
            try await other.stop()
        }
    }
}
