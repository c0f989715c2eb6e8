import ParleyJSON
import TestSupport
import Testing

/// Sections 5 and 6: jobs that died, were requeued, and are worked on again.
extension ContractTests {
    @Test func aRequeuedJobIsWorkedOnAgainAndItsSuccessReplacesTheFailure() async throws {
        let model = try await ModelServer { _, count in count == 1 ? .fails(400) : .answers }
        let worker = try await Worker.start(["model.url": model.url])
        try await Producer.with { producer in
            let id = unique()
            let failed = try await producer.ask(#"{"query":"x"}"#, of: worker, id: id)
            #expect(try failed.errorCode == "model_rejected")
            #expect(try await producer.stored(id) == failed.body)
            _ = try await eventually("a dead letter") { try await producer.count(worker.dead) == 1 ? true : nil }
            // Merely published again, it is told its failure again.
            #expect(try await producer.ask(#"{"query":"x"}"#, of: worker, id: id).body == failed.body)
            #expect(model.questions.count == 1)

            let requeued = try await parley("requeue", "--id", id, settings: ["queue.name": worker.queue])
            #expect(requeued.status == 0, "\(requeued.errors)")
            let reply = try await producer.nextReply()
            #expect(try reply.json["id"]?.string == id)
            #expect(try reply.status == "succeeded")
            #expect(try reply.json["attempts"]?.int == 1, "the count begins anew")
            #expect(model.questions.count == 2)
            #expect(try await producer.stored(id) == reply.body)
            #expect(try await producer.isEmpty(worker.dead))
            // From now on it is answered with the success.
            #expect(try await producer.ask(#"{"query":"x"}"#, of: worker, id: id).body == reply.body)
        }
        #expect(try await worker.stop() == 0)
    }

    @Test func aJobThatDiesAgainSaysHowOftenItWasRequeued() async throws {
        let model = try await ModelServer { _, _ in .fails(500) }
        let worker = try await Worker.start(["model.url": model.url, "retry.base": "1ms", "retry.max_attempts": "2"])
        try await Producer.with { producer in
            let id = unique()
            _ = try await producer.ask(#"{"query":"x"}"#, of: worker, id: id)
            for round in 1...2 {
                _ = try await eventually("a dead letter") { try await producer.count(worker.dead) == 1 ? true : nil }
                let requeued = try await parley("requeue", "--all", settings: ["queue.name": worker.queue])
                #expect(requeued.status == 0, "\(requeued.errors)")
                #expect(try await producer.nextReply().json["attempts"]?.int == 2)
                #expect(model.questions.count == 2 + round * 2)
            }
            _ = try await eventually("a dead letter") { try await producer.count(worker.dead) == 1 ? true : nil }
            let listed = try await parley(
                "dead", "list", "--each", "--json", settings: ["queue.name": worker.queue])
            #expect(try listed.lines.first?["requeues"]?.int == 2)
            let dead = try await producer.next(from: worker.dead)
            #expect(dead.properties.headers["x-parley-requeues"]?.int == 2)
            #expect(dead.properties.headers["x-parley-attempts"]?.int == 2)
            #expect(dead.header("x-parley-error-code") == "model_unavailable")
            #expect(dead.properties.messageID == id)
        }
        #expect(try await worker.stop() == 0)
    }
}
