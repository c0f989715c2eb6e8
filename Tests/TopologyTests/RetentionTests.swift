import ParleyRabbitMQ
import TestSupport
import Testing

@testable import Topology

/// How much is kept: said when a queue is declared, and told of one that does otherwise.
@Suite("Retention", .serialized, .enabled(if: PrivateRabbitMQ.isInstalled), .timeLimit(.minutes(2)), .privateRabbitMQ())
struct RetentionTests {
    private func queues(_ base: String, _ kind: JobQueues.Kind = .classic) -> JobQueues {
        var queues = JobQueues(base: base, kind: kind)
        queues.retention.deadTTL = .seconds(3600)
        queues.retention.deadLetters = 2
        queues.retention.delayedJobs = 3
        return queues
    }

    @Test("of more letters than are kept the oldest go", arguments: [JobQueues.Kind.classic, .quorum])
    func deadLetters(kind: JobQueues.Kind) async throws {
        let fixture = try Fixture()
        let queues = queues("kept.\(kind)", kind)
        #expect(queues.dead.arguments["x-message-ttl"] == .int(3_600_000))
        let connection = try await fixture.connect()
        try await queues.ensureAll(on: connection)
        #expect(await queues.retentionWarning(on: connection) == nil)
        let channel = try await connection.openChannel()
        try await connection.confirmSelect(channel: channel)
        for text in ["1", "2", "3"] {
            let letter = OutgoingMessage(routingKey: queues.names.dead, body: Array(text.utf8))
            #expect(try await connection.publish(letter, channel: channel) == .confirmed)
        }
        let first = try await connection.get(queues.names.dead, noAck: true, channel: channel)
        #expect(first?.body == Array("2".utf8))
        await connection.close()
    }

    @Test("a delay queue that is full takes no more, and loses none")
    func delays() async throws {
        let f = try await LadderFixture("full")
        var queues = JobQueues(base: "full.too", kind: .classic)
        queues.retention.delayedJobs = 3
        try await queues.ensureAll(on: f.connection)
        let key = queues.delays.routingKey(to: "full.too", after: .seconds(86_400))
        var taken = 0
        var refused = 0
        for _ in 0..<8 {
            do throws(RabbitMQError) {
                let job = OutgoingMessage(exchange: queues.delays.entry, routingKey: key, body: [1])
                if try await f.publisher.publish(job) == .confirmed { taken += 1 }
            } catch {
                #expect(error.code == .nacked)
                refused += 1
            }
        }
        // A quorum queue may take one or two more before it notices.
        #expect((3...6).contains(taken) && refused == 8 - taken)
        #expect(try await f.connection.depth(queues.delays).total == taken)
        await f.close()
    }

    @Test("queues with other limits, and none, are adopted, and that is said")
    func adopted() async throws {
        let fixture = try Fixture()
        let connection = try await fixture.connect()
        for (base, limit) in [("other.none", nil), ("other.limit", 7)] as [(String, Int?)] {
            var before = JobQueues(base: base, kind: .classic)
            before.retention.deadLetters = limit
            before.retention.delayedJobs = limit
            try await before.ensureAll(on: connection)
            let now = queues(base)
            try await now.ensureAll(on: connection)
            let warning = try #require(await now.retentionWarning(on: connection))
            #expect(
                warning.contains("\(base).dead was declared otherwise (x-m") && warning.contains("dead.ttl"),
                "\(warning)")
            var delays = JobQueues(base: base, kind: .classic)
            delays.retention.delayedJobs = 3
            #expect(await delays.retentionWarning(on: connection)?.contains("delays.max_jobs") == true)
            #expect(await before.retentionWarning(on: connection) == nil)
            let without = JobQueues(base: base, kind: .classic)
            try await without.ensureAll(on: connection)
        }
        await connection.close()
    }
}
