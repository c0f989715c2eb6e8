import ParleyJSON
import ParleyRabbitMQ
import TestSupport
import Testing

/// Sections 1 and 2: jobs and replies.
extension ContractTests {
    @Test func aReplyHasTheContractsMembersAndProperties() async throws {
        let worker = try await Worker.start()
        try await Producer.with { producer in
            let id = unique()
            let reply = try await producer.ask(#"{"query":"hello","agent":"aftersale"}"#, of: worker, id: id)
            #expect(reply.properties.type == "chat.reply")
            #expect(reply.properties.contentType == "application/json")
            #expect(reply.properties.correlationID == id)
            #expect(
                try reply.members == [
                    "id", "status", "answer", "sources", "model", "cited", "usage", "finish_reason", "cached", "agent",
                    "attempts",
                    "timings_ms", "metadata",
                ])
            let json = try reply.json
            #expect(json["id"]?.string == id)
            #expect(json["status"]?.string == "succeeded")
            #expect(json["answer"]?.string == "hello")
            #expect(json["sources"]?.kind == .array)
            #expect(json["model"]?.string == "builtin:echo")
            #expect(json["cached"]?.string == "none")
            #expect(json["agent"]?.string == "aftersale")
            #expect(json["attempts"]?.int == 1)
            #expect(json["metadata"]?.kind == .object)
            #expect(json["usage"]?["prompt_tokens"]?.int ?? 0 > 0)
            #expect(json["usage"]?["completion_tokens"]?.int ?? 0 > 0)
            for stage in ["queued", "retrieve", "generate", "total"] {
                #expect(json["timings_ms"]?[stage]?.double ?? -1 >= 0, "\(stage)")
            }
        }
        try await worker.stop()
    }

    @Test func theCorrelationIDAndTheTraceComeBack() async throws {
        let worker = try await Worker.start()
        try await Producer.with { producer in
            let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
            let sent = "00-\(trace)-00f067aa0ba902b7-01"
            try await producer.publish(
                Array(#"{"query":"x"}"#.utf8), to: worker,
                MessageProperties(
                    headers: ["traceparent": .string(sent)], correlationID: "mine", replyTo: producer.replies,
                    messageID: unique()))
            let reply = try await producer.nextReply()
            #expect(reply.properties.correlationID == "mine")
            let parts = try #require(reply.header("traceparent")).split(separator: "-")
            #expect(parts.count == 4 && parts[1] == trace && parts[2] != "00f067aa0ba902b7" && parts[3] == "01")
        }
        try await worker.stop()
    }

    @Test func theBodysIDServesWhenThePropertyIsAbsent() async throws {
        let worker = try await Worker.start()
        try await Producer.with { producer in
            let id = unique()
            let reply = try await producer.ask(#"{"query":"x","id":"\#(id)"}"#, of: worker, id: nil)
            #expect(try reply.json["id"]?.string == id)
            #expect(reply.properties.correlationID == id)
            let agreed = try await producer.ask(#"{"query":"x","id":"\#(id).2"}"#, of: worker, id: id + ".2")
            #expect(try agreed.status == "succeeded")
        }
        try await worker.stop()
    }

    @Test func metadataComesBackByteForByte() async throws {
        let worker = try await Worker.start()
        try await Producer.with { producer in
            let metadata =
                #"{"z": 1.50,  "a":[ 1,2 ],"\u00fc":"\u4e2d","中":"文", "big":123456789012345678901234567890,"e":1E+2}"#
            let reply = try await producer.ask(#"{"query":"x","metadata":\#(metadata)}"#, of: worker)
            #expect(try reply.json["metadata"].map { Array($0.raw) } == Array(metadata.utf8))
        }
        try await worker.stop()
    }

    @Test func limitsAreReachedAndNotCrossed() async throws {
        let worker = try await Worker.start()
        try await Producer.with { producer in
            func body(_ size: Int) -> String {
                let rest = #"{"query":"x","more":""}"#
                return #"{"query":"x","more":"\#(String(repeating: "a", count: size - rest.utf8.count))"}"#
            }
            func query(_ size: Int) -> String { #"{"query":"\#(String(repeating: "q", count: size))"}"# }
            func metadata(_ size: Int) -> String {
                #"{"query":"x","metadata":{"a":"\#(String(repeating: "m", count: size - 8))"}}"#
            }
            for (name, make, limit) in [
                ("body", body, 1 << 20), ("query", query, 32 << 10), ("metadata", metadata, 16 << 10),
            ] {
                let most = try await producer.ask(make(limit), of: worker)
                #expect(try most.status == "succeeded", "\(name)")
                let more = try await producer.ask(make(limit + 1), of: worker)
                #expect(try more.errorCode == "too_large", "\(name)")
            }
        }
        try await worker.stop()
    }

    @Test func aGzippedBodyIsRead() async throws {
        let worker = try await Worker.start()
        try await Producer.with { producer in
            try await producer.publish(
                gzipped(Array(#"{"query":"压缩"}"#.utf8)), to: worker,
                MessageProperties(contentEncoding: "gzip", replyTo: producer.replies, messageID: unique()))
            #expect(try await producer.nextReply().answer == "压缩")
        }
        try await worker.stop()
    }

    @Test(arguments: ["application/json", "Application/JSON", "application/json; charset=utf-8", nil])
    func jsonContentTypesAreTaken(_ type: String?) async throws {
        let worker = try await Worker.start()
        try await Producer.with { producer in
            try await producer.publish(
                Array(#"{"query":"x"}"#.utf8), to: worker,
                MessageProperties(
                    contentType: type, contentEncoding: "utf-8", replyTo: producer.replies, messageID: unique()))
            #expect(try await producer.nextReply().status == "succeeded")
        }
        try await worker.stop()
    }

    @Test func directRepliesReachTheChannelThatAsked() async throws {
        let worker = try await Worker.start()
        try await Producer.with { producer in
            let (arrived, continuation) = AsyncStream.makeStream(of: Received.self)
            let limit = Task {
                try await Task.sleep(for: .seconds(20))
                continuation.finish()
            }
            defer { limit.cancel() }
            try await producer.connection.consume("amq.rabbitmq.reply-to", channel: producer.channel, noAck: true) {
                if case .delivery(let delivery) = $0 { continuation.yield(Received(delivery)) }
            }
            try await producer.publish(
                #"{"query":"direct"}"#, to: worker, id: unique(), replyTo: "amq.rabbitmq.reply-to")
            var replies = arrived.makeAsyncIterator()
            #expect(try await replies.next()?.answer == "direct")
        }
        try await worker.stop()
    }

    @Test func aReplyThatNobodyTakesIsStoredAndCounted() async throws {
        let worker = try await Worker.start()
        try await Producer.with { producer in
            let id = unique()
            try await producer.publish(#"{"query":"x"}"#, to: worker, id: id, replyTo: "nobody.\(id)")
            #expect(try await producer.untilStored(id).status == "succeeded")
            _ = try await eventually("the counter") {
                try await worker.metric("parley_replies_unroutable_total") == 1 ? true : nil
            }
            _ = try await eventually("the end of the job") {
                try await worker.metric("parley_jobs_in_flight") == 0 ? true : nil
            }
            #expect(try await producer.isEmpty(worker.queue))
            #expect(try await producer.isEmpty(worker.dead))
        }
        try await worker.stop()
    }

    @Test func aStreamedAnswerComesInChunksAndThenWhole() async throws {
        let model = try await ModelServer(delay: .milliseconds(60))
        let worker = try await Worker.start(["model.url": model.url])
        try await Producer.with { producer in
            let id = unique()
            try await producer.publish(#"{"query":"count","stream":true}"#, to: worker, id: id)
            var deltas = ""
            var seq = 0
            while true {
                let message = try await producer.nextReply()
                let json = try message.json
                #expect(message.properties.correlationID == id)
                guard message.properties.type == "chat.chunk" else {
                    #expect(message.properties.type == "chat.reply")
                    #expect(json["answer"]?.string == "one two three")
                    #expect(json["usage"]?["completion_tokens"]?.int == 3)
                    break
                }
                #expect(try message.members == ["id", "seq", "delta"])
                #expect(json["id"]?.string == id)
                #expect(json["seq"]?.int == seq)
                deltas += json["delta"]?.string ?? ""
                seq += 1
            }
            #expect(deltas == "one two three")
            #expect(seq > 1)
            #expect(try await producer.isEmpty(producer.replies))
        }
        try await worker.stop()
    }

    @Test func aDeadlineThatHasPassedIsAnsweredAsExpired() async throws {
        let worker = try await Worker.start()
        try await Producer.with { producer in
            let reply = try await producer.ask(#"{"query":"x","deadline":"2020-01-01T00:00:00Z"}"#, of: worker)
            #expect(try reply.status == "expired")
            #expect(try reply.errorCode == "expired")
            #expect(try reply.json["error"]?["retryable"]?.bool == false)
            for member in ["answer", "sources", "usage", "model"] {
                #expect(try reply.json[member] == nil, "\(member)")
            }
            #expect(try await producer.isEmpty(worker.dead))
        }
        try await worker.stop()
    }

    @Test func withoutAnIndexRetrievalIsLeftOutUnlessItIsAskedFor() async throws {
        let worker = try await Worker.start(["retrieval.mode": "auto"])
        try await Producer.with { producer in
            #expect(try await producer.ask(#"{"query":"x"}"#, of: worker).status == "succeeded")
            let reply = try await producer.ask(#"{"query":"x","options":{"retrieve":"always"}}"#, of: worker)
            #expect(try reply.errorCode == "retrieval_failed")
        }
        try await worker.stop()
    }
}
