import ParleyJSON
import TestSupport
import Testing

/// Section 4: what a worker does with jobs that are revoked.
extension ContractTests {
    private func revoke(_ id: String) async throws {
        let revoked = try await parley("revoke", id, "--json")
        #expect(try revoked.lines.first?["state"]?.string == "revoked", "\(revoked.errors)")
    }

    /// The answer to a revoked job: told, stored, and no dead letter.
    private func expectRevoked(
        _ reply: Received, _ id: String, _ producer: Producer, _ worker: Worker,
        _ location: SourceLocation = #_sourceLocation
    ) async throws {
        #expect(try reply.json["id"]?.string == id, sourceLocation: location)
        #expect(try reply.status == "revoked", sourceLocation: location)
        #expect(try reply.errorCode == "revoked", sourceLocation: location)
        #expect(try reply.answer == nil, sourceLocation: location)
        #expect(try await producer.stored(id) == reply.body, sourceLocation: location)
        #expect(try await producer.isEmpty(worker.dead), sourceLocation: location)
        _ = try await eventually("an empty queue") { try await producer.isEmpty(worker.queue) ? true : nil }
    }

    @Test func aJobThatIsRevokedWhileTheModelIsAskedIsAborted() async throws {
        let model = try await ModelServer(delay: .seconds(60))
        let worker = try await Worker.start(["model.url": model.url])
        try await Producer.with { producer in
            let (id, other) = (unique(), unique())
            try await producer.publish(#"{"query":"revoked"}"#, to: worker, id: id)
            try await producer.publish(#"{"query":"kept"}"#, to: worker, id: other)
            _ = try await eventually("both calls") { model.questions.count == 2 ? true : nil }
            let started = ContinuousClock.now
            try await revoke(id)
            _ = try await eventually("an aborted call") { model.abandoned == 1 ? true : nil }
            try await expectRevoked(producer.nextReply(), id, producer, worker)
            #expect(ContinuousClock.now - started < .seconds(5))
            // The other one is not disturbed.
            model.answer(after: .zero)
            let kept = try await producer.nextReply()
            #expect(try kept.json["id"]?.string == other && kept.status == "succeeded")
            #expect(model.abandoned == 1 && model.questions.count == 2)
        }
        #expect(try await worker.stop() == 0)
    }

    @Test func aJobThatIsRevokedWhileItIsQueuedIsNeverBegun() async throws {
        let model = try await ModelServer()
        let worker = try await Worker.start(["model.url": model.url])
        #expect(try await worker.stop() == 0)
        try await Producer.with { producer in
            let id = unique()
            try await producer.publish(#"{"query":"x"}"#, to: worker, id: id)
            try await revoke(id)
            let other = try await Worker.start(queue: worker.queue, ["model.url": model.url])
            try await expectRevoked(producer.nextReply(), id, producer, worker)
            // Published again, it is told the same.
            let again = try await producer.ask(#"{"query":"x"}"#, of: worker, id: id)
            #expect(try again.status == "revoked")
            #expect(model.questions.isEmpty)
            #expect(try await other.stop() == 0)
        }
    }

    @Test func aJobThatIsRevokedWhileItWaitsForTheModelIsNotAsked() async throws {
        let model = try await ModelServer(delay: .seconds(60))
        let worker = try await Worker.start(["model.url": model.url, "model.max_concurrency": "1"])
        try await Producer.with { producer in
            let (first, second) = (unique(), unique())
            try await producer.publish(#"{"query":"first"}"#, to: worker, id: first)
            _ = try await eventually("the first call") { model.questions.count == 1 ? true : nil }
            try await producer.publish(#"{"query":"second"}"#, to: worker, id: second)
            _ = try await eventually("one that waits") {
                try await worker.metric("parley_model_queue") == 1 ? true : nil
            }
            try await revoke(second)
            try await expectRevoked(producer.nextReply(), second, producer, worker)
            #expect(model.abandoned == 0)
            model.answer(after: .zero)
            #expect(try await producer.nextReply().status == "succeeded")
            // The place it waited for is free for others.
            #expect(try await producer.ask(#"{"query":"third"}"#, of: worker).status == "succeeded")
            #expect(model.questions.count == 2 && !model.questions.contains { $0.contains("second") })
        }
        #expect(try await worker.stop() == 0)
    }

    @Test func aStreamThatIsRevokedInTheMiddleEndsAsRevoked() async throws {
        let model = try await ModelServer()
        let worker = try await Worker.start(["model.url": model.url])
        try await Producer.with { producer in
            let id = unique()
            model.answer(after: .seconds(1))
            try await producer.publish(#"{"query":"x","stream":true}"#, to: worker, id: id)
            let chunk = try await producer.nextReply()
            #expect(chunk.properties.type == "chat.chunk")
            #expect(try chunk.json["delta"]?.string == "one ")
            model.answer(after: .seconds(60))
            try await revoke(id)
            var reply = try await producer.nextReply()
            // What had come before the abort may still be told.
            while reply.properties.type == "chat.chunk" { reply = try await producer.nextReply() }
            try await expectRevoked(reply, id, producer, worker)
            _ = try await eventually("an aborted call") { model.abandoned == 1 ? true : nil }
            #expect(try await producer.isEmpty(producer.replies), "nothing comes after the reply")
        }
        #expect(try await worker.stop() == 0)
    }

    @Test func aFinishedJobStaysAnswered() async throws {
        let model = try await ModelServer()
        let worker = try await Worker.start(["model.url": model.url])
        try await Producer.with { producer in
            let id = unique()
            let reply = try await producer.ask(#"{"query":"x"}"#, of: worker, id: id)
            let revoked = try await parley("revoke", id, "--json")
            #expect(try revoked.lines.first?["state"]?.string == "answered")
            // Asked again, it is given the answer again.
            let again = try await producer.ask(#"{"query":"x"}"#, of: worker, id: id)
            #expect(try again.status == "succeeded" && again.answer == reply.answer)
            #expect(try await producer.stored(id) == reply.body)
            #expect(model.questions.count == 1)
        }
        #expect(try await worker.stop() == 0)
    }
}
