import Foundation
import ParleyClient
import TestSupport
import Testing

/// The library for Swift producers, between a real broker, a real Redis and a running worker.
extension ContractTests {
    private func withClient<T>(
        of worker: Worker, at url: String? = Surroundings.rabbitMQ, _ body: (ParleyClient) async throws -> T
    ) async throws -> T {
        let client = try await ParleyClient.connect(
            ParleyClientConfiguration(
                rabbitMQ: try #require(url), redis: Surroundings.redis, queue: worker.queue))
        do {
            let result = try await body(client)
            await client.close()
            return result
        } catch {
            await client.close()
            throw error
        }
    }

    @Test func aSwiftProducerAsksAndAwaitsTheReply() async throws {
        let worker = try await Worker.start()
        try await withClient(of: worker) { client in
            let reply = try await client.ask("Where is my parcel?")
            #expect(reply.status == .succeeded)
            #expect(reply.answer == "Where is my parcel?")
            let replies = try await withThrowingTaskGroup(of: Bool.self) { group in
                for number in 0..<100 {
                    group.addTask { try await client.ask("question \(number)").answer == "question \(number)" }
                }
                return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            #expect(replies == 100)
        }
    }

    /// The worker answers faster than the reply queue is made, whose connection is the third: a job published before has no
    /// queue to be answered on.
    @Test func whatASwiftProducerAsksAtOnceIsAnswered() async throws {
        let worker = try await Worker.start()
        var url = try #require(URLComponents(string: Surroundings.rabbitMQ ?? ""))
        let door = try SlowDoor(to: UInt16(url.port ?? 5672), slowFrom: 2, by: 0.5)
        url.port = Int(door.port)
        try await withClient(of: worker, at: url.string) { client in
            try await client.publish(JobMessage(Job(id: .random(), query: "the second is there")))
            let replies = try await withThrowingTaskGroup(of: Bool.self) { group in
                for number in 0..<50 {
                    group.addTask {
                        let job = Job(id: .random(), query: "question \(number)")
                        return try await client.ask(job, timeout: .seconds(60)).answer == job.query
                    }
                }
                return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            #expect(replies == 50)
        }
    }

    @Test func aSwiftProducerReadsTheAnswerAsItIsWritten() async throws {
        let worker = try await Worker.start()
        try await withClient(of: worker) { client in
            let job = Job(id: .random(), query: "one two three four")
            var pieces = ""
            var reply: Reply?
            for try await event in try await client.stream(job) {
                switch event {
                case .delta(let text): pieces += text
                case .restarted: pieces = ""
                case .reply(let last): reply = last
                }
            }
            #expect(pieces == "one two three four")
            #expect(reply?.answer == pieces)
        }
    }

    @Test func aSwiftProducerPublishesManyAndFetchesResultsById() async throws {
        let worker = try await Worker.start()
        try await withClient(of: worker) { client in
            let jobs = (0..<500).map { Job(id: .random(), query: "bulk \($0)") }
            let outcomes = await client.publish(jobs.map { JobMessage($0, priority: 0) })
            #expect(outcomes.allSatisfy { (try? $0.get()) != nil })
            for job in [jobs[0], jobs[250], jobs[499]] {
                let reply = try await eventually("the result") { try await client.result(job.id) }
                #expect(reply.answer == job.query)
            }
            #expect(try await client.result(.random()) == nil)
        }
    }

    @Test func aSwiftProducerIsToldWhatIsWrong() async throws {
        #expect(throws: ParleyClientError.self) { try ParleyClientConfiguration(rabbitMQ: "http://x") }
        let nobody = try ParleyClientConfiguration(rabbitMQ: "amqp://127.0.0.1:\(try freePort())/", redis: nil)
        let error = await #expect(throws: ParleyClientError.self) { try await ParleyClient.connect(nobody) }
        #expect(error?.code == .unreachable)
        let idle = try ParleyClientConfiguration(
            rabbitMQ: try #require(Surroundings.rabbitMQ), redis: nil, queue: "nobody.\(unique())")
        let client = try await ParleyClient.connect(idle)
        let late = await #expect(throws: ParleyClientError.self) {
            try await client.ask(Job(id: .random(), query: "x"), timeout: .milliseconds(200))
        }
        #expect(late?.code == .timedOut)
        await client.close()
        let closed = await #expect(throws: ParleyClientError.self) { try await client.ask("x") }
        #expect(closed?.code == .closed)
    }

    /// Whoever comes back has all pieces from the first, and the rest as it comes.
    @Test func aSwiftProducerComesBackForAStream() async throws {
        let model = try await ModelServer(delay: .milliseconds(700))
        let worker = try await Worker.start(["model.url": model.url, "stream.keep": "60s", "model.stream": "always"])
        let id = JobID.random()
        try await withClient(of: worker) { client in
            var job = Job(id: id, query: "Where was I?")
            job.stream = true
            // Its connection ends with the first piece, and its reply queue with that.
            for try await event in try await client.stream(job) {
                if case .delta = event { break }
            }
        }
        try await withClient(of: worker) { client in
            var (pieces, reply): ([String], Reply?) = ([], nil)
            for try await event in try await client.resume(id) {
                switch event {
                case .delta(let piece): pieces.append(piece)
                case .restarted: pieces = []
                case .reply(let last): reply = last
                }
            }
            #expect(reply?.answer == "one two three" && pieces.joined() == "one two three")
            #expect(pieces.count > 1)
            // Later, all of it at once.
            var again = ""
            for try await event in try await client.resume(id) {
                if case .delta(let piece) = event { again += piece }
            }
            #expect(again == "one two three")
            await #expect(throws: ParleyClientError.self) {
                for try await _ in try await client.resume(.random(), timeout: .milliseconds(200)) {}
            }
        }
        try await worker.stop()
    }
}
