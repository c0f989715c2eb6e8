import Glibc
import ParleyJSON
import ParleyRabbitMQ
import ParleyRedis
import TestSupport
import Testing

/// What an operator meets on a bad day, on a broker of the suite's own: each has its line in the log and does no harm.
@Suite(
    "Bad days", .serialized, .enabled(if: Surroundings.areComplete && PrivateRabbitMQ.isInstalled),
    .privateRabbitMQ())
struct BadDayTests {
    let broker: PrivateRabbitMQ

    init() throws { broker = try #require(PrivateRabbitMQ.current) }

    @Test func aFullDiskIsWaitedForAndLosesNothing() async throws {
        let model = try await ModelServer(delay: .seconds(600))
        let worker = try await start(["model.url": model.url])
        try await Producer.with(rabbitMQ: broker.url()) { producer in
            let ids = try await publish(20, from: producer, to: worker)
            _ = try await eventually("20 questions") { model.questions.count == 20 ? true : nil }
            try await broker.control("set_disk_free_limit", "mem_relative", "1000.0")
            model.answer(after: .zero)
            _ = try await eventually("the alarm's line") { lines(worker, "takes no messages").isEmpty ? nil : true }
            let ready = try await worker.get("/readyz")
            #expect(ready.status == 503)
            #expect(ready.body.contains("rabbitmq") && ready.body.contains("disk"))
            try await broker.control("set_disk_free_limit", "50MB")
            var answered: Set<String> = []
            while answered.count < ids.count {
                let reply = try await producer.nextReply()
                #expect(try reply.status == "succeeded")
                if let id = try reply.json["id"]?.string { answered.insert(id) }
            }
            #expect(answered == ids)
            for id in ids { #expect(try await producer.stored(id) != nil) }
            #expect(try await producer.isEmpty(worker.dead))
            try await worker.untilReady()
        }
        #expect(lines(worker, "takes no messages").count == 1)
        #expect(lines(worker, "takes messages again").count == 1)
        #expect(model.questions.count == 20, "nothing was asked twice")
        #expect(try await worker.stop() == 0)
    }

    @Test func aRotatedPasswordIsSaidOnceAndTriedUntilItWorks() async throws {
        try await broker.control("add_user", "rotating", "rotating")
        try await broker.control("set_permissions", "rotating", ".*", ".*", ".*")
        let worker = try await Worker.start(["rabbitmq.url": broker.url("rotating")])
        try await broker.control("change_password", "rotating", "sesame")
        try await broker.control("close_all_user_connections", "rotating", "the password was rotated")
        let _: Bool = try await eventually("four attempts", within: .seconds(30)) {
            for role in ["consumer", "publisher"] {
                let metric = #"parley_disconnects_total{service="rabbitmq.\#(role)"}"#
                guard try await worker.metric(metric) ?? 0 >= 4 else { return nil }
            }
            return true
        }
        let refused = lines(worker, "refused user")
        #expect(refused.count == 1, "\(refused)")
        #expect(refused.first?.contains("rabbitmq.url") == true)
        let ready = try await worker.get("/readyz")
        #expect(ready.status == 503 && ready.body.contains("rabbitmq"))
        try await broker.control("change_password", "rotating", "rotating")
        try await worker.untilReady()
        try await Producer.with(rabbitMQ: broker.url()) { producer in
            let reply = try await producer.ask(#"{"query":"x"}"#, of: worker)
            #expect(try reply.status == "succeeded")
        }
        #expect(!worker.log.contains("rotating:rotating") && !worker.log.contains("sesame"))
        #expect(try await worker.stop() == 0)
    }

    @Test func aWorkerThatIsCutFromTheBrokerIsNotShownAsWorking() async throws {
        try await broker.control("add_user", "cut", "cut")
        try await broker.control("set_permissions", "cut", ".*", ".*", ".*")
        let worker = try await start(["rabbitmq.url": broker.url("cut")])
        func shown() async throws -> JSONElement? {
            let settings = ["queue.name": worker.queue, "rabbitmq.url": broker.url()]
            return try await parley("status", "--json", settings: settings).lines.first?["workers"]?.elements.first
        }
        _ = try await eventually("it works") { try await shown()?["state"]?.string == "working" ? true : nil }
        try await broker.control("change_password", "cut", "sesame")
        try await broker.control("close_all_user_connections", "cut", "cut off")
        let paused = try await eventually("it waits") { () -> JSONElement? in
            guard let worker = try await shown(), worker["state"]?.string == "paused" else { return nil }
            return worker
        }
        #expect(paused["away"]?.elements.map(\.string) == ["rabbitmq"])
        #expect(try await worker.metric(#"parley_service_away{service="rabbitmq"}"#) == 1)
        try await broker.control("change_password", "cut", "cut")
        _ = try await eventually("it works again") { try await shown()?["state"]?.string == "working" ? true : nil }
        #expect(try await worker.stop() == 0)
    }

    @Test func aPasswordInAFileIsChangedUnderARunningWorker() async throws {
        let redis = try await PrivateRedis()
        let folder = try Folder()
        try await withClient(redis.url()) { client in
            try await client.connect()
            func acl(_ words: String...) async throws {
                _ = try await client.send(RedisCommand(arguments: (["ACL", "SETUSER"] + words).map { Array($0.utf8) }))
                    .get()
            }
            try await acl("filed", "on", ">first", "~*", "+@all")
            try await broker.control("add_user", "filed", "first")
            try await broker.control("set_permissions", "filed", ".*", ".*", ".*")
            try folder.write("rabbitmq", "first\n")
            try folder.write("redis", "first")
            let worker = try await Worker.start([
                "rabbitmq.url": broker.url("filed"), "rabbitmq.password_file": "\(folder.path)/rabbitmq",
                "redis.url": redis.url("filed:none@"), "redis.password_file": "\(folder.path)/redis",
            ])
            for password in ["second", "eyJhbGciOi.the.third"] {
                try await broker.control("change_password", "filed", password)
                try folder.write("rabbitmq", password)
                try await acl("filed", "resetpass", ">\(password)")
                try folder.write("redis", password + "\n")
                try await broker.control("close_all_user_connections", "filed", "the password was changed")
                _ = try await client.send(RedisCommand("CLIENT", "KILL", "USER", "filed")).get()
                let id = unique()
                let _: Bool = try await eventually("an answer with the password \(password)", within: .seconds(60)) {
                    try await worker.untilReady()
                    return true
                }
                try await Producer.with(rabbitMQ: broker.url()) { producer in
                    let reply = try await producer.ask(#"{"query":"x"}"#, of: worker, id: id)
                    #expect(try reply.status == "succeeded")
                }
                #expect(try await client.send(RedisCommand("EXISTS", "chat:result:\(id)")).int == 1)
            }
            #expect(lines(worker, "refused user").isEmpty && lines(worker, "WRONGPASS").isEmpty, "\(worker.log)")
            #expect(!worker.log.contains("eyJhbGciOi") && !worker.log.contains(":second"))
            #expect(try await worker.stop() == 0)
        }
    }

    @Test func aKeyInAFileIsReadAgainOnSIGHUP() async throws {
        let folder = try Folder()
        try folder.write("key", "sk-first")
        try folder.write("token", "sesame-one")
        let model = try HTTPPeer()
        model.serve { request, client in
            let key = request.head.split(separator: "\n").first { $0.lowercased().hasPrefix("authorization:") } ?? ""
            let right = key.hasSuffix("Bearer sk-second")
            return request.isPost
                ? right
                    ? HTTPPeer.respond(
                        200, #"{"choices":[{"message":{"content":"yes"},"finish_reason":"stop"}]}"#, client)
                    : HTTPPeer.respond(401, #"{"error":{"message":"no such key"}}"#, client)
                : HTTPPeer.respond(right ? 200 : 401, #"{"data":[]}"#, client)
        }
        let worker = try await Worker.start(
            [
                "rabbitmq.url": broker.url(),
                "model.url": "http://127.0.0.1:\(model.port)/v1", "model.api_key_file": "\(folder.path)/key",
                "admin.token_file": "\(folder.path)/token",
            ], ready: false)
        try await Producer.with(rabbitMQ: broker.url()) { producer in
            let queue = QueueDeclaration(name: worker.queue)
            _ = try await eventually("a consumer of the queue") {
                try? await producer.connection.declare(queue, passive: true).consumers == 1 ? true : nil
            }
            let id = unique()
            try await producer.publish(#"{"query":"x"}"#, to: worker, id: id)
            let _: Bool = try await eventually("the refusal of the first key") {
                worker.log.contains("model.api_key") ? true : nil
            }
            // What is refused leaves the key as it was.
            try folder.write("key", "")
            worker.process.signal(SIGHUP)
            let _: Bool = try await eventually("the warning") {
                lines(worker, "a secret stays as it was").isEmpty ? nil : true
            }
            try folder.write("key", "sk-second\n")
            worker.process.signal(SIGHUP)
            let reply = try await producer.nextReply()
            #expect(try reply.status == "succeeded")
            #expect(lines(worker, "secrets were read again").count == 2, "admin.token, then both")
        }
        #expect(!worker.log.contains("sk-first") && !worker.log.contains("sk-second"))
        #expect(try await worker.stop() == 0)
    }

    @Test func aDeletedQueueIsDeclaredAndConsumedAgain() async throws {
        let worker = try await start()
        try await Producer.with(rabbitMQ: broker.url()) { producer in
            #expect(try await producer.ask(#"{"query":"x"}"#, of: worker).status == "succeeded")
            try await producer.connection.deleteQueue(worker.queue)
            _ = try await eventually("a consumer of the queue") {
                let queue = QueueDeclaration(name: worker.queue)
                return try? await producer.connection.declare(queue, passive: true).consumers == 1 ? true : nil
            }
            #expect(try await producer.ask(#"{"query":"x","priority":9}"#, of: worker).status == "succeeded")
        }
        let told = lines(worker, "its queue was deleted")
        #expect(told.count == 1 && told.first?.contains(worker.queue) == true)
        #expect(lines(worker, "not connected").isEmpty, "the rest of the worker noticed nothing")
        #expect(try await worker.stop() == 0)
    }

    @Test func aDeclarationThatTheBrokerRefusesIsToldAsWhatItIs() async throws {
        let queue = "contract.refused.\(unique())"
        try await Producer.with(rabbitMQ: broker.url()) { producer in
            // Somebody else's queue under the name of a delay queue: jobs would be lost in it.
            _ = try await producer.connection.declare(QueueDeclaration(name: queue + ".delay.0"))
            let worker = try await start(queue: queue)
            let id = unique()
            try await producer.publish(
                #"{"query":"x","not_before":"\#(rfc3339(secondsFromNow: 5))"}"#, to: worker, id: id)
            let told = try await eventually("the refusal's line") {
                let told = lines(worker, "is not the delay queue that Parley needs")
                return told.isEmpty ? nil : told
            }
            for part in ["\(queue).delay.0", "inequivalent arg"] {
                #expect(told.first?.contains(part) == true, "\(told)")
            }
            #expect(told.first?.contains("delete it, or choose another queue.name") == true, "\(told)")
            #expect(lines(worker, "not connected").isEmpty, "\(worker.log)")
            // Others are answered meanwhile.
            #expect(try await producer.ask(#"{"query":"y"}"#, of: worker).status == "succeeded")
            _ = try await producer.connection.deleteQueue(queue + ".delay.0")
            #expect(try await producer.nextReply().status == "succeeded")
            #expect(try await worker.stop() == 0)
        }
    }

    @Test func queuesWithOtherArgumentsAreAdopted() async throws {
        let queue = "contract.adopted.\(unique())"
        try await Producer.with(rabbitMQ: broker.url()) { producer in
            for (name, limit) in [(queue, 1000), (queue + ".dead", 500)] {
                let declaration = QueueDeclaration(name: name, arguments: ["x-max-length": .int(Int64(limit))])
                _ = try await producer.connection.declare(declaration)
            }
            let worker = try await start(queue: queue)
            #expect(try await producer.ask(#"{"query":"x"}"#, of: worker).status == "succeeded")
            #expect(try await producer.ask("nonsense", of: worker).errorCode == "invalid_job")
            #expect(try await producer.next(from: worker.dead).header("x-parley-error-code") == "invalid_job")
            #expect(!worker.log.contains(#""level":"error""#) && lines(worker, "not connected").isEmpty)
            #expect(try await worker.stop() == 0)
        }
    }

    @Test func aJobLongerThanTheBrokersPatienceIsAnsweredOnce() async throws {
        // For channels opened from now on; the broker looks once a minute unless told otherwise.
        let set =
            "application:set_env(rabbit, consumer_timeout, 3000), "
            + "application:set_env(rabbit, channel_tick_interval, 500)."
        try await broker.control("eval", set)
        let model = try await ModelServer(delay: .milliseconds(5500))
        let worker = try await start(["model.url": model.url])
        try await Producer.with(rabbitMQ: broker.url()) { producer in
            let id = unique()
            try await producer.publish(#"{"query":"x"}"#, to: worker, id: id)
            #expect(try await producer.nextReply().status == "succeeded")
            _ = try await eventually("an empty queue") { try await settled(worker) ? true : nil }
            #expect(try await producer.stored(id) != nil)
            #expect(try await producer.isEmpty(worker.dead))
        }
        #expect(model.questions.count == 1, "the answer is not generated twice")
        let told = lines(worker, "delivery acknowledgement")
        #expect(told.count == 1 && told.first?.contains("imed out") == true, "\(told)")
        #expect(try await worker.stop() == 0)
        try await broker.control("eval", "application:set_env(rabbit, consumer_timeout, 1800000).")
    }

    @Test(
        .enabled(if: FakeTime.library != nil, "libfaketime is not installed"),
        .disabled(if: Surroundings.isSanitized, "a sanitizer's runtime does not start under libfaketime"))
    func aClockThatIsSetBackDisturbsNoJobInFlight() async throws {
        let time = try FakeTime()
        let model = try await ModelServer(delay: .milliseconds(1500))
        let worker = try await start(["model.url": model.url, "log.level": "debug"], environment: time.environment)
        try await Producer.with(rabbitMQ: broker.url()) { producer in
            try await producer.publish(#"{"query":"x"}"#, to: worker, id: unique())
            _ = try await eventually("the question") { model.questions.isEmpty ? nil : true }
            try time.setBack(seconds: 3600)
            let reply = try await producer.nextReply()
            #expect(try reply.status == "succeeded")
            let total = try #require(try reply.json["timings_ms"]?["total"]?.double)
            #expect(total >= 1400 && total < 20_000, "measured by a clock that nobody sets: \(total) ms")
            #expect(try await producer.ask(#"{"query":"y"}"#, of: worker).status == "succeeded")
        }
        #expect(try await worker.stop() == 0)
        let times = worker.log.split(separator: "\n").compactMap {
            (try? JSONDocument(Array($0.utf8)).root)?["time"]?.string
        }
        let (first, last) = (try #require(times.first), try #require(times.last))
        #expect(last < first, "the clock was not set back")
        #expect(lines(worker, "not connected").isEmpty)
    }

    // MARK: -

    func start(
        queue: String = "contract.\(unique())", _ settings: [String: String] = [:], environment: [String: String] = [:]
    ) async throws -> Worker {
        var all = [
            "queue.name": queue, "admin.listen": "127.0.0.1:0", "model.url": "builtin:echo", "retrieval.mode": "never",
            "rabbitmq.url": broker.url(),
        ]
        all.merge(settings) { $1 }
        let worker = Worker(
            queue: queue, process: try ParleyProcess(["worker"], settings: all, environment: environment))
        try await worker.untilReady()
        return worker
    }

    func publish(_ count: Int, from producer: Producer, to worker: Worker) async throws -> Set<String> {
        var ids: Set<String> = []
        for number in 0..<count {
            let id = unique()
            try await producer.publish(#"{"query":"question \#(number)"}"#, to: worker, id: id)
            ids.insert(id)
        }
        return ids
    }

    /// Nothing ready, nothing unacknowledged.
    func settled(_ worker: Worker) async throws -> Bool {
        try await broker.control("list_queues", "name", "messages").split(separator: "\n")
            .contains { $0.split(separator: "\t") == [Substring(worker.queue), "0"] }
    }

    /// Lines an operator sees: what `log.level: debug` adds is left out.
    func lines(_ worker: Worker, _ text: String) -> [String] {
        worker.log.split(separator: "\n").map(String.init)
            .filter { $0.contains(text) && !$0.contains(#""level":"debug""#) }
    }
}

/// A process's wall clock, set from outside with libfaketime; its monotonic clock stays the machine's.
private struct FakeTime {
    static let library = ["x86_64-linux-gnu", "aarch64-linux-gnu"]
        .map { (machine: String) -> String in "/usr/lib/\(machine)/faketime/libfaketimeMT.so.1" }.first {
            access($0, R_OK) == 0
        }

    private let folder: Folder
    var environment: [String: String] {
        [
            "LD_PRELOAD": Self.library ?? "", "FAKETIME_TIMESTAMP_FILE": folder.path + "/time",
            "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1",
        ]
    }

    init() throws {
        folder = try Folder()
        try folder.write("time", "+0")
    }

    func setBack(seconds: Int) throws { try folder.write("time", "-\(seconds)") }
}
