import Glibc
import ParleyJSON
import ParleyRabbitMQ
import TestSupport
import Testing

/// Section 4 and 5: what becomes of jobs whose model fails.
extension ContractTests {
    @Test func aJobWhoseModelFailsIsTriedAgainAndKeepsWhatItsProducerSent() async throws {
        let model = try await ModelServer { _, count in count < 3 ? .fails(500) : .answers }
        let worker = try await Worker.start(["model.url": model.url, "retry.base": "200ms"])
        try await Producer.with { producer in
            let properties = MessageProperties(
                contentType: "application/json", headers: ["x-mine": "kept", "traceparent": .string(traceparent)],
                priority: 7, correlationID: "order-1", replyTo: producer.replies, messageID: unique())
            try await producer.publish(Array(#"{"query":"x"}"#.utf8), to: worker, properties)
            let reply = try await producer.nextReply()
            #expect(try reply.status == "succeeded")
            #expect(try reply.json["attempts"]?.int == 3)
            #expect(reply.properties.correlationID == "order-1")
            #expect(reply.properties.priority == 7)
            #expect(reply.header("traceparent")?.contains(traceparent.split(separator: "-")[1]) == true)
            #expect(model.questions.count == 3)
        }
        try await worker.stop()
    }

    @Test func aJobThatFailsForGoodIsAnsweredAndDeadLetteredWithItsAttempts() async throws {
        let model = try await ModelServer { _, _ in .garbage }
        let worker = try await Worker.start(["model.url": model.url, "retry.base": "100ms", "retry.max_attempts": "3"])
        try await Producer.with { producer in
            let id = unique()
            let reply = try await producer.ask(#"{"query":"x","metadata":{"a":1}}"#, of: worker, id: id)
            #expect(try reply.errorCode == "model_unavailable")
            #expect(try reply.json["attempts"]?.int == 3)
            let dead = try await producer.next(from: worker.dead)
            #expect(dead.header("x-parley-error-code") == "model_unavailable")
            #expect(dead.properties.headers["x-parley-attempts"]?.int == 3)
            #expect(dead.header("x-parley-source-queue") == worker.queue)
            #expect(dead.properties.headers["x-parley-retries"] == nil)
            #expect(dead.properties.headers["x-death"] == nil)
            #expect(String(decoding: dead.body, as: UTF8.self) == #"{"query":"x","metadata":{"a":1}}"#)
            #expect(model.questions.count == 3)
            // Asked again, the failure is given again.
            let again = try await producer.ask(#"{"query":"x","metadata":{"a":1}}"#, of: worker, id: id)
            #expect(again.body == reply.body)
            #expect(model.questions.count == 3)
        }
        try await worker.stop()
    }

    @Test func aRefusedPromptIsNotTriedAgain() async throws {
        let model = try await ModelServer { _, _ in .fails(400) }
        let worker = try await Worker.start(["model.url": model.url])
        try await Producer.with { producer in
            let reply = try await producer.ask(#"{"query":"x"}"#, of: worker)
            #expect(try reply.errorCode == "model_rejected")
            #expect(try reply.json["attempts"]?.int == 1)
            #expect(model.questions.count == 1)
        }
        try await worker.stop()
    }

    @Test func aServicesRetryAfterIsTheLeast() async throws {
        let model = try await ModelServer { _, count in count == 1 ? .fails(503, retryAfter: 2) : .answers }
        let worker = try await Worker.start(["model.url": model.url, "retry.base": "1ms"])
        try await Producer.with { producer in
            let started = ContinuousClock.now
            let reply = try await producer.ask(#"{"query":"x"}"#, of: worker)
            #expect(try reply.status == "succeeded")
            #expect(ContinuousClock.now - started >= .seconds(2))
            #expect(try reply.json["attempts"]?.int == 1, "503 says nothing of this job")
        }
        try await worker.stop()
    }

    @Test func beingAskedToSlowDownCostsNoAttempt() async throws {
        let model = try await ModelServer { _, count in count <= 3 ? .fails(429, retryAfter: 1) : .answers }
        let worker = try await Worker.start(["model.url": model.url, "retry.base": "10ms", "retry.max_attempts": "2"])
        try await Producer.with { producer in
            let reply = try await producer.ask(#"{"query":"x"}"#, of: worker)
            #expect(try reply.status == "succeeded")
            #expect(try reply.json["attempts"]?.int == 1)
            #expect(model.questions.count == 4)
        }
        try await worker.stop()
    }

    @Test func whatWaitsForItsNextAttemptWaitsInTheBroker() async throws {
        let model = try await ModelServer { _, count in count == 1 ? .fails(500, retryAfter: 3) : .answers }
        let settings = ["model.url": model.url]
        let worker = try await Worker.start(settings)
        try await Producer.with { producer in
            try await producer.publish(#"{"query":"x"}"#, to: worker, id: unique())
            _ = try await eventually("the first attempt") { model.questions.isEmpty ? nil : true }
            _ = try await eventually("an idle worker") {
                try await worker.metric("parley_jobs_in_flight") == 0 ? true : nil
            }
            // A worker that holds nothing leaves at once, and another answers.
            let started = ContinuousClock.now
            #expect(try await worker.stop() == 0)
            #expect(ContinuousClock.now - started < .seconds(2.5))
            let other = try await Worker.start(queue: worker.queue, settings)
            let reply = try await producer.nextReply()
            #expect(try reply.json["attempts"]?.int == 2)
            try await other.stop()
        }
    }

    @Test func aStreamThatBreaksOffBeginsAgainUnderTheNextAttempt() async throws {
        let model = try await ModelServer { _, count in count == 1 ? .breaksOff : .answers }
        let worker = try await Worker.start(["model.url": model.url, "retry.base": "100ms"])
        try await Producer.with { producer in
            try await producer.publish(#"{"query":"x","stream":true}"#, to: worker, id: unique())
            var deltas: [Int: [String]] = [:]
            while true {
                let message = try await producer.nextReply()
                guard message.properties.type == "chat.chunk" else {
                    #expect(try message.json["attempts"]?.int == 2)
                    break
                }
                let attempt = try message.json["attempt"]?.int ?? 1
                #expect(try message.json["seq"]?.int == deltas[attempt, default: []].count)
                deltas[attempt, default: []].append(try message.json["delta"]?.string ?? "")
            }
            #expect(deltas[1]?.joined() == "one ")
            #expect(deltas[2]?.joined() == "one two three")
        }
        try await worker.stop()
    }

    @Test func aJobIsNotBegunBeforeItsTime() async throws {
        let worker = try await Worker.start()
        try await Producer.with { producer in
            let due = rfc3339(secondsFromNow: 2)
            let started = ContinuousClock.now
            try await producer.publish(#"{"query":"later","not_before":"\#(due)"}"#, to: worker, id: unique())
            // Others are not held up by it.
            let now = try await producer.ask(#"{"query":"now"}"#, of: worker)
            #expect(try now.answer == "now")
            let later = try await producer.nextReply()
            #expect(try later.answer == "later")
            #expect(ContinuousClock.now - started >= .seconds(1.99))
        }
        try await worker.stop()
    }

    private var traceparent: String { "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" }
}
