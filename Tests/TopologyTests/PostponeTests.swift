import Adapters
import Answering
import ChatJobs
import ParleyRabbitMQ
import Pipeline
import TestSupport
import Testing

@testable import Topology

private struct StillClock: PipelineClock {
    let now = Duration.zero
    let wall = Timestamp(milliseconds: 0)
    func sleep(for duration: Duration) async {}
    func random() -> Double { 0.5 }
}

@Suite(
    "Postponed jobs", .serialized, .enabled(if: PrivateRabbitMQ.isInstalled), .timeLimit(.minutes(4)),
    .privateRabbitMQ())
struct PostponeTests {
    private func adapters(_ f: LadderFixture) -> (RabbitMQIntake, RabbitMQOutbox) {
        (
            RabbitMQIntake(consumer: f.consumer, clock: StillClock()),
            RabbitMQOutbox(publisher: f.publisher, queues: f.queues, clock: StillClock(), logger: f.fixture.logger)
        )
    }

    private func one(_ intake: RabbitMQIntake) async throws -> (Incoming, Delivery) {
        let incoming = try #require(await intake.nextWindow(atMost: 1)?.first)
        return (incoming, try #require(incoming.original as? Delivery))
    }

    @Test(
        "ten times put aside, a job is still what its producer sent",
        arguments: [JobQueues.Kind.classic, .quorum])
    func tenTimes(kind: JobQueues.Kind) async throws {
        let f = try await LadderFixture("ten.\(kind)", lanes: ["high"], kind: kind)
        let (intake, outbox) = adapters(f)
        let properties = MessageProperties(
            contentType: "application/json", headers: ["mine": .array([1, "x"]), "traceparent": "00-a-b-01"],
            deliveryMode: 2, priority: 7, correlationID: "c", replyTo: "replies", messageID: "id-1", timestamp: 1,
            type: "t", appID: "producer")
        let job = OutgoingMessage(routingKey: f.base + ".high", properties: properties, body: Array("{}".utf8))
        #expect(try await f.publisher.publish(job) == .confirmed)
        for pass in 1...10 {
            let (incoming, delivery) = try await one(intake)
            #expect(incoming.queue == f.base + ".high")
            #expect(incoming.envelope.earlierAttempts == (pass - 1) / 2)
            #expect(incoming.envelope.deferrals == (pass - 1))
            #expect(incoming.envelope.refusals == 2 * (pass - 1))
            #expect(delivery.redelivered == false)
            // 375 ms: two levels, so that each pass leaves a record of dead-lettering.
            try await outbox.postpone(
                incoming,
                Postponement(
                    delay: .milliseconds(375), attempts: pass / 2, deferrals: pass, outages: 0, refusals: 2 * pass))
            await intake.acknowledge(incoming.receipt)
        }
        let (incoming, delivery) = try await one(intake)
        await intake.acknowledge(incoming.receipt)
        var returned = MessageHeaders.forwarded(delivery.properties)
        #expect(returned.headers["x-parley-retries"] == 5)
        #expect(returned.headers["x-parley-deferrals"] == 10)
        #expect(returned.headers["x-parley-refusals"] == 20)
        returned.headers["x-parley-refusals"] = nil
        returned.headers["x-parley-retries"] = nil
        returned.headers["x-parley-deferrals"] = nil
        #expect(returned == properties)
        #expect(delivery.body == job.body)
        #expect(delivery.properties.headers["x-death"]?.array?.count == 2)
        await f.close()
    }

    @Test("a job of a queue that is none of the configuration's comes back to the base queue")
    func adopted() async throws {
        let f = try await LadderFixture("base", consumes: ["elsewhere"])
        try await f.connection.ensureQueue(QueueDeclaration(name: "elsewhere"))
        let (intake, outbox) = adapters(f)
        _ = try await f.publisher.publish(OutgoingMessage(to: "elsewhere"))
        let (incoming, _) = try await one(intake)
        try await outbox.postpone(
            incoming, Postponement(delay: .milliseconds(1), attempts: 0, deferrals: 0, outages: 0))
        await intake.acknowledge(incoming.receipt)
        let channel = try await f.connection.openChannel()
        var delivery: Delivery?
        try await waitUntil("it is in the base queue") {
            delivery = try await f.connection.get("base", noAck: true, channel: channel)
            return delivery != nil
        }
        #expect(delivery?.properties.headers[MessageHeaders.earlierAttempts] == nil)
        #expect(delivery?.properties.headers[MessageHeaders.deferrals] == nil)
        await f.close()
    }

    @Test(
        "what is missing at first is declared; what goes missing later is an outage, and a later try succeeds")
    func repaired() async throws {
        let f = try await LadderFixture("mended")
        let (intake, outbox) = adapters(f)
        _ = try await f.publisher.publish(OutgoingMessage(to: "mended"))
        let (incoming, _) = try await one(intake)
        try await f.connection.deleteQueue(f.ladder.level(0))
        // What the first job that has to wait finds missing is declared without a word.
        try await outbox.postpone(
            incoming, Postponement(delay: .milliseconds(125), attempts: 1, deferrals: 0, outages: 0))
        await intake.acknowledge(incoming.receipt)
        let (again, _) = try await one(intake)
        #expect(again.envelope.earlierAttempts == 1)
        try await f.ladder.remove(on: f.connection)
        var outages = 0
        while true {
            do {
                try await outbox.postpone(
                    again, Postponement(delay: .milliseconds(125), attempts: 2, deferrals: 0, outages: 0))
                break
            } catch {
                outages += 1
                await outbox.untilAvailable()
            }
        }
        #expect(outages > 0)
        await intake.acknowledge(again.receipt)
        #expect(try await one(intake).0.envelope.earlierAttempts == 2)
        await f.close()
    }

    @Test("the dead letter of a body that was not kept is a stub with its size and digest")
    func stub() async throws {
        let f = try await LadderFixture("stubs", maxBody: 1000)
        let (intake, outbox) = adapters(f)
        var job = OutgoingMessage(to: "stubs", String(repeating: "b", count: 1001))
        job.properties.contentEncoding = "gzip"
        job.properties.messageID = "large"
        job.properties.headers = ["mine": 1]
        #expect(try await f.publisher.publish(job) == .confirmed)
        job.body = Array("small".utf8)
        job.properties.headers = ["x-parley-body-bytes": 7, "x-parley-body-sha256": "of my own making"]
        #expect(try await f.publisher.publish(job) == .confirmed)
        let (large, _) = try await one(intake)
        #expect(large.envelope.discardedBytes == 1001)
        #expect(large.body.isEmpty)
        await #expect(throws: Outage.self) {
            try await outbox.postpone(
                large, Postponement(delay: .seconds(1), attempts: 1, deferrals: 0, outages: 0))
        }
        let (small, _) = try await one(intake)
        #expect(small.envelope.discardedBytes == nil)
        for incoming in [large, small] {
            try await outbox.deadLetter(incoming, JobFailure(.tooLarge, "x"), attempts: 1, id: JobID("large"))
            await intake.acknowledge(incoming.receipt)
        }
        let channel = try await f.connection.openChannel()
        let letter = try #require(try await f.connection.get("stubs.dead", noAck: true, channel: channel))
        let sha = try #require(letter.properties.headers["x-parley-body-sha256"]?.string)
        #expect(sha.utf8.count == 64)
        #expect(letter.properties.headers["x-parley-body-bytes"] == 1001)
        #expect(letter.properties.headers["mine"] == 1)
        #expect(letter.properties.contentType == "application/json" && letter.properties.contentEncoding == nil)
        #expect(
            String(decoding: letter.body, as: UTF8.self) == #"{"stub": true, "bytes": 1001, "sha256": "\#(sha)"}"#)
        let whole = try #require(try await f.connection.get("stubs.dead", noAck: true, channel: channel))
        #expect(whole.body == Array("small".utf8))
        #expect(whole.properties.headers["x-parley-body-bytes"] == nil)
        #expect(whole.properties.headers["x-parley-body-sha256"] == nil)
        await f.close()
    }

    @Test("a message that RabbitMQ has not delivered is neither put aside nor buried, and nobody is told that it was")
    func foreign() async throws {
        let f = try await LadderFixture("foreign")
        let (intake, outbox) = adapters(f)
        let incoming = Incoming(
            receipt: Receipt(epoch: 1, number: 1), envelope: Envelope(), body: [], queue: "foreign", redelivered: false,
            arrived: .zero, original: "another transport's")
        await #expect(throws: Outage.self) {
            try await outbox.postpone(
                incoming, Postponement(delay: .milliseconds(125), attempts: 1, deferrals: 0, outages: 0))
        }
        await #expect(throws: Outage.self) {
            try await outbox.deadLetter(incoming, JobFailure(.internal, "x"), attempts: 1, id: nil)
        }
        #expect(await intake.isVoid(incoming.receipt))
        await f.close()
    }

    @Test("headers that fit no frame together with Parley's go, the trace context and the counts stay")
    func headersTooLarge() async throws {
        let f = try await LadderFixture("large")
        let (intake, outbox) = adapters(f)
        var job = OutgoingMessage(to: "large")
        job.properties.messageID = "kept"
        job.properties.headers = ["traceparent": "00-a-b-01", "x-parley-requeues": 2]
        // A frame has 131,072 bytes; the producer's own header uses it up to a few.
        job.properties.headers["big"] = .string(String(repeating: "b", count: 130_920))
        #expect(try await f.publisher.publish(job) == .confirmed)
        let (incoming, _) = try await one(intake)
        try await outbox.postpone(
            incoming, Postponement(delay: .milliseconds(125), attempts: 3, deferrals: 1, outages: 0))
        await intake.acknowledge(incoming.receipt)
        let (again, delivery) = try await one(intake)
        #expect(again.envelope.traceparent == "00-a-b-01")
        #expect(again.envelope.requeues == 2)
        #expect(again.envelope.earlierAttempts == 3)
        #expect(again.envelope.deferrals == 1)
        #expect(delivery.properties.messageID == "kept")
        #expect(delivery.properties.headers["big"] == nil)
        await f.close()
    }
}
