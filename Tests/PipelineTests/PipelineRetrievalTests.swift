import ChatJobs
import Pipeline
import PipelineTestKit
import Testing

@Suite struct PipelineRetrievalTests {
    @Test func fewQuestionsOfAWindowAreLookedForEachByItself() throws {
        let bench = Workbench(index: true)
        bench.answer(
            SimulatedMessage(number: 0, try job("a")), SimulatedMessage(number: 1, try job("b")),
            SimulatedMessage(number: 2, try job("c") { $0.options.retrieve = .never }))
        #expect(bench.passages?.calls == [["What about a?"], ["What about b?"]])
    }

    @Test func manyQuestionsOfAWindowShareFourSearches() throws {
        let bench = Workbench(index: true)
        let messages = try (0..<10).map { SimulatedMessage(number: $0, try job("q\($0)")) }
        bench.run { await $0.broker.publish(messages) }
        #expect(bench.passages?.calls.map(\.count).sorted() == [2, 2, 3, 3])
        #expect(Set((bench.passages?.calls ?? []).flatMap { $0 }).count == 10)
    }

    @Test func eachJobGetsAsManyPassagesAsItAskedFor() throws {
        let bench = Workbench(index: true)
        bench.answer(
            SimulatedMessage(number: 0, try job("a")),
            SimulatedMessage(number: 1, try job("b") { $0.options.topK = 9 }),
            SimulatedMessage(number: 2, try job("c") { $0.options.topK = 1 }),
            SimulatedMessage(number: 3, try job("d")),
            SimulatedMessage(number: 4, try job("e") { $0.options.topK = 2 }))
        // The first and the fifth share a search.
        #expect(bench.passages?.topKs.sorted() == [1, 4, 4, 9])
        let counts = Dictionary(uniqueKeysWithValues: zip(bench.model.calls.map(\.text), bench.model.passages))
        #expect(counts == ["a": 4, "b": 9, "c": 1, "d": 4, "e": 2])
        #expect(bench.replies.first { $0.id == "b" }?.sources.count == 9)
    }

    @Test func withoutAnIndexAutoMeansNoRetrieval() throws {
        let bench = Workbench(index: false)
        bench.answer(SimulatedMessage(number: 0, try job("a")))
        #expect(bench.passages?.calls == [])
        #expect(bench.replies.map(\.status) == [.succeeded])
        #expect(bench.replies.first?.sources == [])
    }

    @Test(arguments: [nil, false]) func withoutAnIndexAlwaysIsAFailureThatSaysWhatToDo(index: Bool?) throws {
        let bench = Workbench(index: index)
        bench.answer(SimulatedMessage(number: 0, try job("a") { $0.options.retrieve = .always }))
        let error = try #require(bench.replies.first?.error)
        #expect(error.code == "retrieval_failed")
        #expect(error.message.contains("parley ingest"))
        #expect(bench.model.calls.isEmpty)
    }

    @Test func theConfiguredModeIsForJobsThatSayNothing() throws {
        var configuration = PipelineConfiguration()
        configuration.answering.agent.retrieve = .never
        configuration.answering.agent.topK = 2
        let bench = Workbench(configuration, index: true)
        bench.answer(
            SimulatedMessage(number: 0, try job("a")),
            SimulatedMessage(number: 1, try job("b") { $0.options.retrieve = .auto }))
        #expect(bench.passages?.calls == [["What about b?"]])
        #expect(bench.passages?.topKs == [2])
    }

    /// The search takes 10 ms.
    @Test(arguments: [(Int64(8), Reply.Status.expired), (800, .failed)])
    func aSearchThatFailsAfterTheDeadlineIsNotBlamed(_ milliseconds: Int64, _ status: Reply.Status) throws {
        var configuration = PipelineConfiguration()
        configuration.retry.maxAttempts = 1
        let bench = Workbench(configuration, index: true, failingSearches: 100)
        bench.answer(SimulatedMessage(number: 0, try job("a") { $0.deadline = later(milliseconds) }))
        #expect(bench.replies.map(\.status) == [status])
        #expect(bench.model.calls.isEmpty)
    }
}
