import Adapters
import ChatJobs
import ParleyRabbitMQ
import Testing
import Topology

/// What properties and headers say of a job, without a broker.
@Suite struct PropertiesTests {
    private func envelope(
        _ headers: FieldTable = FieldTable(), _ change: (inout MessageProperties) -> Void = { _ in }
    ) -> Envelope {
        var properties = MessageProperties(headers: headers)
        change(&properties)
        return Envelope(properties)
    }

    @Test func countsAndTheTraceAreRead() {
        let envelope = envelope([
            "traceparent": "00-a-b-01", "x-parley-retries": 1, "x-parley-deferrals": 2, "x-parley-outages": 3,
            "x-parley-refusals": 4, "x-parley-requeues": 5, "x-own": "x",
        ])
        #expect(envelope.traceparent == "00-a-b-01")
        #expect([envelope.earlierAttempts, envelope.deferrals, envelope.outages, envelope.refusals] == [1, 2, 3, 4])
        #expect(envelope.requeues == 5)
        #expect(self.envelope(["x-parley-retries": -1]).earlierAttempts == 0)
        #expect(self.envelope(["x-parley-retries": "many"]).earlierAttempts == 0)
    }

    @Test func emptyPropertiesAndAddressesArePutRight() {
        let envelope = envelope {
            ($0.messageID, $0.correlationID, $0.replyTo) = ("", "", "/queues/q")
        }
        #expect(envelope.messageID == nil && envelope.correlationID == nil && envelope.replyTo == "q")
        #expect(self.envelope { $0.replyTo = "" }.replyTo == nil)
        #expect(self.envelope { $0.replyTo = "e/k" }.isReplyToUncertain)
    }

    @Test func aLetterThatWasMovedBackIsARequeue() {
        let envelope = envelope([
            "x-parley-error-code": "model_timeout", "x-parley-error": "too slow", "x-parley-attempts": 5,
            "x-parley-dead-at": "2026-11-22T22:00:00.000Z", "x-parley-source-queue": "chat.jobs",
            "x-parley-deferrals": 9, "x-parley-refusals": 2, "x-parley-requeues": 1,
        ])
        #expect([envelope.earlierAttempts, envelope.deferrals, envelope.outages, envelope.refusals] == [0, 0, 0, 0])
        #expect(envelope.requeues == 2)
    }

    @Test func aProducerIsBelievedOnTheBrokersWordOnly() {
        let relay = Relay(user: "worker", others: ["operator"])
        func producer(_ user: String?, _ headers: FieldTable = ["x-parley-user": "anna"]) -> String? {
            relay.producer(of: MessageProperties(headers: headers, userID: user))
        }
        #expect(producer(nil) == nil)
        #expect(producer("mallory") == "mallory")
        #expect(producer("worker") == "anna" && producer("operator") == "anna")
        #expect(producer("worker", [:]) == "worker")
    }

    @Test func aMessageThatIsPutInAnewStaysItsProducers() {
        let worker = Relay(user: "worker", others: [])
        let byOperator = Relay(user: "operator", others: ["worker"])
        var letter = MessageProperties()
        worker.sign(&letter, for: "anna")
        let renewed = MessageHeaders.renewed(letter, as: "operator", relay: byOperator)
        #expect(renewed.userID == "operator", "the broker takes no other name")
        #expect(byOperator.producer(of: renewed) == "anna")
        // What no relay wrote is whoever's the broker says it is, whatever its header says.
        let forged = MessageProperties(headers: ["x-parley-user": "anna"], userID: "mallory")
        #expect(byOperator.producer(of: MessageHeaders.renewed(forged, as: "operator", relay: byOperator)) == "mallory")
        let nobodys = MessageProperties(headers: ["x-parley-user": "anna"])
        #expect(byOperator.producer(of: MessageHeaders.renewed(nobodys, as: "operator", relay: byOperator)) == nil)
        #expect(MessageHeaders.renewed(letter, as: "operator").userID == nil)
    }

    @Test func aHeaderGivenTwiceStaysGivenTwice() {
        var headers: FieldTable = ["CC": "x"]
        headers.append("a", 1)
        headers.append("a", 2)
        let forwarded = MessageHeaders.forwarded(MessageProperties(headers: headers))
        #expect(forwarded.headers.pairs.map(\.value) == [1, 2])
    }

    @Test func whereABrokerWouldSendItOnceMoreIsNotForwarded() {
        let names = [
            "CC", "BCC", "x-dead-letter-exchange", "x-dead-letter-routing-key", "x-death", "x-first-death-queue",
        ]
        var headers: FieldTable = ["shop": "eu"]
        for name in names { headers[name] = "chat.replies.another" }
        let properties = MessageProperties(headers: headers)
        #expect(MessageHeaders.forwarded(properties).headers.pairs.map(\.key) == ["shop"])
        let renewed = MessageHeaders.renewed(properties, as: "operator").headers.pairs.map(\.key)
        #expect(Set(renewed).isDisjoint(with: names.prefix(4)))
    }

    @Test func otherSystemsAreRecognised() {
        #expect(envelope(["task": "tasks.add", "id": "t-1", "lang": "py"]).foreign == .celery(id: "t-1"))
        #expect(envelope(["task": 7]).foreign == nil)
        #expect(envelope(["__TypeId__": "com.shop.Question"]).foreign == .spring)
        #expect(envelope { $0.type = "amqp-1.0" }.foreign == .amqp10)
        #expect(envelope { $0.type = "chat.chunk" }.foreign == .reply)
        #expect(envelope { $0.type = "question" }.foreign == nil)
    }

    @Test func kombusCompressionIsRead() {
        #expect(
            envelope(["compression": "application/x-gzip"]) { $0.contentEncoding = "utf-8" }.contentEncoding == "gzip")
        #expect(envelope(["compression": "application/x-bz2"]).contentEncoding == "application/x-bz2")
        #expect(envelope(["compression": "none"]) { $0.contentEncoding = "gzip" }.contentEncoding == "gzip")
        #expect(envelope(["compression": "high"]).contentEncoding == nil)
    }

    @Test func bytesThatAreNoTextAreKeptBesideTheirRepair() {
        let envelope = envelope { ($0.correlationID, $0.rawTexts) = ("\u{FFFD}", [.correlationID: [0xFF]]) }
        #expect(envelope.correlationBytes == [0xFF])
    }
}
