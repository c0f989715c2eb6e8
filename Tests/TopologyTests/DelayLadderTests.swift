import ChatJobs
import Foundation
import IOLoop
import ParleyRabbitMQ
import TestSupport
import Testing

@testable import Topology

@Suite(
    "Delay ladder", .serialized, .enabled(if: PrivateRabbitMQ.isInstalled), .timeLimit(.minutes(4)), .privateRabbitMQ())
struct DelayLadderTests {
    @Test(
        "delays are kept, none shorter, and a long one blocks no short one",
        arguments: [JobQueues.Kind.classic, .quorum])
    func exactness(kind: JobQueues.Kind) async throws {
        let f = try await LadderFixture("exact.\(kind)", lanes: ["high"], kind: kind)
        let delays: [Duration] = [.seconds(3), .milliseconds(1400), .seconds(1), .milliseconds(125)]
        let begin = ContinuousClock.now
        for (index, delay) in delays.enumerated() {
            try await f.publish("\(index)", to: index == 1 ? f.base + ".high" : f.base, after: delay)
        }
        var seen: [String] = []
        while seen.count < delays.count {
            let delivery = try await f.next()
            let waited = ContinuousClock.now - begin
            let text = String(decoding: delivery.body, as: UTF8.self)
            let delay = try #require(Int(text).map { delays[$0] })
            #expect(waited >= delay)
            #expect(waited < delay + .seconds(10), "\(delay) took \(waited)")
            #expect(delivery.queue == (text == "1" ? f.base + ".high" : f.base))
            seen.append(text)
        }
        #expect(seen == ["3", "2", "1", "0"])
        #expect(try await f.connection.depth(f.ladder).total == 0)
        await f.close()
    }

    @Test("three hundred days wait on the level that they should")
    func months() async throws {
        let f = try await LadderFixture("months")
        try await f.publish("far", to: f.base, after: .seconds(300 * 86_400))
        try await f.publish("farther", to: f.base, after: .seconds(500 * 86_400))
        try await f.publish("week", to: f.base, after: .seconds(7 * 86_400))
        try await f.publish("soon", to: f.base, after: .seconds(1))
        // When the short one is through, none of the long ones has moved.
        #expect(try await f.next().body == Array("soon".utf8))
        let depth = try await f.connection.depth(f.ladder)
        #expect(depth.total == 3)
        #expect(depth.levels[27] == 2)
        #expect(depth.levels[22] == 1)
        #expect(DelayLadder.wait(22) < .seconds(7 * 86_400) && DelayLadder.wait(23) > .seconds(7 * 86_400))
        #expect(DelayLadder.longest > .seconds(388 * 86_400))
        await f.close()
    }

    @Test("a lane named as the base queue's end gets its own messages, once")
    func suffixes() async throws {
        let f = try await LadderFixture("jobs", lanes: ["jobs", "0"])
        for queue in ["jobs", "jobs.jobs", "jobs.0"] {
            try await f.publish(queue, to: queue, after: .milliseconds(125))
        }
        try await f.publish("last", to: "jobs", after: .seconds(1))
        var seen: [String] = []
        while seen.last != "last" {
            let delivery = try await f.next()
            seen.append(String(decoding: delivery.body, as: UTF8.self))
            #expect(delivery.queue == seen.last || seen.last == "last")
        }
        #expect(seen.sorted() == ["jobs", "jobs.0", "jobs.jobs", "last"])
        await f.close()
    }

    @Test("what waits outlives a crash of the broker", arguments: [JobQueues.Kind.classic, .quorum])
    func crash(kind: JobQueues.Kind) async throws {
        let f = try await LadderFixture("crash.\(kind)", kind: kind)
        try await f.publish("soon", to: f.base, after: .seconds(3))
        try await f.publish("later", to: f.base, after: .seconds(86_400))
        try await f.fixture.broker.crash()
        try await f.fixture.broker.start()
        // A restarted node may count the time to live anew, so only that it comes is promised.
        #expect(try await f.next(within: .seconds(90)).body == Array("soon".utf8))
        let connection = try await f.fixture.connect()
        try await waitUntil("the other one waits") { try await f.ladder.depth(on: connection).total == 1 }
        await connection.close()
        await f.close()
    }

    @Test("a level that is gone is noticed by who publishes to it, and costs those above it only their time there")
    func missingLevel() async throws {
        let f = try await LadderFixture("holes")
        // 1.125 s: a second on level 3, an eighth on level 0, which goes meanwhile.
        try await f.publish("above", to: f.base, after: .milliseconds(1125))
        try await f.connection.deleteQueue(f.ladder.level(0))
        try await f.connection.deleteQueue(f.ladder.level(9))
        #expect(try await f.next().body == Array("above".utf8))
        let outcome = try await f.publisher.publish(f.message("lost", to: f.base, after: DelayLadder.wait(9)))
        guard case .returned = outcome else { throw Failure("the message was \(outcome)") }
        try await f.queues.ensureAll(on: f.connection)
        #expect(try await f.connection.depth(f.ladder).levels.allSatisfy { $0 == 0 })
        try await f.publish("again", to: f.base, after: .milliseconds(125))
        #expect(try await f.next().body == Array("again".utf8))
        await f.close()
    }

    @Test("what waited for a queue that is no more comes to the base queue; one that is there again has it back")
    func missingTarget() async throws {
        let f = try await LadderFixture("target", lanes: ["gone"], consumes: ["target"])
        try await f.publish("stray", to: "target.gone", after: .milliseconds(125))
        try await f.connection.deleteQueue("target.gone")
        #expect(try await f.next().queue == "target")
        try await f.queues.ensureAll(on: f.connection)
        try await f.publish("home", to: "target.gone", after: .milliseconds(125))
        try await waitUntil("it is in its lane") {
            try await f.connection.declare(QueueDeclaration(name: "target.gone"), passive: true).messages == 1
        }
        await f.close()
    }

    @Test(
        "removing refuses while messages wait, unless forced, and leaves nothing",
        arguments: [JobQueues.Kind.classic, .quorum])
    func remove(kind: JobQueues.Kind) async throws {
        let f = try await LadderFixture("rm.\(kind)", kind: kind)
        try await f.publish("x", to: f.base, after: .seconds(3600))
        let error = await expectError(.preconditionFailed) { try await f.ladder.remove(on: f.connection) }
        #expect(error?.message.contains("1 messages wait") == true)
        #expect(try await f.connection.depth(f.ladder).total == 1)
        #expect(try await f.ladder.remove(on: f.connection, force: true) == 1)
        #expect(try await !f.connection.depth(f.ladder).exists)
        let exchanges = try await f.fixture.broker.control("-q", "list_exchanges", "name")
        #expect(!exchanges.contains(f.base))
        #expect(try await f.ladder.remove(on: f.connection) == 0)
        try await f.queues.ensureAll(on: f.connection)
        try await f.publish("y", to: f.base, after: .milliseconds(125))
        #expect(try await f.next().body == Array("y".utf8))
        #expect(try await f.ladder.remove(on: f.connection) == 0)
        await f.close()
    }

    @Test("quorum queues are declared with what they need to lose nothing")
    func quorum() async throws {
        let f = try await LadderFixture("raft", lanes: ["high"], kind: .quorum)
        let listing = try await f.fixture.broker.control("-q", "list_queues", "name", "type", "arguments")
        let lines = listing.split(separator: "\n").filter { $0.hasPrefix("raft") }
        #expect(lines.count == 3 + DelayLadder.levels)
        for line in lines {
            #expect(line.contains("\tquorum\t"))
            if line.hasPrefix("raft.delay") {
                #expect(line.contains("at-least-once") && line.contains("reject-publish"))
            } else {
                #expect(line.contains("\"x-delivery-limit\",1000000"), "\(line)")
            }
        }
        await f.close()
    }

    @Test("queues and exchanges that exist are taken as they are, but not a delay queue that leads nowhere")
    func adoption() async throws {
        let fixture = try Fixture()
        let connection = try await fixture.connect()
        try await connection.declare(QueueDeclaration(name: "own", arguments: ["x-max-length": 1000]))
        // Half a ladder of the other kind, from before queue.type was changed.
        let former = DelayLadder(base: "own", kind: .quorum)
        for level in 1..<14 { try await connection.declare(former.queue(level)) }
        try await connection.declareExchange("own.delay", type: "topic", arguments: ["x-note": "mine"])
        try await connection.declare(QueueDeclaration(name: "own.delay.20"))
        let queues = JobQueues(base: "own", kind: .classic)
        let error = await expectError(.preconditionFailed) { try await queues.ensureAll(on: connection) }
        #expect(error?.message.contains("own.delay.20") == true)
        try await connection.deleteQueue("own.delay.20")
        await connection.close()
        let f = try await LadderFixture("own")
        try await f.publish("x", to: "own", after: .milliseconds(875))
        #expect(try await f.next().body == Array("x".utf8))
        await f.close()
    }

    @Test("the permissions that are shipped for a worker are enough for all of it")
    func permissions() async throws {
        let f = try Fixture()
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(
            path: "../../config/rabbitmq/definitions.json")
        let definitions = try JSONDecoder().decode(Definitions.self, from: Data(contentsOf: file))
        let worker = try #require(definitions.permissions.first { $0.user == "parley" })
        try await f.broker.control("add_user", "parley", "parley")
        try await f.broker.control("set_permissions", "parley", worker.configure, worker.write, worker.read)
        var configuration = f.configuration
        configuration.username = "parley"
        configuration.password = "parley"
        let queues = JobQueues(base: "chat.jobs", lanes: [.init(name: "high")], kind: .classic)
        // The job queues and the dead-letter queue come with the definitions; a worker may not declare them.
        let administrator = try await f.connect()
        for queue in queues.jobs + [queues.dead] { try await administrator.declare(queue) }
        await administrator.close()
        let connection = try await RabbitMQConnection.open(configuration, loop: f.loop, logger: f.logger)
        try await queues.ensureAll(on: connection)
        try await queues.ensureAll(on: connection)
        let channel = try await connection.openChannel()
        try await connection.confirmSelect(channel: channel)
        let message = OutgoingMessage(
            exchange: queues.delays.entry,
            routingKey: queues.delays.routingKey(to: "chat.jobs.high", after: .milliseconds(375)), body: [1])
        #expect(try await connection.publish(message, channel: channel) == .confirmed)
        try await waitUntil("the message is in its lane") {
            try await connection.get("chat.jobs.high", noAck: true, channel: channel) != nil
        }
        #expect(try await queues.delays.remove(on: connection) == 0)
        await connection.close()
    }

    private struct Definitions: Decodable {
        struct Permission: Decodable {
            let user: String
            let configure: String
            let write: String
            let read: String
        }
        let permissions: [Permission]
    }

    @Test("ensuring again changes nothing")
    func idempotent() async throws {
        let f = try await LadderFixture("twice")
        try await f.publish("x", to: f.base, after: .milliseconds(500))
        for _ in 0..<3 { try await f.queues.ensureAll(on: f.connection) }
        #expect(try await f.next().body == Array("x".utf8))
        await f.close()
    }

    @Test("a ladder whose maker died before its last binding is finished by the next")
    func halfMade() async throws {
        let f = try await LadderFixture("half")
        try await f.connection.deleteExchange(f.ladder.entry)
        try await f.connection.declareExchange(f.ladder.entry, type: "topic")
        let outcome = try await f.publisher.publish(f.message("x", to: f.base, after: .milliseconds(125)))
        guard case .returned = outcome else { throw Failure("the message was \(outcome)") }
        try await f.queues.ensureAll(on: f.connection)
        try await f.publish("x", to: f.base, after: .milliseconds(875))
        #expect(try await f.next().body == Array("x".utf8))
        await f.close()
    }
}
