import ParleyJSON
import TestSupport
import Testing

/// `model.hedge`: a late call has a second one beside it.
@Suite(.enabled(if: Surroundings.areComplete)) struct HedgeTests {
    @Test func aLateAnswerComesFromTheOtherServerAndTheLateCallIsEndedAndAccountedFor() async throws {
        let (first, second) = (try await ModelServer(), try await ModelServer())
        let redis = try await PrivateRedis()
        let store = ["redis.url": redis.url()]
        let worker = try await Worker.start([
            "redis.url": redis.url(), "model.prices": "1, 1, 1",
            "model.endpoints": "\(first.url)|1000, \(second.url)", "model.name": "m", "model.hedge": "true",
        ])
        try await Producer.with { producer in
            // Fewer than pay for a second call.
            for number in 0..<49 { _ = try await producer.ask(#"{"query":"question \#(number)"}"#, of: worker) }
            #expect(try await worker.metric("parley_hedges_total") ?? 0 == 0)
            let before = second.questions.count
            first.answer(after: .seconds(600))
            let reply = try await producer.ask(#"{"query":"a late one"}"#, of: worker)
            #expect(try reply.json["status"]?.string == "succeeded")
            #expect(try reply.json["attempts"]?.int == 1)
            #expect(second.questions.count == before + 1)
            #expect(try await worker.metric("parley_hedges_total") == 1)
            #expect(try await worker.metric("parley_hedges_won_total") == 1)
            _ = try await eventually("the late call is ended") { first.abandoned == 1 ? true : nil }
            #expect(try await worker.metric("parley_model_calls_in_flight") == 0)
            let lost = try await eventually("it is in the ledger") {
                let costs = try await parley("costs", "--json", settings: store)
                let row = try costs.lines.first?["rows"]?.elements.first
                return row?["failed_calls"]?.int.flatMap { $0 > 0 ? row : nil }
            }
            #expect(lost["failed_calls"]?.int == 1 && lost["calls"]?.int == 51)
        }
        #expect(try await worker.stop() == 0)
    }
}
