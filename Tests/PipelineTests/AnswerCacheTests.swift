import Answering
import ChatJobs
import Pipeline
import Testing

@testable import PipelineTestKit

/// No answer is paid for twice: in memory, in the store, and while it is being made.
@Suite struct AnswerCacheTests {
    private func configuration(
        memory: Int = 1 << 20, memoryLife: Duration = .seconds(60), storeLife: Duration = .seconds(600),
        stale: Duration = .zero, scope: CacheScope = .tenant, passages: Int = 0
    ) -> PipelineConfiguration {
        var configuration = PipelineConfiguration()
        configuration.answering.cache = CacheSettings(
            keys: AnswerKeys(scope: scope), memory: memory,
            memoryLife: memoryLife, storeLife: storeLife, jitter: 0, stale: stale,
            passages: passages)
        return configuration
    }

    /// Asks one after the other.
    private func searches(_ changes: [@Sendable (inout Job) -> Void], changing: Int? = nil) throws -> (Int, Workbench) {
        let bench = bench(configuration(passages: 1 << 20), index: true)
        let messages = try changes.enumerated().map { number, change in try asking(number, change) }
        bench.run { bench in
            for (number, message) in messages.enumerated() {
                if number == changing {
                    bench.passages?.change()
                    await bench.executor.sleep(.seconds(4))
                }
                await bench.broker.publish([message])
                await bench.executor.sleep(.seconds(2))
            }
        }
        return (bench.passages?.calls.count ?? 0, bench)
    }

    @Test func whatWasFoundForAQuestionIsNotSearchedForAgain() throws {
        let (count, bench) = try searches([
            { $0.options.topK = 3 },
            {
                $0.options.topK = 3
                $0.options.temperature = 1
            }, { $0.options.topK = 2 },
        ])
        #expect(count == 1)
        #expect(bench.model.calls.count == 3)
        #expect(bench.model.passages == [3, 3, 2])
    }

    @Test func itIsWhenMoreIsWantedTheIndexHasChangedOrTheJobSaysSo() throws {
        #expect(try searches([{ $0.options.topK = 2 }, { $0.options.topK = 3 }]).0 == 2)
        #expect(try searches([{ _ in }, { $0.options.temperature = 1 }], changing: 1).0 == 2)
        #expect(try searches([{ _ in }, { $0.options.cache = .bypass }, { $0.options.cache = .refresh }]).0 == 3)
    }

    private func asking(_ number: Int, _ change: (inout Job) -> Void = { _ in }) throws -> SimulatedMessage {
        SimulatedMessage(
            number: number,
            try job("job-\(number)") {
                $0.query = "Where is my parcel?"
                change(&$0)
            })
    }

    private func bench(
        _ configuration: PipelineConfiguration, index: Bool? = nil,
        reaction: @escaping @Sendable (Job) -> SimulatedModel.Reaction = { _ in .answers }
    ) -> Workbench {
        let bench = Workbench(configuration, index: index, reaction: reaction)
        bench.ledger.sharesCalls = true
        return bench
    }

    private func reuse(_ bench: Workbench) -> [String: Reply.Cached] {
        Dictionary(uniqueKeysWithValues: bench.replies.map { ($0.id ?? "", $0.cached) })
    }

    // MARK: - Two tiers

    @Test func theSameQuestionIsAnsweredFromMemory() throws {
        let bench = bench(configuration())
        let (first, second) = (try asking(0), try asking(1))
        bench.run {
            await $0.broker.publish([first])
            await $0.executor.sleep(.seconds(5))
            await $0.broker.publish([second])
        }
        #expect(bench.model.calls.count == 1)
        #expect(reuse(bench) == ["job-0": .none, "job-1": .memory])
        let (made, given) = (bench.replies[0], bench.replies[1])
        #expect(made.answer == given.answer && made.sources == given.sources && made.model == given.model)
        #expect(made.age == nil && made.usage?.calls == 1 && made.usage?.promptTokens == 10)
        #expect(given.usage == Usage(promptTokens: 0, completionTokens: 0, calls: 0))
        let age = try #require(given.age)
        #expect(age > .seconds(4) && age < .seconds(6) && !given.isStale)
    }

    @Test func afterItsTimeInMemoryItComesFromTheStore() throws {
        let bench = bench(configuration())
        let messages = try (0..<3).map { try asking($0) }
        bench.run {
            for message in messages {
                await $0.broker.publish([message])
                await $0.executor.sleep(.seconds(65))
            }
        }
        #expect(reuse(bench) == ["job-0": .none, "job-1": .redis, "job-2": .redis])
        #expect(bench.model.calls.count == 1)
    }

    @Test func afterItsTimeInTheStoreItIsMadeAnew() throws {
        let bench = bench(configuration(storeLife: .seconds(100)))
        let (first, second) = (try asking(0), try asking(1))
        bench.run {
            await $0.broker.publish([first])
            await $0.executor.sleep(.seconds(101))
            await $0.broker.publish([second])
        }
        #expect(bench.model.calls.count == 2)
    }

    // MARK: - Renewing

    /// Asked five times a second for a minute, the answer lives for 20 s, and one takes about a second to make.
    private func aPopularQuestion(_ change: (inout CacheSettings) -> Void = { _ in }) throws -> Workbench {
        var configuration = configuration(memoryLife: .seconds(5), storeLife: .seconds(20))
        configuration.answering.cache.map { cache in
            var cache = cache
            change(&cache)
            configuration.answering.cache = cache
        }
        var latencies = Latencies.constant
        latencies.model = .seconds(1) ... .seconds(1)
        let bench = Workbench(configuration, latencies: latencies)
        bench.ledger.sharesCalls = true
        let messages = try (0..<300).map { try asking($0) }
        bench.run {
            for message in messages {
                await $0.broker.publish([message])
                await $0.executor.sleep(.milliseconds(200))
            }
        }
        return bench
    }

    @Test func whatIsAskedOftenIsMadeAnewBeforeItExpires() throws {
        let bench = try aPopularQuestion()
        // Nobody waited but those who came before there was an answer.
        let waited = bench.replies.filter { $0.cached == .none || $0.cached == .coalesced }
        #expect(waited.count <= 6, "\(waited.map(\.id))")
        #expect((3...6).contains(bench.model.calls.count), "\(bench.model.calls)")
        #expect(Set(bench.model.calls.dropFirst().map { $0.text.prefix(8) }) == ["renewal."])
        // The ledger has what no reply says.
        let notes = bench.ledger.notes
        #expect(notes.count == bench.model.calls.count - 1)
        #expect(notes.allSatisfy { $0.kind == .renewal && $0.usage.promptTokens == 10 && $0.usage.calls == 1 })
        // No answer is older than it may be.
        #expect(bench.replies.allSatisfy { $0.age ?? .zero <= .seconds(20) })
        #expect(bench.answers.beingMade == 0)
    }

    @Test func withoutThatOneOfManyWaits() throws {
        let bench = try aPopularQuestion { $0.renewsAhead = false }
        #expect(bench.replies.count { $0.cached == .none } == bench.model.calls.count)
        #expect(bench.model.calls.count == 3)
    }

    @Test func garbageInTheStoreIsAMiss() throws {
        let bench = bench(configuration(memory: 0))
        let (first, second) = (try asking(0), try asking(1))
        bench.run {
            await $0.broker.publish([first])
            await $0.executor.sleep(.seconds(1))
            $0.answers.damage { Array($0.dropLast()) }
            await $0.broker.publish([second])
        }
        #expect(reuse(bench).values.allSatisfy { $0 == .none })
        #expect(bench.model.calls.count == 2)
    }

    @Test func aWindowAsksTheStoreOnceAndWhileTheJobsAreClaimed() throws {
        var latencies = Latencies.constant
        latencies.store = .milliseconds(50) ... .milliseconds(50)
        let bench = Workbench(configuration(), latencies: latencies)
        let messages = try (0..<40).map { number in try asking(number) { $0.query = "question \(number)" } }
        bench.run { await $0.broker.publish(messages) }
        #expect(bench.answers.asked == 1)
        // There and back for the claims is 100 ms; the look into the store is within it.
        #expect(bench.model.times.allSatisfy { $0 < .milliseconds(110) })
    }

    @Test(arguments: [JobOptions.Cache.refresh, .bypass])
    func aJobCanWantAnAnswerOfItsOwn(mode: JobOptions.Cache) throws {
        let bench = bench(configuration())
        let messages = [try asking(0), try asking(1) { $0.options.cache = mode }, try asking(2)]
        bench.run {
            for message in messages {
                await $0.broker.publish([message])
                await $0.executor.sleep(.seconds(1))
            }
        }
        #expect(bench.model.calls.count == 2)
        #expect(reuse(bench) == ["job-0": .none, "job-1": .none, "job-2": .memory])
        // A refreshed answer is the one that is kept.
        let last = bench.replies.first { $0.id == "job-2" }?.answer
        let source = mode == .refresh ? "job-1" : "job-0"
        #expect(last == bench.replies.first { $0.id == source }?.answer)
    }

    @Test func aFailureIsNotKept() throws {
        let bench = bench(configuration()) {
            $0.id.text == "job-0" ? .fails(JobFailure(.modelRejected, "no")) : .answers
        }
        let (first, second) = (try asking(0), try asking(1))
        bench.run {
            await $0.broker.publish([first])
            await $0.executor.sleep(.seconds(1))
            await $0.broker.publish([second])
        }
        #expect(bench.replies.map(\.status) == [.failed, .succeeded])
    }

    @Test func noAnswerIsGivenToAnotherTenant() throws {
        let bench = bench(configuration())
        let messages = try [nil, "a", "b", "a"].enumerated().map { number, tenant in
            try asking(number) { $0.tenant = tenant }
        }
        bench.run {
            for message in messages {
                await $0.broker.publish([message])
                await $0.executor.sleep(.seconds(1))
            }
        }
        #expect(bench.model.calls.count == 3)
        #expect(reuse(bench)["job-3"] == .memory)
    }

    @Test func whatWasAnsweredBeforeAnIngestIsNotGivenAfterIt() throws {
        let bench = bench(configuration(), index: true)
        let messages = try (0..<3).map { try asking($0) }
        bench.run {
            await $0.broker.publish([messages[0]])
            await $0.executor.sleep(.seconds(10))
            await $0.broker.publish([messages[1]])
            await $0.executor.sleep(.seconds(10))
            $0.passages?.change()
            await $0.broker.publish([messages[2]])
        }
        #expect(reuse(bench) == ["job-0": .none, "job-1": .memory, "job-2": .none])
    }

    @Test func anIngestIsSeenWithinSecondsWhileQuestionsComeAllTheTime() throws {
        let bench = bench(configuration(), index: true)
        let messages = try (0..<100).map { try asking($0) }
        bench.run {
            for (number, message) in messages.enumerated() {
                if number == 50 { $0.passages?.change() }
                await $0.broker.publish([message])
                await $0.executor.sleep(.milliseconds(100))
            }
        }
        let anew = bench.replies.filter { $0.cached == .none }.compactMap(\.id)
        #expect(anew.count == 2 && anew.first == "job-0")
        let second = Int(anew.last?.dropFirst(4) ?? "") ?? 0
        #expect((50...65).contains(second), "\(anew)")
    }

    @Test func jobsThatNeedNoPassagesDoNotWaitForAStoreThatHangs() throws {
        let bench = bench(configuration(), index: true)
        let message = try asking(0) { $0.options.retrieve = .never }
        bench.run {
            $0.passages?.goAway(for: .seconds(60), hanging: true)
            await $0.broker.publish([message])
        }
        #expect(bench.replies.map(\.status) == [.succeeded])
        #expect(bench.executor.now < .seconds(1))
    }

    @Test func whileTheModelIsAwayAnExpiredAnswerMayStandIn() throws {
        let bench = bench(configuration(storeLife: .seconds(60), stale: .seconds(600)))
        let (first, second) = (try asking(0), try asking(1))
        bench.run {
            await $0.broker.publish([first])
            await $0.executor.sleep(.seconds(120))
            $0.model.goAway(for: .seconds(3600))
            await $0.broker.publish([second])
        }
        let given = bench.replies.first { $0.id == "job-1" }
        #expect(given?.isStale == true && given?.cached == .memory && given?.status == .succeeded)
        #expect(bench.executor.now < .seconds(130))
    }

    @Test(arguments: [ErrorCode.modelUnavailable, .modelTimeout, .internal, .modelRejected])
    func anExpiredAnswerStandsInForOneThatTheModelFailsToGive(code: ErrorCode) throws {
        let bench = bench(configuration(storeLife: .seconds(60), stale: .seconds(600))) { job in
            job.id.text == "job-0" ? .answers : .failsAtOnce(JobFailure(code, "the model fails"))
        }
        let (first, second) = (try asking(0), try asking(1))
        bench.run {
            await $0.broker.publish([first])
            await $0.executor.sleep(.seconds(120))
            await $0.broker.publish([second])
        }
        let given = bench.replies.first { $0.id == "job-1" }
        // What is refused is this question's own doing.
        #expect(given?.status == (code == .modelRejected ? .failed : .succeeded))
        #expect(given?.isStale == (code != .modelRejected))
        #expect(bench.model.calls.count == 2)
    }

    @Test func whatTheStoreLetsGoIsNotGivenFromMemory() throws {
        for memory in [1 << 20, 0] {
            let bench = bench(configuration(memory: memory, storeLife: .seconds(1), stale: .seconds(600)))
            let (first, second) = (try asking(0), try asking(1))
            bench.run {
                await $0.broker.publish([first])
                await $0.executor.sleep(.seconds(3))
                await $0.broker.publish([second])
            }
            #expect(bench.model.calls.count == 2, "memory \(memory)")
            #expect(bench.replies.allSatisfy { !$0.isStale && $0.cached == .none })
        }
    }

    // MARK: - Joined questions

    @Test func aHundredEqualQuestionsAreOneCall() throws {
        let bench = bench(configuration())
        let messages = try (0..<100).map { try asking($0) }
        bench.run { await $0.broker.publish(messages) }
        #expect(bench.model.calls.count == 1)
        #expect(bench.replies.count == 100 && bench.replies.allSatisfy { $0.status == .succeeded })
        #expect(bench.replies.count { $0.cached == .coalesced } == 99)
        #expect(bench.replies.reduce(0) { $0 + ($1.usage?.calls ?? 0) } == 1)
        #expect(bench.replies.reduce(0) { $0 + ($1.usage?.promptTokens ?? 0) } == 10)
    }

    @Test func whoComesLaterJoinsWhatIsUnderWay() throws {
        let bench = bench(configuration())
        let (first, second) = (try asking(0), try asking(1))
        bench.run {
            await $0.broker.publish([first])
            await $0.executor.sleep(.milliseconds(60))
            await $0.broker.publish([second])
        }
        #expect(bench.model.calls.count == 1)
        #expect(reuse(bench) == ["job-0": .none, "job-1": .coalesced])
    }

    @Test func aLeadsDeadlineOrRevocationEndsIt_NotThoseWhoJoined() throws {
        let bench = bench(configuration())
        let messages = [try asking(0) { $0.deadline = later(50) }, try asking(1), try asking(2)]
        bench.run {
            await $0.broker.publish(messages)
            await $0.executor.sleep(.milliseconds(60))
            if let id = messages[1].id { await $0.store.revoke(id) }
            await $0.worker.pipeline.checkRevocations()
        }
        let statuses = Dictionary(uniqueKeysWithValues: bench.replies.map { ($0.id ?? "", $0.status) })
        #expect(statuses == ["job-0": .expired, "job-1": .revoked, "job-2": .succeeded])
        #expect(bench.model.calls.count == 1)
        // Who is left accounts for the call.
        #expect(bench.replies.first { $0.id == "job-2" }?.usage?.calls == 1)
    }

    @Test func theCallIsAbortedWhenNobodyWaitsForItAnyMore() throws {
        let bench = bench(configuration())
        let messages = try (0..<3).map { number in try asking(number) { $0.deadline = later(50) } }
        bench.run { await $0.broker.publish(messages) }
        #expect(bench.replies.map(\.status) == [.expired, .expired, .expired])
        #expect(bench.executor.now < .milliseconds(80))
    }

    @Test func aFailedCallFailsAllThatWaitForIt() throws {
        let bench = bench(configuration()) { _ in .fails(JobFailure(.modelRejected, "no")) }
        let messages = try (0..<3).map { try asking($0) }
        bench.run { await $0.broker.publish(messages) }
        #expect(bench.model.calls.count == 1)
        #expect(bench.replies.map(\.status) == [.failed, .failed, .failed])
    }

    @Test func whoStreamsHasAllOfTheAnswerHoweverLateItCame() throws {
        let bench = bench(configuration())
        let messages = try (0..<3).map { number in try asking(number) { $0.stream = true } }
        bench.run {
            await $0.broker.publish([messages[0]])
            await $0.executor.sleep(.milliseconds(60))
            await $0.broker.publish([messages[1]])
            await $0.executor.sleep(.seconds(1))
            await $0.broker.publish([messages[2]])
        }
        #expect(bench.model.calls.count == 1)
        for number in 0..<3 {
            let chunks = bench.ledger.replies.filter { $0.kind == .chunk && $0.correlationID == "c\(number)" }
            let text = chunks.compactMap { try? Chunk(decoding: $0.body).delta }.joined()
            #expect(text == bench.replies.first { $0.id == "job-\(number)" }?.answer, "job-\(number)")
        }
    }

    @Test func aPersonWhoJoinsBulkWorkDoesNotWaitAsLong() throws {
        var configuration = configuration()
        configuration.answering.agent.modelConcurrency = 1
        let bench = bench(configuration)
        var messages = try (0..<10).map { number in try asking(number) { $0.query = "bulk \(number)" } }
        for index in messages.indices { messages[index].envelope.priority = 1 }
        var person = try asking(99) { $0.query = "bulk 9" }
        person.envelope.priority = 9
        bench.run { [messages, person] in
            await $0.broker.publish(messages)
            await $0.executor.sleep(.milliseconds(50))
            await $0.broker.publish([person])
        }
        // One call was under way when it came.
        #expect(bench.model.calls.prefix(2).map(\.text).contains("job-9"))
        #expect(bench.model.calls.count == 10)
    }
}
