import ChatJobs
import Pipeline
import PipelineTestKit
import Synchronization
import Testing

@Suite struct PipelineTests {
    @Test func whatCallsCostThatCameToNothingIsNotedOnce() throws {
        let bench = Workbench { job in
            job.id.text.hasSuffix("7") ? .fails(JobFailure(.modelRejected, "no")) : .answers
        }
        let messages = try (0..<400).map { SimulatedMessage(number: $0, try job("j\($0)")) }
        bench.run { await $0.broker.publish(messages) }
        let notes = bench.ledger.notes
        #expect(notes.count == bench.ledger.lostCalls && (5...35).contains(notes.count), "\(notes.count)")
        #expect(notes.allSatisfy { $0.kind == .lostCall && $0.usage.completionTokens == 1 && $0.model == "simulated" })
    }

    @Test func theLedgerHasEachCallOnceAlsoWhenItsWorkerIsKilled() throws {
        let bench = Workbench { $0.id.text == "j9" ? .fails(JobFailure(.modelRejected, "no")) : .answers }
        let next = bench.another
        let messages = try (0..<10).map { SimulatedMessage(number: $0, try job("j\($0)")) }
        bench.run { bench in
            await bench.broker.publish([messages[0]])
            await bench.broker.untilDrained()
            await bench.broker.publish(Array(messages.dropFirst()))
            while bench.model.calls.count < 10 { await bench.executor.sleep(.milliseconds(1)) }
            await next.connect()
            let work = Task(executorPreference: bench.executor) { await next.run() }
            await bench.worker.kill()
            await bench.broker.untilDrained()
            await next.stop()
            await work.value
        }
        #expect(bench.model.calls.count == 19)
        #expect(bench.ledger.spending.notedAsLost == 9)
        #expect(bench.ledger.spending.noted == 18 + bench.ledger.lostCalls)
    }

    @Test func whatIsMadeHereIsInTheLedgerWithoutBeingOpened() throws {
        let bench = Workbench(isLocal: true)
        bench.answer(SimulatedMessage(number: 0, try job("a")))
        #expect(bench.ledger.spending.opened == 0)
    }

    @Test func aLoneJobStartsAtOnce() throws {
        let bench = Workbench()
        bench.answer(SimulatedMessage(number: 0, try job("a")))
        // One round trip to the store, and no waiting for company.
        #expect(bench.model.times == [.milliseconds(2)])
    }

    @Test func theResultIsStoredThenRepliedThenAcknowledged() throws {
        let bench = Workbench()
        let message = SimulatedMessage(number: 0, try job("a"))
        bench.answer(message)
        let id = try #require(message.id)
        #expect(
            bench.ledger.events == [
                .modelCalled(id), .stored(id, .succeeded), .replied(.reply, correlationID: "c0"), .acknowledged(0),
            ])
        let reply = try #require(bench.replies.first)
        #expect(reply.answer == "Answer 1 to What about a?.")
        #expect(reply.model == "simulated")
        #expect(reply.usage == Usage(promptTokens: 10, completionTokens: 5))
        #expect(reply.attempts == 1)
        #expect(reply.timings.generate == 100)
    }

    @Test func aReplyCarriesWhatTheProducerWantsEchoed() throws {
        let bench = Workbench()
        var message = SimulatedMessage(
            number: 0,
            try job("a") {
                $0.agent = "aftersale"
                $0.metadata = Array(#"{ "k" : [1, 2.50] }"#.utf8)
            }, priority: 7)
        message.envelope.earlierAttempts = 2
        bench.answer(message)
        let outgoing = try #require(bench.ledger.replies.first)
        #expect(outgoing.priority == 7)
        #expect(outgoing.messageID == "a")
        let reply = try #require(bench.replies.first)
        #expect(reply.agent == "aftersale")
        #expect(reply.metadata == Array(#"{ "k" : [1, 2.50] }"#.utf8))
        #expect(reply.attempts == 3)
    }

    @Test func theCorrelationIDOfAJobWithoutOneIsItsID() throws {
        var message = SimulatedMessage(number: 0, try job("a"))
        message.envelope.correlationID = nil
        let bench = Workbench()
        let sent = message
        let outcome = bench.executor.run {
            await bench.worker.connect()
            async let work: Void = bench.worker.run()
            await bench.broker.publish([sent])
            await bench.broker.untilDrained()
            await bench.worker.stop()
            await work
        }
        #expect(outcome == .finished)
        #expect(bench.ledger.replies.map(\.correlationID) == ["a"])
    }

    // MARK: - The order of work

    @Test func inFrontOfASaturatedModelPriorityThenDeadlineThenArrivalDecide() throws {
        var configuration = PipelineConfiguration()
        configuration.answering.agent.modelConcurrency = 1
        let bench = Workbench(configuration)
        let first = SimulatedMessage(number: 0, try job("running"))
        let others = [
            SimulatedMessage(number: 1, try job("bulk"), priority: 0),
            SimulatedMessage(number: 2, try job("urgent"), priority: 9),
            SimulatedMessage(number: 3, try job("default-1")),
            SimulatedMessage(number: 4, try job("default-2")),
            SimulatedMessage(number: 5, try job("due-late") { $0.deadline = later(60_000) }),
            SimulatedMessage(number: 6, try job("due-soon") { $0.deadline = later(30_000) }),
        ]
        bench.run {
            await $0.broker.publish([first])
            await $0.executor.sleep(.milliseconds(50))
            await $0.broker.publish(others)
        }
        #expect(
            bench.model.calls.map(\.text) == [
                "running", "urgent", "due-soon", "due-late", "default-1", "default-2", "bulk",
            ])
        #expect(bench.model.mostRunning == 1)
    }

    @Test func aJobSettlesAsSoonAsItIsAnswered() throws {
        var configuration = PipelineConfiguration()
        configuration.answering.agent.modelConcurrency = 1
        let bench = Workbench(configuration)
        bench.answer(SimulatedMessage(number: 0, try job("a")), SimulatedMessage(number: 1, try job("b")))
        let events = bench.ledger.events
        let acknowledged = events.indices.filter { if case .acknowledged = events[$0] { true } else { false } }
        let stored = events.indices.filter { if case .stored = events[$0] { true } else { false } }
        #expect(acknowledged[0] < stored[1])
    }

    @Test func failuresGiveTheirPlaceAtTheModelBack() throws {
        var configuration = PipelineConfiguration()
        configuration.answering.agent.modelConcurrency = 2
        let bench = Workbench(configuration) { _ in .fails(JobFailure(.modelRejected, "no")) }
        // One after another, so that no waiter takes over a place before it has been given back.
        bench.run { bench in
            for number in 0..<10 {
                guard let job = try? job("job-\(number)") else { return }
                await bench.broker.publish([SimulatedMessage(number: number, job)])
                await bench.broker.untilDrained()
            }
        }
        #expect(bench.model.calls.count == 10)
    }

    // MARK: - Nothing is done twice

    @Test func aStoredResultIsRepliedWithoutAModelCall() throws {
        let bench = Workbench()
        let message = SimulatedMessage(number: 0, try job("a"))
        var stored = Reply(id: "a", status: .succeeded)
        stored.answer = "from yesterday"
        let kept = stored
        bench.run {
            if let id = message.id { await $0.store.seed(id, kept) }
            await $0.broker.publish([message])
        }
        #expect(bench.model.calls.isEmpty)
        #expect(bench.ledger.replies.map(\.body) == [kept.encoded()])
    }

    @Test func twoDeliveriesOfOneIDInOneWindowAreOneModelCall() throws {
        let bench = Workbench()
        bench.answer(SimulatedMessage(number: 0, try job("a")), SimulatedMessage(number: 1, try job("a")))
        #expect(bench.model.calls.count == 1)
        #expect(Set(bench.ledger.replies.map(\.correlationID)) == ["c0", "c1"])
        #expect(Set(bench.ledger.replies.map(\.body)).count == 1)
    }

    @Test func aRedeliveryJoinsTheCallInFlight() throws {
        let bench = Workbench()
        let message = SimulatedMessage(number: 0, try job("a"))
        bench.run {
            await $0.broker.publish([message])
            await $0.executor.sleep(.milliseconds(50))
            await $0.broker.cut(worker: 0, for: .milliseconds(5))
        }
        #expect(bench.ledger.events.contains(.redelivered(0)))
        #expect(bench.model.calls.count == 1)
        // The receipt of the first delivery is void: only the second may be acknowledged.
        #expect(bench.ledger.events.filter { $0 == .acknowledged(0) }.count == 1)
    }

    @Test func aFollowerOfAConnectionThatHasEndedIsInFlightNoMore() throws {
        let bench = Workbench()
        let message = SimulatedMessage(number: 0, try job("a"))
        bench.run {
            await $0.broker.publish([message])
            for _ in 0..<3 {
                await $0.executor.sleep(.milliseconds(20))
                await $0.broker.cut(worker: 0, for: .milliseconds(5))
            }
            await $0.executor.sleep(.milliseconds(20))
            // The one that is worked on, and the one that will be acknowledged.
            #expect(await $0.worker.pipeline.inFlight == 2)
        }
        #expect(bench.model.calls.count == 1)
        #expect(bench.ledger.events.filter { $0 == .acknowledged(0) }.count == 1)
    }

    @Test(arguments: [false, true])
    func onlyWhatIsPaidForOrStreamsIsClaimed(isLocal: Bool) throws {
        let claims = Mutex<[Int]>([])
        let plain = SimulatedMessage(number: 0, try job("a"))
        let streamed = SimulatedMessage(number: 1, try job("b") { $0.stream = true })
        Workbench(isLocal: isLocal).run { bench in
            for message in [plain, streamed] {
                await bench.broker.publish([message])
                await bench.broker.untilDrained()
                let taken = await bench.store.claimsTaken
                claims.withLock { $0.append(taken) }
            }
        }
        #expect(claims.withLock { $0 } == (isLocal ? [0, 1] : [1, 2]))
    }

    @Test func aStoredFailureIsRepliedAndDeadLetteredAgain() throws {
        let bench = Workbench()
        let message = SimulatedMessage(number: 0, try job("a"))
        let stored = Reply(id: "a", failure: JobFailure(.modelRejected, "no"))
        bench.run {
            if let id = message.id { await $0.store.seed(id, stored) }
            await $0.broker.publish([message])
        }
        #expect(bench.model.calls.isEmpty)
        #expect(bench.ledger.events.contains(.deadLettered(0, .modelRejected)))
        #expect(bench.ledger.replies.map(\.body) == [stored.encoded()])
    }

    @Test func theLoserOfARaceRepliesWithTheWinnersResult() throws {
        let bench = Workbench()
        let message = SimulatedMessage(number: 0, try job("a"))
        var winner = Reply(id: "a", status: .succeeded)
        winner.answer = "another worker's"
        let kept = winner
        bench.run {
            await $0.broker.publish([message])
            await $0.executor.sleep(.milliseconds(50))
            if let id = message.id { await $0.store.seed(id, kept) }
        }
        #expect(bench.model.calls.count == 1)
        #expect(bench.ledger.replies.map(\.body) == [kept.encoded()])
    }

    @Test func aRequeuedFailureIsWorkedOnAgain() throws {
        let bench = Workbench()
        var message = SimulatedMessage(number: 0, try job("a"))
        message.envelope.requeues = 1
        let sent = message
        bench.run {
            if let id = sent.id { await $0.store.seed(id, Reply(id: "a", failure: JobFailure(.modelTimeout, "slow"))) }
            await $0.broker.publish([sent])
        }
        #expect(bench.model.calls.count == 1)
        #expect(bench.replies.map(\.status) == [.succeeded])
    }

    // MARK: - Deadlines

    @Test func aJobPastItsDeadlineIsExpiredWithoutAModelCall() throws {
        let bench = Workbench()
        let message = SimulatedMessage(number: 0, try job("a") { $0.deadline = later(0) })
        bench.answer(message)
        let id = try #require(message.id)
        #expect(
            bench.ledger.events == [
                .stored(id, .expired), .replied(.reply, correlationID: "c0"), .acknowledged(0),
            ])
        #expect(bench.replies.first?.error?.code == "expired")
    }

    @Test func aDeadlineShortensTheModelsTimeAndEndsAsExpired() throws {
        let bench = Workbench()
        bench.answer(SimulatedMessage(number: 0, try job("a") { $0.deadline = later(52) }))
        #expect(bench.model.timeouts == [.milliseconds(50)])
        #expect(bench.replies.map(\.status) == [.expired])
    }

    @Test func aSlowModelFailsTheJobWhenNoDeadlineDoes() throws {
        var configuration = PipelineConfiguration()
        configuration.answering.agent.modelTimeout = .milliseconds(10)
        let bench = Workbench(configuration)
        bench.answer(SimulatedMessage(number: 0, try job("a")))
        #expect(bench.replies.first?.error?.code == "model_timeout")
        // After five attempts that is the last word.
        #expect(bench.replies.first?.error?.retryable == false)
        #expect(bench.replies.first?.error?.message.contains("no attempts are left, and for about 24 h") == true)
        #expect(bench.ledger.events.contains(.deadLettered(0, .modelTimeout)))
    }
}
