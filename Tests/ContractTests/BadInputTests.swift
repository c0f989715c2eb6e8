import ParleyJSON
import ParleyRabbitMQ
import TestSupport
import Testing

/// Sections 4 and 5: what is no job is answered with the reason and kept as a dead letter, and the worker goes on.
extension ContractTests {
    private struct Bad {
        let name: String
        let body: [UInt8]
        let code: String
        var properties = MessageProperties()

        init(_ name: String, _ body: String, _ code: String = "invalid_job") { self.init(name, Array(body.utf8), code) }

        init(_ name: String, _ body: [UInt8], _ code: String = "invalid_job", _ properties: MessageProperties = .init())
        {
            self.name = name
            self.body = body
            self.code = code
            self.properties = properties
        }
    }

    private static func badMessages() throws -> [Bad] {
        let deep = String(repeating: "[", count: 10_000) + String(repeating: "]", count: 10_000)
        let fine = Array(#"{"query":"x"}"#.utf8)
        let bomb = try gzipped(
            Array(#"{"query":""#.utf8) + [UInt8](repeating: 97, count: 20_000_000) + Array("\"}".utf8))
        return [
            Bad("not JSON", "hello"), Bad("empty", ""), Bad("an array", "[]"),
            Bad("more after it", #"{"query":"x"} y"#),
            Bad("no query", "{}"), Bad("an empty query", #"{"query":""}"#), Bad("a number for query", #"{"query":1}"#),
            Bad("stream", #"{"query":"x","stream":"yes"}"#), Bad("history", #"{"query":"x","history":{}}"#),
            Bad("role", #"{"query":"x","history":[{"role":"king","content":"x"}]}"#),
            Bad("options", #"{"query":"x","options":[1]}"#), Bad("metadata", #"{"query":"x","metadata":"text"}"#),
            Bad("retrieve", #"{"query":"x","options":{"retrieve":"maybe"}}"#),
            Bad("cache", #"{"query":"x","options":{"cache":"maybe"}}"#),
            Bad("a long field", #"{"query":"x","user_id":"\#(String(repeating: "u", count: 5000))"}"#, "too_large"),
            Bad("2 MB", #"{"query":"x","more":"\#(String(repeating: "m", count: 2_000_000))"}"#, "too_large"),
            Bad("invalid UTF-8", Array(#"{"query":""#.utf8) + [0xFF, 0xFE] + Array("\"}".utf8)),
            Bad("NUL bytes", [UInt8](repeating: 0, count: 64)), Bad("an escaped NUL", #"{"query":"a\u0000b"}"#),
            Bad("deep nesting", #"{"query":"x","more":\#(deep)}"#),
            Bad("a huge number", #"{"query":"x","options":{"temperature":1e999}}"#),
            Bad("not a number", #"{"query":"x","options":{"temperature":NaN}}"#),
            Bad("a huge integer", #"{"query":"x","options":{"seed":99999999999999999999}}"#),
            Bad("below the range", #"{"query":"x","options":{"top_k":0}}"#),
            Bad("a nonsense date", #"{"query":"x","deadline":"tomorrow"}"#),
            Bad("a date that is none", #"{"query":"x","not_before":"2026-13-45T99:00:00Z"}"#),
            Bad("another id", #"{"query":"x","id":"another"}"#),
            Bad("content type", fine, "unsupported_media_type", MessageProperties(contentType: "text/html")),
            Bad(
                "charset", fine, "unsupported_media_type",
                MessageProperties(contentType: "application/json; charset=latin1")),
            Bad("encoding", fine, "unsupported_media_type", MessageProperties(contentEncoding: "br")),
            Bad("not gzip", fine, "invalid_job", MessageProperties(contentEncoding: "gzip")),
            Bad("a gzip bomb", bomb, "too_large", MessageProperties(contentEncoding: "gzip")),
        ]
    }

    @Test func badInputIsAnsweredAndKeptWithTheReason() async throws {
        let worker = try await Worker.start()
        try await Producer.with { producer in
            for bad in try Self.badMessages() {
                let id = unique()
                var properties = bad.properties
                properties.messageID = id
                properties.replyTo = producer.replies
                properties.priority = 3
                properties.appID = "shop"
                properties.headers = ["x-own": "kept", "n": 5]
                try await producer.publish(bad.body, to: worker, properties)
                let reply = try await producer.nextReply()
                #expect(try reply.status == "failed", "\(bad.name)")
                #expect(try reply.errorCode == bad.code, "\(bad.name)")
                #expect(try reply.json["id"]?.string == id, "\(bad.name)")
                #expect(reply.properties.correlationID == id, "\(bad.name)")
                let letter = try await producer.next(from: worker.dead)
                let isStub = bad.body.count > 1 << 20
                if isStub {
                    #expect(letter.properties.headers["x-parley-body-bytes"]?.int == Int64(bad.body.count))
                    #expect(String(decoding: letter.body, as: UTF8.self).hasPrefix(#"{"stub": true, "bytes": 200"#))
                } else {
                    #expect(letter.body == bad.body, "\(bad.name)")
                }
                #expect(letter.header("x-parley-error-code") == bad.code, "\(bad.name)")
                #expect(letter.header("x-parley-error") == (try reply.json["error"]?["message"]?.string), "\(bad.name)")
                #expect(letter.properties.headers["x-parley-attempts"]?.int == 1, "\(bad.name)")
                #expect(letter.header("x-parley-source-queue") == worker.queue, "\(bad.name)")
                #expect(letter.header("x-parley-dead-at")?.hasSuffix("Z") == true, "\(bad.name)")
                for (name, value) in properties.headers.pairs {
                    #expect(letter.properties.headers[name] == value, "\(bad.name)")
                }
                var kept = letter.properties
                kept.headers = properties.headers
                kept.deliveryMode = nil
                if isStub { kept.contentType = properties.contentType }
                #expect(kept == properties, "\(bad.name)")
            }
            #expect(try await producer.ask(#"{"query":"still here"}"#, of: worker).answer == "still here")
        }
        #expect(try await worker.stop() == 0)
    }

    @Test(arguments: ["", "a b", "ü", "a/b", String(repeating: "i", count: 129)])
    func anIDThatIsNoneIsRefused(_ id: String) async throws {
        let worker = try await Worker.start()
        try await Producer.with { producer in
            let reply = try await producer.ask(#"{"query":"x"}"#, of: worker, id: id)
            #expect(try reply.errorCode == "invalid_job")
            let most = try await producer.ask(
                #"{"query":"x"}"#, of: worker, id: "a.b_c:d-E9" + unique() + String(repeating: "i", count: 90))
            #expect(try most.status == "succeeded")
        }
        try await worker.stop()
    }

    @Test func aMessageWithoutAnIDIsAnsweredWithoutOne() async throws {
        let worker = try await Worker.start()
        try await Producer.with { producer in
            let reply = try await producer.ask(#"{"query":"x"}"#, of: worker, id: nil)
            #expect(try reply.errorCode == "invalid_job")
            #expect(try reply.json["id"] == nil)
            #expect(reply.properties.messageID == nil)
            #expect(reply.properties.correlationID == nil)
        }
        try await worker.stop()
    }

    @Test(arguments: ["", ".dead", ".delay", ".delay.1000"])
    func aReplyToOneOfOurOwnQueuesIsNotSent(_ suffix: String) async throws {
        let worker = try await Worker.start()
        try await Producer.with { producer in
            let id = unique()
            try await producer.publish(#"{"query":"x"}"#, to: worker, id: id, replyTo: worker.queue + suffix)
            let letter = try await producer.next(from: worker.dead)
            #expect(letter.properties.messageID == id)
            #expect(letter.header("x-parley-error-code") == "invalid_job")
            // Had the reply been sent, it would be refused as a job by now, or lie in the dead-letter queue.
            #expect(try await producer.ask(#"{"query":"x"}"#, of: worker).status == "succeeded")
            #expect(try await producer.isEmpty(worker.dead))
        }
        try await worker.stop()
    }

    @Test func aMessageThatIsNoJobLeavesTheAnswerUnderItsIDAlone() async throws {
        let worker = try await Worker.start()
        try await Producer.with { producer in
            let id = unique()
            let answer = try await producer.ask(#"{"query":"x"}"#, of: worker, id: id)
            let refusal = try await producer.ask("nonsense", of: worker, id: id)
            #expect(try refusal.errorCode == "invalid_job")
            #expect(try await producer.next(from: worker.dead).body == Array("nonsense".utf8))
            #expect(try await producer.stored(id) == answer.body)
        }
        try await worker.stop()
    }

    @Test func aJobCanFollowARefusedMessageOfItsID() async throws {
        let worker = try await Worker.start()
        try await Producer.with { producer in
            let id = unique()
            #expect(try await producer.ask("nonsense", of: worker, id: id).status == "failed")
            let answer = try await producer.ask(#"{"query":"x"}"#, of: worker, id: id)
            #expect(try answer.status == "succeeded")
            #expect(try await producer.stored(id) == answer.body)
        }
        try await worker.stop()
    }

    @Test func aDeadLetterLosesHeadersThatLeaveNoRoomForTheReason() async throws {
        let worker = try await Worker.start()
        try await Producer.with { producer in
            let id = unique()
            let large = String(repeating: "h", count: 130_900)
            try await producer.publish(
                Array("nonsense".utf8), to: worker,
                MessageProperties(headers: ["large": .string(large)], replyTo: producer.replies, messageID: id))
            #expect(try await producer.nextReply().errorCode == "invalid_job")
            let letter = try await producer.next(from: worker.dead)
            #expect(letter.properties.messageID == id && letter.body == Array("nonsense".utf8))
            #expect(letter.header("x-parley-error-code") == "invalid_job" && letter.header("large") == nil)
        }
        try await worker.stop()
    }

    @Test func aDeadLetterDoesNotExpire() async throws {
        let worker = try await Worker.start()
        try await Producer.with { producer in
            try await producer.publish(
                Array("nonsense".utf8), to: worker, MessageProperties(expiration: "60000", messageID: unique()))
            #expect(try await producer.next(from: worker.dead).properties.expiration == nil)
        }
        try await worker.stop()
    }

    @Test func aReplyToThatTheBrokerFailsOnStopsNobody() async throws {
        let worker = try await Worker.start()
        try await Producer.with { producer in
            let poison = unique()
            try await producer.publish(
                #"{"query":"x"}"#, to: worker, id: poison, replyTo: "amq.rabbitmq.reply-to.AAAA.BBBB")
            for _ in 0..<20 { try await producer.publish(#"{"query":"x"}"#, to: worker, id: unique()) }
            for _ in 0..<20 { #expect(try await producer.nextReply().status == "succeeded") }
            #expect(try await producer.untilStored(poison).errorCode == "invalid_job")
            #expect(try await producer.next(from: worker.dead).properties.messageID == poison)
            // One that looks like the broker's own: the broker fails on it.
            let worse = unique()
            try await producer.publish(
                #"{"query":"x"}"#, to: worker, id: worse, replyTo: "amq.rabbitmq.reply-to.g2AA.BBBB")
            for _ in 0..<20 { try await producer.publish(#"{"query":"x"}"#, to: worker, id: unique()) }
            for _ in 0..<20 { #expect(try await producer.nextReply().status == "succeeded") }
            #expect(try await producer.untilStored(worse).status == "succeeded")
            try await eventually("the end of the job") {
                try await worker.metric("parley_replies_unroutable_total") == 1 ? () : nil
            }
            #expect(try await producer.isEmpty(worker.queue))
        }
        try await worker.stop()
    }
}
