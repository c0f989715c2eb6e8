import TestSupport
import Testing

extension ContractTests {
    /// RabbitMQ 4 knows two classes in a quorum queue, up to 4 and above, and serves two of the higher for one of the
    /// lower; before it knew none. The worker takes one job at a time, so that the broker alone decides.
    @Test func inAQuorumQueueUrgentJobsPassOthersAsFarAsTheBrokerKnowsPriorities() async throws {
        let model = try await ModelServer()
        let settings = ["model.url": model.url, "queue.type": "quorum", "worker.prefetch": "1"]
        let first = try await Worker.start(settings)
        #expect(try await first.stop() == 0)
        try await Producer.with { producer in
            for _ in 0..<20 {
                try await producer.publish(#"{"query":"bulk"}"#, to: first, id: unique(), priority: 0)
            }
            for _ in 0..<5 {
                try await producer.publish(#"{"query":"urgent"}"#, to: first, id: unique(), priority: 9)
            }
            let worker = try await Worker.start(queue: first.queue, settings)
            _ = try await eventually("all answers") { model.questions.count == 25 ? true : nil }
            let last = try #require(model.questions.lastIndex { $0.contains("urgent") }) + 1
            let version = producer.connection.serverProperties["version"]?.string ?? ""
            if version.split(separator: ".").first.flatMap({ Int($0) }) ?? 0 >= 4 {
                #expect(last <= 12, "the last urgent job came as number \(last) of 25")
            } else {
                #expect(last == 25, "before RabbitMQ 4 they come as they were published")
            }
            try await worker.stop()
        }
    }
}
