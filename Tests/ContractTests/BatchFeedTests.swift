import Glibc
import ParleyJSON
import ParleyRedis
import TestSupport
import Testing

/// `model.feed: batch`: bulk jobs go by the provider's batch interface, and none is paid for twice.
@Suite(.enabled(if: Surroundings.areComplete), .atMost(4)) struct BatchFeedTests {
    private func settings(_ server: BatchServer, _ more: [String: String] = [:]) -> [String: String] {
        ["model.url": server.url, "model.name": "m", "model.feed": "batch", "retry.base": "100ms"].merging(more) { $1 }
    }

    private func publish(_ numbers: Range<Int>, _ producer: Producer, to worker: Worker) async throws {
        for number in numbers {
            try await producer.publish(
                #"{"query":"question \#(number)"}"#, to: worker, id: "\(number).\(unique())", priority: 0)
        }
    }

    /// The replies, by the beginnings of their ids.
    private func replies(_ count: Int, to producer: Producer) async throws -> [String: Received] {
        var replies: [String: Received] = [:]
        for _ in 0..<count {
            let reply = try await producer.nextReply(within: .seconds(120))
            replies[try reply.json["id"]?.string?.split(separator: ".").first.map(String.init) ?? ""] = reply
        }
        return replies
    }

    private func expectAnswers(_ numbers: Range<Int>, _ producer: Producer, attempts: Int? = 1) async throws {
        let replies = try await replies(numbers.count, to: producer)
        for number in numbers {
            let reply = replies["\(number)"]
            #expect(
                try reply?.answer == "to question \(number)", "\(number): \(String(describing: try? reply?.errorCode))")
            if let attempts { #expect(try reply?.json["attempts"]?.int == attempts) }
        }
    }

    /// In batches, and in the broker.
    private func untilAllWait(_ count: Int, _ server: BatchServer, _ worker: Worker) async throws {
        try await waitUntil("\(count) are in batches, and none in the worker") {
            guard server.paid.count == count else { return false }
            return try await worker.metric("parley_jobs_in_flight") == 0
        }
    }

    @Test func bulkWaitsInTheBrokerAndWhoeverIsUrgentDoesNot() async throws {
        let server = try BatchServer(isHeld: true)
        let worker = try await Worker.start(
            settings(server, ["model.prices": "10, 10, 20", "model.batch_prices": "5, 5, 10"]))
        try await Producer.with { producer in
            try await publish(0..<20, producer, to: worker)
            try await untilAllWait(20, server, worker)
            try await producer.publish(#"{"query":"urgent"}"#, to: worker, id: "urgent.\(unique())", priority: 5)
            let urgent = try await producer.nextReply()
            #expect(try urgent.answer == "to urgent" && urgent.json["usage"]?["cost"]?["amount"]?.double == 0.02)
            #expect(server.chats == ["urgent"])
            server.release()
            let replies = try await replies(20, to: producer)
            for number in 0..<20 {
                let reply = replies["\(number)"]
                #expect(try reply?.answer == "to question \(number)" && reply?.json["attempts"]?.int == 1)
                #expect(try reply?.json["usage"]?["calls"]?.int == 1)
                #expect(try reply?.json["usage"]?["prompt_tokens"]?.int == 1000)
                #expect(try reply?.json["usage"]?["cost"]?["amount"]?.double == 0.01)
            }
            #expect(server.chats == ["urgent"])
            #expect(server.paid.values.allSatisfy { $0 == 1 })
            #expect(server.batches.count < 20, "what has come together goes together")
        }
        #expect(try await worker.stop() == 0)
    }

    @Test func eachQuestionOfABatchHasAFateOfItsOwn() async throws {
        let server = try BatchServer { question, count in
            switch question {
            case "evil": .fails(400, "this prompt is not allowed")
            case "ill" where count == 1: .fails(500)
            case "late" where count == 1: .expires
            case "filtered": .filters
            default: .answers
            }
        }
        let redis = try await PrivateRedis()
        let store = ["redis.url": redis.url()]
        let prices = ["model.prices": "10, 10, 20", "model.batch_prices": "5, 5, 10"]
        let worker = try await Worker.start(settings(server, store.merging(prices) { $1 }))
        try await Producer.with { producer in
            for query in ["evil", "ill", "late", "fine", "filtered"] {
                try await producer.publish(
                    #"{"query":"\#(query)"}"#, to: worker, id: "\(query).\(unique())", priority: 0)
            }
            let replies = try await replies(5, to: producer)
            #expect(try replies["filtered"]?.errorCode == "model_rejected")
            #expect(try replies["evil"]?.errorCode == "model_rejected")
            #expect(try replies["fine"]?.answer == "to fine" && replies["fine"]?.json["attempts"]?.int == 1)
            #expect(try replies["ill"]?.answer == "to ill" && replies["ill"]?.json["attempts"]?.int == 2)
            #expect(try replies["late"]?.answer == "to late" && replies["late"]?.json["attempts"]?.int == 1)
            #expect(server.paid == ["evil": 1, "fine": 1, "filtered": 1, "ill": 2, "late": 2])
            #expect(server.chats.isEmpty)
        }
        try await waitUntil("the ledger has the answer that was held back, too") {
            let row = try await parley("costs", "--json", settings: store).lines.first?["rows"]?.elements.first
            guard row?["failed_calls"]?.int == 1 else { return false }
            return row?["calls"]?.int == 4 && row?["prompt_tokens"]?.int == 4000 && row?["cost"]?.double == 0.04
        }
        #expect(try await worker.stop() == 0)
    }

    @Test func aFileThatTheProviderDoesNotTakeGoesInPieces() async throws {
        let server = try BatchServer()
        server.takes(3)
        let worker = try await Worker.start(settings(server))
        try await Producer.with { producer in
            for number in 0..<8 {
                try await producer.publish(
                    #"{"query":"question \#(number)"}"#, to: worker, id: "\(number).\(unique())", priority: 0)
            }
            let replies = try await replies(8, to: producer)
            #expect(try replies.values.allSatisfy { try $0.json["attempts"]?.int == 1 && $0.status == "succeeded" })
            #expect(server.paid.count == 8 && server.paid.values.allSatisfy { $0 == 1 } && server.chats.isEmpty)
        }
        #expect(try await worker.stop() == 0)
    }

    /// The batch is there, and the worker that made it dies before it knows.
    @Test func aBatchIsFoundAgainWhoseWorkerDiedWhileItWasCreated() async throws {
        let server = try BatchServer(silentAt: .create)
        let worker = try await Worker.start(settings(server))
        try await Producer.with { producer in
            try await publish(0..<8, producer, to: worker)
            _ = try await eventually("the batch") { server.batches.isEmpty ? nil : true }
            try await worker.stop(SIGKILL)
            server.speak()
            let other = try await Worker.start(queue: worker.queue, settings(server))
            // The start that a dead worker made counts as an attempt where its job was in work.
            try await expectAnswers(0..<8, producer, attempts: nil)
            #expect(server.paid.count == 8 && server.paid.values.allSatisfy { $0 == 1 }, "\(server.paid)")
            #expect(server.batches.allSatisfy { !$0.isCancelled })
            #expect(try await other.metric(#"parley_batches_total{event="recovered"}"#) == 1)
            #expect(try await other.stop() == 0)
        }
    }

    /// Its file is there, and nothing was created of it.
    @Test func whatWasOnlyUploadedGoesWithAnotherBatch() async throws {
        let server = try BatchServer(silentAt: .upload)
        let worker = try await Worker.start(settings(server))
        try await Producer.with { producer in
            try await publish(0..<8, producer, to: worker)
            _ = try await eventually("the file") { server.uploads > 0 ? true : nil }
            try await worker.stop(SIGKILL)
            server.speak()
            let other = try await Worker.start(queue: worker.queue, settings(server))
            try await expectAnswers(0..<8, producer, attempts: nil)
            #expect(server.paid.count == 8 && server.paid.values.allSatisfy { $0 == 1 }, "\(server.paid)")
            #expect(try await other.stop() == 0)
        }
    }

    @Test func anotherWorkerTakesTheAnswersOfADeadOnesBatches() async throws {
        let server = try BatchServer(isHeld: true)
        let worker = try await Worker.start(settings(server))
        try await Producer.with { producer in
            try await publish(0..<8, producer, to: worker)
            try await untilAllWait(8, server, worker)
            try await worker.stop(SIGKILL)
            server.release()
            let other = try await Worker.start(queue: worker.queue, settings(server))
            try await expectAnswers(0..<8, producer)
            #expect(server.paid.values.allSatisfy { $0 == 1 })
            #expect(try await other.stop() == 0)
        }
    }

    @Test func workersShareBatchesAndTheirLooks() async throws {
        let server = try BatchServer(isHeld: true)
        let worker = try await Worker.start(settings(server))
        let other = try await Worker.start(queue: worker.queue, settings(server))
        try await Producer.with { producer in
            try await publish(0..<40, producer, to: worker)
            _ = try await eventually("all in batches") { server.paid.count == 40 ? true : nil }
            let (batches, started, looks) = (server.batches.count, ContinuousClock.now, server.looks)
            // Many jobs come back meanwhile.
            _ = try await eventually("looks") { server.looks >= looks + 3 * batches ? true : nil }
            let seconds = (ContinuousClock.now - started) / .seconds(1)
            #expect(Double(server.looks - looks) <= Double(batches) * (seconds / 2 + 2), "at most one in two seconds")
            server.release()
            try await expectAnswers(0..<40, producer)
            #expect(server.paid.values.allSatisfy { $0 == 1 })
        }
        #expect(try await worker.stop() == 0)
        #expect(try await other.stop() == 0)
    }

    @Test func equalQuestionsAreAskedOnceAndAccountedForOnce() async throws {
        let server = try BatchServer(isHeld: true)
        let worker = try await Worker.start(settings(server, ["cache.ttl": "10m"]))
        try await Producer.with { producer in
            let query = "Is this \(unique()) new?"
            for _ in 0..<2 {
                try await producer.publish(#"{"query":"\#(query)"}"#, to: worker, id: unique(), priority: 0)
                _ = try await eventually("the batch") { server.paid.count == 1 ? true : nil }
            }
            try await producer.publish(#"{"query":"\#(query)"}"#, to: worker, id: unique(), priority: 0)
            _ = try await eventually("nothing in the worker") {
                try await worker.metric("parley_jobs_in_flight") == 0 ? true : nil
            }
            server.release()
            var calls = 0
            for _ in 0..<3 {
                let reply = try await producer.nextReply(within: .seconds(120))
                #expect(try reply.answer == "to \(query)")
                calls += try reply.json["usage"]?["calls"]?.int ?? 9
            }
            #expect(calls == 1)
            #expect(server.paid == [query: 1])
        }
        #expect(try await worker.stop() == 0)
    }

    @Test func aBatchThatFailsAsAWholeIsTriedAgainAtNoExpense() async throws {
        let server = try BatchServer()
        server.refuse("enqueued token limit reached")
        let worker = try await Worker.start(settings(server))
        try await Producer.with { producer in
            try await publish(0..<2, producer, to: worker)
            _ = try await eventually("a second batch") { server.batches.count >= 2 ? true : nil }
            server.refuse(nil)
            try await expectAnswers(0..<2, producer)
        }
        #expect(try await worker.stop() == 0)
    }

    @Test func whoIsRevokedOrHasNoTimeDoesNotWaitForABatch() async throws {
        let server = try BatchServer(isHeld: true)
        let worker = try await Worker.start(settings(server))
        try await Producer.with { producer in
            let id = unique()
            try await producer.publish(#"{"query":"taken back"}"#, to: worker, id: id, priority: 0)
            _ = try await eventually("the batch") { server.paid.count == 1 ? true : nil }
            #expect(try await parley("revoke", id, settings: ["queue.name": worker.queue]).status == 0)
            #expect(try await producer.nextReply(within: .seconds(120)).status == "revoked")
            try await producer.publish(
                #"{"query":"soon","deadline":"\#(rfc3339(secondsFromNow: 600))"}"#, to: worker, id: unique(),
                priority: 0)
            #expect(try await producer.nextReply().answer == "to soon")
            #expect(server.chats == ["soon"] && server.paid.count == 1)
        }
        #expect(try await worker.stop() == 0)
    }

    @Test func whatIsWarmedIsWaitedForAndGoesByItself() async throws {
        let server = try BatchServer(isHeld: true)
        let worker = try await Worker.start(settings(server, ["cache.ttl": "10m"]))
        let query = "Is this \(unique()) warm?"
        let warmed = try await parley(
            "warm", "--json", settings: settings(server, ["queue.name": worker.queue]), input: query + "\n")
        #expect(warmed.status == 0, "\(warmed.errors)")
        #expect(server.chats == [query] && server.batches.isEmpty)
        #expect(try await worker.stop() == 0)
    }

    @Test func checkTellsThatAServiceHasNoBatches() async throws {
        let fine = try BatchServer()
        #expect(try await parley("check", settings: settings(fine)).status == 0)
        let server = try await ScriptedServer { request in
            request.line.contains("/batches")
                ? (404, "") : (200, #"{"data":[{"id":"m"}]}"#)
        }
        let outcome = try await parley(
            "check", settings: ["model.url": server.url + "/v1", "model.name": "m", "model.feed": "batch"])
        #expect(outcome.status == 2 && outcome.output.contains("model.feed is batch"), "\(outcome.output)")
        let builtin = try await parley("check", settings: ["model.url": "builtin:echo", "model.feed": "batch"])
        #expect(builtin.status == 2 && builtin.errors.contains("has no batch interface"), "\(builtin.errors)")
    }
}
