import Glibc
import ParleyRabbitMQ
import TestSupport
import Testing

/// A cluster with quorum queues, as `scripts/cluster` starts it, and what is left of the jobs when its nodes die.
@Suite("Cluster", .serialized, .enabled(if: Surroundings.areComplete && PrivateRabbitMQ.isInstalled))
struct ClusterTests {
    @Test func nodesDieOneAfterAnotherAndNoJobIsLost() async throws {
        try await PrivateCluster.with { try await survivesTwoDeaths(in: $0) }
    }

    private func survivesTwoDeaths(in cluster: PrivateCluster) async throws {
        let model = try await ModelServer(delay: .milliseconds(100))
        let worker = try await Worker.start([
            "rabbitmq.url": cluster.url, "queue.type": "quorum", "model.url": model.url, "model.max_concurrency": "4",
        ])
        let replies = "contract.replies.\(unique())"
        var ids: Set<String> = []

        let first = try #require(worker.port(of: "consumer"))
        let second = try #require(cluster.ports.first { $0 != first })
        ids.formUnion(try await publish(40, to: worker, replies, through: cluster.url(of: second)))
        try await untilStored(10, of: ids)
        try await cluster.command("kill", cluster.node(at: first))
        try await untilStored(40, of: ids)
        try await worker.untilReady()
        #expect(worker.port(of: "consumer") != first, "it went to a node that lives")

        try await cluster.command("start", cluster.node(at: first))
        let leader = try await cluster.leader(of: worker.queue)
        let third = try #require(cluster.ports.first { cluster.node(at: $0) != leader })
        ids.formUnion(try await publish(40, to: worker, replies, through: cluster.url(of: third)))
        try await untilStored(50, of: ids)
        try await cluster.command("kill", leader)
        try await untilStored(80, of: ids)

        // The broker may close a connection that uses a queue whose leader has just died: each try has a new one.
        var answered: Set<String> = []
        _ = try await eventually("a reply for each job", within: .seconds(120)) {
            try? await Producer.with(rabbitMQ: cluster.url(of: third)) { producer in
                while answered.count < ids.count {
                    if let id = try await producer.next(from: replies, within: .seconds(10)).json["id"]?.string {
                        answered.insert(id)
                    }
                }
            }
            return answered.count >= ids.count ? true : nil
        }
        #expect(answered == ids, "each has its reply")
        try await Producer.with(rabbitMQ: cluster.url(of: third)) { producer in
            #expect(try await producer.isEmpty(worker.dead))
            _ = try await eventually("an empty job queue", within: .seconds(60)) {
                try await producer.isEmpty(worker.queue) ? true : nil
            }
        }
        try await cluster.command("start", leader)
        try await expectReply(to: worker, afterLosingTheLeaderIn: cluster)
        #expect(model.questions.count <= ids.count + 8, "only what was in work on a dead connection is asked again")
        #expect(try await worker.stop() == 0)
    }

    /// RabbitMQ goes on refusing a reply on a channel that first uses its queue when the leader has just died: only
    /// another channel helps.
    private func expectReply(to worker: Worker, afterLosingTheLeaderIn cluster: PrivateCluster) async throws {
        let safe = try #require(worker.port(of: "publisher"))
        let victim = try #require(cluster.ports.first { $0 != safe })
        let replies = "contract.replies.\(unique())"
        try await Producer.with(rabbitMQ: cluster.url(of: victim)) { producer in
            _ = try await producer.connection.declare(
                QueueDeclaration(name: replies, arguments: ["x-queue-type": "quorum"]))
        }
        let leader = try await cluster.leader(of: replies)
        #expect(leader == cluster.node(at: victim), "a queue is led where it is declared")
        try await cluster.command("kill", leader)
        // The test's own channels are as much in the dark: each try has a new one.
        let id = unique()
        _ = try await eventually("the job's confirm", within: .seconds(60)) {
            try? await Producer.with(rabbitMQ: cluster.url(of: safe)) { producer in
                try await producer.publish(#"{"query":"late"}"#, to: worker, id: id, replyTo: replies)
            }
        }
        let reply = try await eventually("the reply", within: .seconds(60)) {
            try? await Producer.with(rabbitMQ: cluster.url(of: safe)) { producer in
                try await producer.next(from: replies, within: .seconds(1))
            }
        }
        #expect(try reply.status == "succeeded")
    }

    private func publish(
        _ count: Int, to worker: Worker, _ replies: String, through url: String
    ) async throws -> Set<String> {
        try await Producer.with(rabbitMQ: url) { producer in
            try await producer.connection.ensureQueue(
                QueueDeclaration(name: replies, arguments: ["x-queue-type": "quorum"]))
            var ids: Set<String> = []
            for number in 0..<count {
                let id = unique()
                try await producer.publish(
                    #"{"query":"question \#(number)"}"#, to: worker, id: id, replyTo: replies)
                ids.insert(id)
            }
            return ids
        }
    }

    private func untilStored(_ count: Int, of ids: Set<String>) async throws {
        try await Producer.with { producer in
            var open = ids
            _ = try await eventually("\(count) results", within: .seconds(60)) {
                for id in open where try await producer.stored(id) != nil { open.remove(id) }
                return ids.count - open.count >= count ? true : nil
            }
        }
    }
}

extension Worker {
    /// Where the connection of a role leads, as the log tells it.
    fileprivate func port(of role: String) -> UInt16? {
        log.split(separator: "\n").last { $0.contains("\"connected\"") && $0.contains("rabbitmq.\(role)") }
            .flatMap { $0.firstRange(of: "127.0.0.1:").map { range in log[range.upperBound...] } }
            .flatMap { UInt16($0.prefix { $0.isNumber }) }
    }
}

/// `scripts/cluster`, running; it ends when its input does.
private final class PrivateCluster: Sendable {
    let url: String
    let ports: [UInt16]
    private let folder: Folder
    private let process: pid_t
    private let input: Int32

    static func with(_ body: (PrivateCluster) async throws -> Void) async throws {
        let cluster = try await PrivateCluster()
        do {
            try await body(cluster)
        } catch {
            await cluster.stop()
            throw error
        }
        await cluster.stop()
    }

    private init() async throws {
        folder = try Folder()
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw Failure("no pipe") }
        for one in ends { _ = fcntl(one, F_SETFD, FD_CLOEXEC) }
        input = ends[1]
        var environment = ["HOME": folder.path, "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
        environment["PARLEY_TEST_RABBITMQ_SBIN"] = getenv("PARLEY_TEST_RABBITMQ_SBIN").map { String(cString: $0) }
        process = try spawn([checkout("scripts/cluster")], environment, folder, "log", input: ends[0])
        close(ends[0])
        let (folder, process) = (folder, process)
        url = try await eventually("the cluster", within: .seconds(180)) {
            guard waitpid(process, nil, WNOHANG) == 0 else { throw Failure("no cluster: \(folder.read("log"))") }
            return folder.read("log").split(separator: "\n").first { $0.hasPrefix("amqp://") }.map(String.init)
        }
        let hosts = try RabbitMQConfiguration(url: url).endpoints
        ports = hosts.map { UInt16(clamping: $0.port) }
    }

    deinit { close(input) }

    /// It ends its nodes itself; what does not end within some seconds is killed.
    private func stop() async {
        let line = Array("quit\n".utf8)
        _ = write(input, line, line.count)
        let process = process
        let ended: Bool? = try? await eventually("the end of the cluster") {
            waitpid(process, nil, WNOHANG) == 0 ? nil : true
        }
        if ended == nil { end(process) }
    }

    func url(of port: UInt16) -> String { "amqp://guest:guest@127.0.0.1:\(port)/" }

    func node(at port: UInt16) -> Int { (ports.firstIndex(of: port) ?? 0) + 1 }

    func command(_ verb: String, _ node: Int) async throws { _ = try await ask("\(verb) \(node)") }

    func leader(of queue: String) async throws -> Int {
        let answer = try await ask("leader \(queue)")
        guard let node = Int(answer) else { throw Failure("nobody leads \(queue)") }
        return node
    }

    /// The last word of the answer to a command, which repeats it.
    private func ask(_ command: String) async throws -> String {
        let before = folder.read("log").utf8.count
        let line = Array((command + "\n").utf8)
        guard write(input, line, line.count) == line.count else { throw Failure("the cluster does not listen") }
        return try await eventually("\(command)", within: .seconds(120)) {
            folder.read("log").utf8.dropFirst(before).split(separator: UInt8(ascii: "\n"))
                .map { String(decoding: $0, as: UTF8.self) }
                .first { $0.hasPrefix(command) && $0.utf8.count > command.utf8.count + 1 }
                .flatMap { $0.split(separator: " ").last }.map(String.init)
        }
    }
}
