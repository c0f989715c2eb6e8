import Glibc
import ParleyJSON
import ParleyRabbitMQ
import TestSupport
import Testing

/// An outage of a service is no failure of any job.
extension ContractTests {
    @Test func whileTheModelIsAwayNoAttemptIsSpentAndReadinessNamesIt() async throws {
        let port = try freePort()
        let worker = try await Worker.start([
            "model.url": "http://127.0.0.1:\(port)/v1", "retry.base": "100ms", "retry.max_attempts": "2",
        ])
        try await Producer.with { producer in
            // Some fail before it is clear that it is not they: they keep an attempt.
            for number in 0..<40 {
                try await producer.publish(#"{"query":"\#(number)"}"#, to: worker, id: "\(unique())")
            }
            _ = try await eventually("unreadiness") {
                let ready = try await worker.get("/readyz")
                return ready.status == 503 && ready.body.contains("\"model\":") ? true : nil
            }
            let model = try await ModelServer(port: port)
            var statuses: [String: Int] = [:]
            for _ in 0..<40 {
                let reply = try await producer.nextReply(within: .seconds(60))
                statuses[try reply.status ?? "none", default: 0] += 1
            }
            #expect(statuses == ["succeeded": 40])
            #expect(model.questions.count == 40)
            #expect(try await producer.isEmpty(worker.dead))
            try await worker.untilReady()
        }
        try await worker.stop()
        let changes = worker.log.split(separator: "\n").filter { $0.contains("no more jobs are taken") }
        #expect(changes.count == 1, "an outage is one line, not one for each job")
    }

    @Test func aFullReplyQueueHoldsUpNobodyElse() async throws {
        let worker = try await Worker.start()
        try await Producer.with { producer in
            let full = "contract.full.\(unique())"
            _ = try await producer.connection.declare(
                QueueDeclaration(
                    name: full, durable: false, exclusive: true,
                    arguments: ["x-max-length": 1, "x-overflow": "reject-publish"]), channel: producer.channel)
            for number in 0..<2 {
                try await producer.publish(#"{"query":"\#(number)"}"#, to: worker, id: unique(), replyTo: full)
            }
            _ = try await eventually("the first reply") { try await producer.count(full) == 1 ? true : nil }
            for number in 0..<20 {
                #expect(try await producer.ask(#"{"query":"\#(number)"}"#, of: worker).answer == "\(number)")
            }
            // What waits comes as soon as there is room.
            let first = try await producer.next(from: full)
            let second = try await producer.next(from: full)
            #expect(try Set([first.answer, second.answer]) == ["0", "1"])
        }
        try await worker.stop()
    }

    @Test func aModelThatAnswersNothingOfUseIsNotAskedWithoutEnd() async throws {
        let model = try await ModelServer { _, _ in .fails(500) }
        let worker = try await Worker.start(["model.url": model.url, "retry.base": "10ms", "retry.max_attempts": "3"])
        try await Producer.with { producer in
            for number in 0..<20 { try await producer.publish(#"{"query":"\#(number)"}"#, to: worker, id: unique()) }
            _ = try await eventually("a pause") {
                try await worker.get("/readyz").body.contains("answered 500") ? true : nil
            }
            // It ends all the same: a service that answers may be right.
            for _ in 0..<20 {
                let reply = try await producer.nextReply(within: .seconds(60))
                #expect(try reply.errorCode == "model_unavailable")
                #expect(try reply.json["attempts"]?.int == 3)
            }
            #expect(model.questions.count == 60)
        }
        try await worker.stop()
    }

    @Test func theHigherPriorityGoesFirstWhenTheModelIsBusy() async throws {
        let model = try await ModelServer(delay: .milliseconds(100))
        let worker = try await Worker.start(["model.url": model.url, "model.max_concurrency": "1"])
        try await Producer.with { producer in
            for number in 0..<20 {
                try await producer.publish(#"{"query":"bulk \#(number)"}"#, to: worker, id: unique(), priority: 0)
            }
            _ = try await eventually("work") { model.questions.count >= 2 ? true : nil }
            try await producer.publish(#"{"query":"urgent"}"#, to: worker, id: unique(), priority: 9)
            let before = model.questions.count
            _ = try await eventually("all answers") { model.questions.count == 21 ? true : nil }
            let place = try #require(model.questions.firstIndex { $0.contains("urgent") })
            #expect(place <= before + 3)
        }
        try await worker.stop()
    }

    @Test func whoHasWaitedLongEnoughIsNotPassedOverAnyMore() async throws {
        let model = try await ModelServer(delay: .milliseconds(50))
        let worker = try await Worker.start([
            "model.url": model.url, "model.max_concurrency": "1", "priority.max_wait": "300ms",
        ])
        try await Producer.with { producer in
            try await producer.publish(#"{"query":"first"}"#, to: worker, id: unique(), priority: 9)
            try await producer.publish(#"{"query":"bulk"}"#, to: worker, id: unique(), priority: 0)
            // More urgent jobs than there is time for, for as long as it takes.
            for _ in 0..<60 {
                try await producer.publish(#"{"query":"urgent"}"#, to: worker, id: unique(), priority: 9)
            }
            _ = try await eventually("all answers") { model.questions.count == 62 ? true : nil }
            let place = try #require(model.questions.firstIndex { $0.contains("bulk") })
            // Where publishing is slow, it has waited long enough before the second urgent job is there.
            #expect(place < 40, "the bulk job came as number \(place + 1) of 62")
        }
        try await worker.stop()
    }

    @Test func aLaneIsConsumedAndItsJobsComeBackToIt() async throws {
        let model = try await ModelServer { question, count in
            question.contains("fail") ? .fails(400) : count == 1 && question.contains("again") ? .fails(500) : .answers
        }
        let worker = try await Worker.start([
            "model.url": model.url, "queue.lanes": "high:8, bulk:1", "retry.base": "100ms",
        ])
        try await Producer.with { producer in
            let bulk = Worker(queue: worker.queue + ".bulk", process: worker.process)
            #expect(try await producer.ask(#"{"query":"again"}"#, of: bulk).json["attempts"]?.int == 2)
            _ = try await producer.ask(#"{"query":"fail"}"#, of: bulk)
            let dead = try await producer.next(from: worker.dead)
            #expect(dead.header("x-parley-source-queue") == bulk.queue)
        }
        try await worker.stop()
    }
}
