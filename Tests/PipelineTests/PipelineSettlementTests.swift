import ChatJobs
import Pipeline
import PipelineTestKit
import Testing

@Suite struct PipelineSettlementTests {
    @Test func aReplyToOneOfOurOwnQueuesIsNotSent() throws {
        let bench = Workbench()
        bench.answer(SimulatedMessage(number: 0, try job("a"), replyQueue: .own))
        #expect(bench.ledger.replies.isEmpty)
        #expect(bench.model.calls.isEmpty)
        #expect(bench.ledger.events.contains(.deadLettered(0, .invalidJob)))
    }

    @Test func aJobWithoutReplyToIsOnlyStored() throws {
        let bench = Workbench()
        let message = SimulatedMessage(number: 0, try job("a"), replyQueue: .none)
        bench.answer(message)
        let id = try #require(message.id)
        #expect(bench.ledger.events == [.modelCalled(id), .stored(id, .succeeded), .acknowledged(0)])
    }

    @Test func aReplyThatNobodyTakesDoesNotHoldTheJob() throws {
        let bench = Workbench()
        let message = SimulatedMessage(number: 0, try job("a"), replyQueue: .gone)
        bench.answer(message)
        let id = try #require(message.id)
        #expect(
            bench.ledger.events == [
                .modelCalled(id), .stored(id, .succeeded), .unroutable(correlationID: "c0"), .acknowledged(0),
            ])
    }

    @Test func aFailureIsStoredRepliedDeadLetteredAndThenAcknowledged() throws {
        let bench = Workbench { _ in .fails(JobFailure(.modelRejected, "the prompt is too long")) }
        let message = SimulatedMessage(number: 0, try job("a"))
        bench.answer(message)
        let id = try #require(message.id)
        #expect(
            bench.ledger.events == [
                .modelCalled(id), .stored(id, .failed), .replied(.reply, correlationID: "c0"),
                .deadLettered(0, .modelRejected), .acknowledged(0),
            ])
        #expect(
            bench.replies.first?.error
                == ReplyError(code: "model_rejected", message: "the prompt is too long", retryable: false))
    }

    @Test func whileRedisIsAwayAnAnswerWaitsAndIsNotBoughtAgain() throws {
        let bench = Workbench()
        let message = SimulatedMessage(number: 0, try job("a"))
        bench.run {
            await $0.broker.publish([message])
            await $0.executor.sleep(.milliseconds(50))
            await $0.store.goAway(for: .seconds(30))
        }
        #expect(bench.model.calls.count == 1)
        #expect(bench.replies.map(\.status) == [.succeeded])
        #expect(bench.executor.now > .seconds(30))
    }

    @Test func whileTheBrokerTakesNoRepliesAnAnswerWaits() throws {
        let bench = Workbench()
        let message = SimulatedMessage(number: 0, try job("a"))
        bench.run {
            await $0.broker.publish([message])
            await $0.executor.sleep(.milliseconds(50))
            await $0.broker.loseOutbox(for: .seconds(10))
        }
        #expect(bench.model.calls.count == 1)
        #expect(bench.ledger.events.last == .acknowledged(0))
        #expect(bench.executor.now > .seconds(10))
    }

    @Test func aJobWhoseReplyQueueIsFullWaitsInTheBrokerAndHoldsNoPlace() throws {
        let bench = Workbench()
        let message = SimulatedMessage(number: 0, try job("a"))
        bench.run {
            await $0.broker.refuseReplies(for: .seconds(5))
            await $0.broker.publish([message])
            await $0.executor.sleep(.seconds(4))
            #expect(await $0.broker.unsettled(worker: 0) == 0)
        }
        #expect(bench.model.calls.count == 1)
        #expect(bench.replies.map(\.status) == [.succeeded])
        // At 0, 0.5, 1.5, 3.5 and 7.5 seconds.
        #expect(bench.ledger.events.count { $0 == .refused(correlationID: "c0") } == 4)
        #expect(bench.ledger.events.count { $0 == .postponed(0) } == 4)
        #expect(bench.executor.now < .seconds(9))
    }

    @Test func aReplyQueueThatStaysFullCostsItsJobsTheirRepliesAfterAMinute() throws {
        let bench = Workbench { $0.id.text == "bad" ? .fails(JobFailure(.modelRejected, "no")) : .answers }
        var requeued = SimulatedMessage(number: 1, try job("bad"))
        requeued.envelope.requeues = 1
        let messages = [SimulatedMessage(number: 0, try job("good")), requeued]
        bench.run {
            await $0.broker.refuseReplies(for: .seconds(100))
            await $0.broker.publish(messages)
        }
        #expect(bench.model.calls.count == 2)
        #expect(bench.replies.isEmpty)
        #expect(bench.ledger.events.count { $0 == .refused(correlationID: "c0") } == 8)
        #expect(bench.ledger.events.count { $0 == .deadLettered(1, .modelRejected) } == 1)
        #expect(bench.executor.now > .seconds(60) && bench.executor.now < .seconds(70))
    }

    @Test func aBadMessageWhoseReplyQueueIsFullIsGivenUpSoon() throws {
        let bench = Workbench()
        var envelope = Envelope()
        envelope.messageID = "bad"
        envelope.correlationID = "c0"
        envelope.replyTo = "replies"
        let bad = SimulatedMessage(
            number: 0, envelope: envelope, body: Array("not json".utf8), id: JobID("bad"), replyQueue: .routable,
            refusal: .invalidJob)
        bench.run {
            await $0.broker.refuseReplies(for: .seconds(100))
            await $0.broker.publish([bad])
        }
        #expect(bench.replies.isEmpty)
        #expect(bench.ledger.events.contains(.deadLettered(0, .invalidJob)))
        #expect(bench.executor.now < .seconds(2))
    }

    @Test func aBadMessageIsAnsweredAndDeadLetteredAndStopsNobodyElse() throws {
        let bench = Workbench()
        var envelope = Envelope()
        envelope.messageID = "bad"
        envelope.correlationID = "c0"
        envelope.replyTo = "replies"
        let bad = SimulatedMessage(
            number: 0, envelope: envelope, body: Array("not json".utf8), id: JobID("bad"), replyQueue: .routable,
            refusal: .invalidJob)
        bench.answer(bad, SimulatedMessage(number: 1, try job("good")))
        let refused = try #require(bench.replies.first { $0.id == "bad" })
        #expect(refused.status == .failed)
        #expect(refused.error?.code == "invalid_job")
        #expect(refused.error?.retryable == false)
        #expect(bench.ledger.events.contains(.deadLettered(0, .invalidJob)))
        #expect(bench.replies.first { $0.id == "good" }?.status == .succeeded)
    }

    @Test func aBadMessageWithoutAnIDIsAnsweredAndNotStored() throws {
        let bench = Workbench()
        var envelope = Envelope()
        envelope.correlationID = "c0"
        envelope.replyTo = "replies"
        bench.answer(
            SimulatedMessage(
                number: 0, envelope: envelope, body: Array("[]".utf8), id: nil, replyQueue: .routable,
                refusal: .invalidJob))
        #expect(
            bench.ledger.events == [
                .replied(.reply, correlationID: "c0"), .deadLettered(0, .invalidJob), .acknowledged(0),
            ])
        #expect(bench.replies.first?.id == nil)
    }

    @Test func aTraceIsContinuedOnTheReply() throws {
        let bench = Workbench()
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        bench.answer(
            SimulatedMessage(number: 0, try job("a"), traceparent: "00-\(trace)-00f067aa0ba902b7-01"),
            SimulatedMessage(number: 1, try job("b"), traceparent: "nonsense"))
        let parents = Dictionary(
            uniqueKeysWithValues: bench.ledger.replies.map { ($0.correlationID, $0.traceparent) })
        let continued = try #require(parents["c0"] ?? nil)
        #expect(continued.hasPrefix("00-\(trace)-"))
        #expect(continued.hasSuffix("-01"))
        #expect(!continued.contains("00f067aa0ba902b7"))
        #expect(parents["c1"] == .some(nil))
    }

    // MARK: - Streaming

    @Test func chunksComeBeforeTheReplyAndMakeUpTheAnswer() throws {
        let bench = Workbench()
        bench.answer(SimulatedMessage(number: 0, try job("a") { $0.stream = true }))
        #expect(bench.ledger.replies.last?.kind == .reply)
        let chunks = try bench.ledger.replies.dropLast().map { try Chunk(decoding: $0.body) }
        #expect(chunks.map(\.seq) == Array(0..<chunks.count))
        #expect(chunks.count > 1)
        #expect(chunks.map(\.delta).joined() == bench.replies.first?.answer)
    }

    @Test func aSlowBrokerMakesFewerLargerChunks() throws {
        var latencies = Latencies.constant
        latencies.broker = .milliseconds(40) ... .milliseconds(40)
        let bench = Workbench(latencies: latencies)
        bench.answer(SimulatedMessage(number: 0, try job("a") { $0.stream = true }))
        let chunks = try bench.ledger.replies.dropLast().map { try Chunk(decoding: $0.body) }
        // Six words in 100 ms, and 80 ms for a publish with its confirm: the first word, what came meanwhile, the last.
        #expect(chunks.count == 3)
        #expect(chunks.map(\.delta).joined() == bench.replies.first?.answer)
    }

    @Test func aJobThatDoesNotStreamGetsNoChunks() throws {
        let bench = Workbench()
        bench.answer(SimulatedMessage(number: 0, try job("a")))
        #expect(bench.ledger.replies.map(\.kind) == [.reply])
    }

    @Test func aLostChunkEndsTheChunksAndNotTheReply() throws {
        let bench = Workbench()
        let message = SimulatedMessage(number: 0, try job("a") { $0.stream = true })
        bench.run {
            await $0.broker.publish([message])
            await $0.executor.sleep(.milliseconds(40))
            await $0.broker.loseOutbox(for: .milliseconds(20))
        }
        #expect(bench.ledger.replies.count { $0.kind == .chunk } < 6)
        #expect(bench.replies.map(\.status) == [.succeeded])
    }

    // MARK: - Shutdown

    @Test func anAbandonedWorkerHandsBackWhatIsUnfinished() throws {
        var configuration = PipelineConfiguration()
        configuration.answering.agent.modelConcurrency = 1
        var latencies = Latencies.constant
        latencies.model = .seconds(50) ... .seconds(50)
        let bench = Workbench(configuration, latencies: latencies)
        // At the model, before the model, and waiting for the same id.
        let messages = [
            SimulatedMessage(number: 0, try job("a")), SimulatedMessage(number: 1, try job("b")),
            SimulatedMessage(number: 2, try job("a")),
        ]
        bench.run(draining: false) { bench in
            await bench.broker.publish(messages)
            await bench.executor.sleep(.seconds(1))
            await bench.worker.stop()
            await bench.worker.abandon()
        }
        #expect(bench.executor.now < .seconds(2))
        let handedBack = bench.ledger.events.compactMap { if case .handedBack(let n) = $0 { n } else { nil } }
        #expect(Set(handedBack) == [0, 1, 2])
        #expect(!bench.ledger.events.contains { if case .stored = $0 { true } else { false } })
    }

    @Test func aWindowStillInRetrievalWhenTheWorkerIsAbandonedIsHandedBack() throws {
        let bench = Workbench(index: true)
        let message = SimulatedMessage(number: 0, try job("a"))
        bench.run(draining: false) { bench in
            await bench.broker.publish([message])
            await bench.executor.sleep(.milliseconds(5))
            await bench.worker.stop()
            await bench.worker.abandon()
        }
        #expect(bench.passages?.calls.count == 1)
        #expect(bench.model.calls.isEmpty)
        #expect(bench.ledger.events == [.handedBack(0), .redelivered(0)])
    }

    @Test func anAbandonedWorkerDoesNotWaitForRedis() throws {
        let bench = Workbench()
        let message = SimulatedMessage(number: 0, try job("a"))
        bench.run(draining: false) { bench in
            await bench.store.goAway(for: .seconds(3600))
            await bench.broker.publish([message])
            await bench.executor.sleep(.seconds(1))
            await bench.worker.stop()
            await bench.worker.abandon()
        }
        #expect(bench.executor.now < .seconds(2))
        #expect(bench.ledger.events == [.handedBack(0), .redelivered(0)])
    }
}
