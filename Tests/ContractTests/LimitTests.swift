import ParleyJSON
import TestSupport
import Testing

/// `limits.requests_per_minute`, `.tokens_per_minute`, `.concurrent`: over all workers.
@Suite(.enabled(if: Surroundings.areComplete)) struct LimitTests {
    @Test func workersTogetherAskNoMoreOftenThanTheyMay() async throws {
        let model = try await ModelServer()
        let queue = "contract.\(unique())"
        let settings = [
            "model.url": model.url, "model.name": unique(), "limits.requests_per_minute": "4",
        ]
        let first = try await Worker.start(queue: queue, settings)
        let second = try await Worker.start(queue: queue, settings)
        try await Producer.with { producer in
            for number in 0..<12 {
                try await producer.publish(#"{"query":"question \#(number)"}"#, to: first, id: unique())
            }
            for _ in 0..<4 { #expect(try await producer.nextReply().status == "succeeded") }
            // The others wait in the broker: each for a quarter of a minute more than the one before.
            _ = try await eventually("the others to be put aside") {
                let (one, other) = (try await delayed(first), try await delayed(second))
                return one + other >= 8 ? true : nil
            }
            #expect(model.questions.count == 4)
            let later = try await producer.nextReply()
            #expect(try later.status == "succeeded" && later.json["attempts"]?.int == 1)
            #expect(model.questions.count <= 6)
        }
        for worker in [first, second] { #expect(try await worker.stop() == 0) }
    }

    private func delayed(_ worker: Worker) async throws -> Double {
        try await worker.metric(#"parley_limit_delays_total{limit="model"}"#) ?? 0
    }

    @Test func workersTogetherHaveNoMoreCallsUnderWayThanTheyMay() async throws {
        let model = try await ModelServer(delay: .milliseconds(150))
        let queue = "contract.\(unique())"
        let settings = ["model.url": model.url, "model.name": unique(), "limits.concurrent": "2"]
        let first = try await Worker.start(queue: queue, settings)
        let second = try await Worker.start(queue: queue, settings)
        try await Producer.with { producer in
            for number in 0..<12 {
                try await producer.publish(#"{"query":"question \#(number)"}"#, to: first, id: unique())
            }
            for _ in 0..<12 {
                let reply = try await producer.nextReply()
                #expect(try reply.status == "succeeded" && reply.json["attempts"]?.int == 1)
            }
            #expect(model.mostAtOnce <= 2)
        }
        for worker in [first, second] { #expect(try await worker.stop() == 0) }
    }

    @Test func aTenantOverItsLimitHoldsNobodyElseUp() async throws {
        let worker = try await Worker.start([
            "tenants.flood.limits.requests_per_minute": "1", "agents.slow.limits.requests_per_minute": "1",
        ])
        try await Producer.with { producer in
            for number in 0..<20 {
                try await producer.publish(#"{"query":"f \#(number)","tenant":"flood"}"#, to: worker, id: unique())
            }
            for number in 0..<3 {
                try await producer.publish(#"{"query":"s \#(number)","agent":"slow"}"#, to: worker, id: unique())
            }
            for number in 0..<10 {
                try await producer.publish(#"{"query":"q \#(number)","tenant":"calm"}"#, to: worker, id: unique())
            }
            var answers: [String] = []
            for _ in 0..<12 { answers.append(try await producer.nextReply().answer ?? "") }
            #expect(answers.count { $0.hasPrefix("q") } == 10)
            #expect(answers.count { $0.hasPrefix("f") } == 1 && answers.count { $0.hasPrefix("s") } == 1)
            #expect(try await worker.metric(#"parley_limit_delays_total{limit="tenant"}"#) ?? 0 >= 19)
            #expect(try await worker.metric(#"parley_limit_delays_total{limit="agent"}"#) ?? 0 >= 2)
            // A deadline that comes first ends the wait.
            let late = try await producer.ask(
                #"{"query":"x","tenant":"flood","deadline":"\#(rfc3339(secondsFromNow: 3))"}"#, of: worker)
            #expect(try late.status != "succeeded")
        }
        #expect(try await worker.stop() == 0)
    }
}
