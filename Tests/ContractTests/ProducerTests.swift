import ParleyJSON
import ParleyRabbitMQ
import TestSupport
import Testing

/// Section 1 as producers of all kinds meet it.
extension ContractTests {
    @Test func whatClientsWriteByThemselvesIsTaken() async throws {
        let worker = try await Worker.start()
        try await Producer.with { producer in
            let types: [(String?, String?)] = [
                ("", ""), ("text/json", "identity"), ("application/vnd.shop+json; charset=UTF-8", "UTF-8"),
                ("text/plain", nil), ("Application/Octet-Stream", nil),
            ]
            for (type, encoding) in types {
                try await producer.publish(
                    Array(#"{"query":"x"}"#.utf8), to: worker,
                    MessageProperties(
                        contentType: type, contentEncoding: encoding, replyTo: producer.replies, messageID: unique()))
                #expect(try await producer.nextReply().status == "succeeded", "\(type ?? "none")")
            }
            for body in [
                "\u{FEFF}" + #"{"query":"x"}"#, #"{"query":"x","options":[],"metadata":[],"history":[]}"#,
                #"{"query":"x","deadline":"2099-01-01T00:00:00+0000"}"#,
            ] {
                let reply = try await producer.ask(body, of: worker)
                #expect(try reply.status == "succeeded", "\(body)")
                #expect(try reply.json["metadata"]?.kind == .object)
            }
            try await producer.publish(
                Array(#"{"query":"x"}"#.utf8), to: worker,
                MessageProperties(
                    contentType: "text/plain; charset=latin1", replyTo: producer.replies, messageID: unique()))
            #expect(try await producer.nextReply().errorCode == "unsupported_media_type")
        }
        try await worker.stop()
    }

    @Test func emptyPropertiesCountAsAbsent() async throws {
        let worker = try await Worker.start()
        try await Producer.with { producer in
            let id = unique()
            try await producer.publish(
                Array(#"{"query":"x","id":"\#(id)"}"#.utf8), to: worker,
                MessageProperties(correlationID: "", replyTo: producer.replies, messageID: ""))
            let reply = try await producer.nextReply()
            #expect(try reply.json["id"]?.string == id)
            #expect(reply.properties.correlationID == id)
            let silent = unique()
            try await producer.publish(#"{"query":"x"}"#, to: worker, id: silent, replyTo: "")
            #expect(try await producer.untilStored(silent).status == "succeeded")
        }
        try await worker.stop()
    }

    @Test func aCorrelationIDComesBackByteForByte() async throws {
        let worker = try await Worker.start()
        try await Producer.with { producer in
            for body in [#"{"query":"x"}"#, "no job"] {
                let bytes: [UInt8] = [0xFF, 0x9C, 0x00, 0x7F, 0xC3]
                var properties = MessageProperties(
                    correlationID: "", replyTo: producer.replies, messageID: unique())
                properties.rawTexts[.correlationID] = bytes
                try await producer.publish(Array(body.utf8), to: worker, properties)
                #expect(try await producer.nextReply().properties.rawTexts[.correlationID] == bytes)
            }
        }
        try await worker.stop()
    }

    @Test func addressesOfOtherProtocolsAreReadAsTheirQueues() async throws {
        let worker = try await Worker.start()
        try await Producer.with { producer in
            for prefix in ["/queues/", "/queue/", "/amq/queue/", "/reply-queue/", "amqp://broker/", "/"] {
                try await producer.publish(
                    #"{"query":"\#(prefix)"}"#, to: worker, id: unique(), replyTo: prefix + producer.replies)
                #expect(try await producer.nextReply().answer == prefix)
            }
            let id = unique()
            try await producer.publish(#"{"query":"x"}"#, to: worker, id: id, replyTo: "exchange/key")
            let refused = try await producer.untilStored(id)
            #expect(try refused.errorCode == "invalid_job")
            #expect(try refused.json["error"]?["message"]?.string?.contains("give the queue's name") == true)
        }
        try await worker.stop()
    }

    @Test func repliesGoOnlyWhereTheyAreAllowed() async throws {
        let mine = unique()
        let worker = try await Worker.start(["reply.allow": "contract.\(mine).{tenant}.*"])
        try await Producer.with { producer in
            func declare(_ queue: String) async throws {
                _ = try await producer.connection.declare(
                    QueueDeclaration(name: queue, durable: false, exclusive: true), channel: producer.channel)
            }
            let (own, other) = ("contract.\(mine).a.r", "contract.\(mine).b.r")
            try await declare(own)
            try await declare(other)
            try await producer.publish(#"{"query":"x","tenant":"a"}"#, to: worker, id: unique(), replyTo: own)
            #expect(try await producer.next(from: own).answer == "x")
            for body in [#"{"query":"x","tenant":"a"}"#, #"{"tenant":"a"}"#, "{}", "no json"] {
                let id = unique()
                try await producer.publish(body, to: worker, id: id, replyTo: other)
                #expect(try await producer.untilStored(id).errorCode == "invalid_job")
                #expect(try await producer.next(from: worker.dead).header("x-parley-error-code") == "invalid_job")
            }
            #expect(try await producer.count(other) == 0)
        }
        try await worker.stop()
    }

    @Test func ceilingsAreNotPassed() async throws {
        let worker = try await Worker.start([
            "limits.max_tokens": "100", "models.allow": "small*", "limits.not_before": "1h", "limits.metadata": "20",
        ])
        try await Producer.with { producer in
            for (member, setting) in [
                (#""options":{"max_tokens":101}"#, "limits.max_tokens"),
                (#""options":{"model":"large"}"#, "models.allow"),
                (#""not_before":"2099-01-01T00:00:00Z""#, "limits.not_before"),
            ] {
                let reply = try await producer.ask(#"{"query":"x",\#(member)}"#, of: worker)
                #expect(try reply.errorCode == "invalid_job", "\(member)")
                #expect(try reply.json["error"]?["message"]?.string?.contains(setting) == true, "\(member)")
            }
            let large = try await producer.ask(#"{"query":"x","metadata":{"a":"123456789012345"}}"#, of: worker)
            #expect(try large.errorCode == "too_large")
            let fine = #"{"query":"x","options":{"max_tokens":100,"model":"small-1"},"metadata":{"a":1}}"#
            #expect(try await producer.ask(fine, of: worker).status == "succeeded")
        }
        try await worker.stop()
    }

    @Test func whatSomebodyProbablyMeantIsSaidInTheReply() async throws {
        let worker = try await Worker.start()
        try await Producer.with { producer in
            let body = #"{"query":"x","priority":9,"meta_data":{},"rewritten_query":"what is x?"}"#
            let reply = try await producer.ask(body, of: worker)
            #expect(
                try reply.json["warnings"]?.elements.compactMap(\.string) == [
                    "priority in the body is not read; set the AMQP property priority (0 to 9)",
                    #""meta_data" is not read; did you mean metadata?"#,
                ])
            #expect(try reply.json["rewritten_query"]?.string == "what is x?")
            #expect(try await producer.ask(#"{"query":"x"}"#, of: worker).json["warnings"] == nil)
        }
        try await worker.stop()
    }

    @Test func aCeleryTaskIsAnsweredInWordsUnderItsID() async throws {
        let worker = try await Worker.start()
        try await Producer.with { producer in
            let id = unique()
            try await producer.publish(
                Array(#"[["How?"],{},{"callbacks":null}]"#.utf8), to: worker,
                MessageProperties(
                    contentType: "application/json", contentEncoding: "utf-8",
                    headers: ["lang": "py", "task": "tasks.chat", "id": .string(id), "retries": 0],
                    correlationID: id, replyTo: producer.replies))
            let reply = try await producer.nextReply()
            #expect(reply.properties.correlationID == id)
            #expect(try reply.json["id"]?.string == id)
            #expect(try reply.errorCode == "invalid_job")
            #expect(try reply.json["error"]?["message"]?.string?.contains("Celery") == true)
        }
        try await worker.stop()
    }

    @Test func aStubMovedBackIsAnsweredInWordsThatSayWhatItIs() async throws {
        let worker = try await Worker.start(["limits.body": "1KiB"])
        try await Producer.with { producer in
            let body = #"{"query":"\#(String(repeating: "x", count: 2000))"}"#
            #expect(try await producer.ask(body, of: worker).errorCode == "too_large")
            let letter = try await producer.next(from: worker.dead)
            // As a shovel or the management page moves it.
            try await producer.publish(letter.body, to: worker, letter.properties)
            let reply = try await producer.nextReply()
            #expect(try reply.errorCode == "invalid_job" && reply.json["id"]?.string == letter.properties.messageID)
            let message = try #require(try reply.json["error"]?["message"]?.string)
            #expect(message.contains("a body of \(body.utf8.count) bytes"), "\(message)")
            #expect(message.contains("publish the job again, smaller"), "\(message)")
        }
        try await worker.stop()
    }

    @Test func aLetterMovedBackIsWorkedOnAgain() async throws {
        let model = try await ModelServer { _, count in count < 3 ? .garbage : .answers }
        let worker = try await Worker.start(["model.url": model.url, "retry.base": "50ms", "retry.max_attempts": "2"])
        try await Producer.with { producer in
            let failed = try await producer.ask(#"{"query":"again"}"#, of: worker)
            let error = try #require(try failed.json["error"])
            #expect(error["code"]?.string == "model_unavailable")
            // The last word, without where the model is.
            #expect(error["retryable"]?.bool == false)
            #expect(error["message"]?.string?.contains("no attempts are left, and for about 24 h") == true)
            #expect(error["message"]?.string?.contains("127.0.0.1") == false)
            let letter = try await producer.next(from: worker.dead)
            #expect(letter.header("x-parley-error")?.contains("127.0.0.1") == true)
            // As a shovel or the management page moves it.
            try await producer.publish(letter.body, to: worker, letter.properties)
            #expect(try await producer.nextReply().status == "succeeded")
        }
        try await worker.stop()
    }
}
