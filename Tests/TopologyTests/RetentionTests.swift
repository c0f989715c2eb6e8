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
        #expect(await queues.retentionWarnings(on: connection) == [])
        let channel = try await connection.openChannel()
        try await connection.confirmSelect(channel: channel)
        for text in ["1", "2", "3"] {
            let letter = OutgoingMessage(routingKey: queues.names.dead, body: Array(text.utf8))
            #expect(try await connection.publish(letter, channel: channel) == .confirmed)
        }
        let first = try await connection.get(queues.names.dead, noAck: true, channel: channel)
        #expect(first?.body == Array("2".utf8))
        try await connection.closeChannel(channel)
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
            let warnings = await now.retentionWarnings(on: connection)
            #expect(warnings.count == 2)
            let (dead, delays) = (try #require(warnings.first), try #require(warnings.last))
            #expect(dead.contains("dead.ttl is 1 h, but \(base).dead has no limit (x-message-ttl)"), "\(dead)")
            let letters = limit.map { "has \($0) (x-max-length \($0))" } ?? "has no limit (x-max-length)"
            #expect(dead.contains("dead.max_letters is 2, but \(base).dead \(letters)"), "\(dead)")
            // A policy can make a limit narrower and no wider.
            let pattern = base.replacing(".", with: "\\.")
            let policy =
                #"rabbitmqctl set_policy \#(base).dead '^\#(pattern)\.dead$' '{"message-ttl":3600000,"max-length":2}' --apply-to queues"#
            #expect(dead.contains(policy) == (limit == nil), "\(dead)")
            #expect(dead.contains("delete the queue when it is empty"))
            #expect(delays.contains("delays.max_jobs is 3, but \(base).delay.0 has"), "\(delays)")
            #expect(await before.retentionWarnings(on: connection) == [])
            let without = JobQueues(base: base, kind: .classic)
            try await without.ensureAll(on: connection)
            // Letters that vanish though nobody asked for it.
            let silent = await without.retentionWarnings(on: connection)
            #expect(
                silent.first?.contains("dead.max_letters is not set, but \(base).dead has 7")
                    == (limit == nil ? nil : true),
                "\(silent)")
        }
        await connection.close()
    }

    @Test("a queue without its type, or of the other kind, is compared all the same")
    func otherKinds() async throws {
        let fixture = try Fixture()
        let connection = try await fixture.connect()
        let now = queues("other.kind")
        for arguments in [["x-message-ttl": 3_600_000], ["x-queue-type": "quorum", "x-message-ttl": 3_600_000]]
            as [FieldTable]
        {
            _ = try await connection.declare(QueueDeclaration(name: "other.kind.dead", arguments: arguments))
            let warnings = await now.retentionWarnings(on: connection)
            #expect(
                warnings.count == 1 && warnings.first?.hasPrefix("dead.max_letters is 2, but") == true, "\(warnings)")
            _ = try await connection.deleteQueue("other.kind.dead")
        }
        await connection.close()
    }

    @Test("a dead-letter queue that is full is told of")
    func full() async throws {
        let fixture = try Fixture()
        let queues = queues("filled")
        let connection = try await fixture.connect()
        try await queues.ensureAll(on: connection)
        let channel = try await connection.openChannel()
        try await connection.confirmSelect(channel: channel)
        for _ in 0..<2 {
            _ = try await connection.publish(
                OutgoingMessage(routingKey: queues.names.dead, body: [1]), channel: channel)
        }
        let warnings = await queues.retentionWarnings(on: connection)
        #expect(
            warnings.count == 1 && warnings.first?.contains("filled.dead is full (2 letters") == true, "\(warnings)")
        await connection.close()
    }
}
