import Glibc
import ParleyRabbitMQ
import ParleyRedis
import TestSupport
import Testing

/// `parley check` of what a worker needs (contract, section 6), and of what is told of it.
extension ContractTests {
    @Test(arguments: [401, 403])
    func aRefusedKeyEndsWith2AndAnAbsentModelWith3(status: Int) async throws {
        let server = try await ScriptedServer { _ in
            (status, #"{"error":{"message":"no","type":"invalid_request_error"}}"#)
        }
        let url = server.url.replacing("://", with: "://me:geheim@") + "/v1?key=geheim"
        let refused = try await parley("check", settings: ["model.url": url, "model.api_key": "wrong"])
        #expect(refused.status == 2 && refused.output.contains("model          wrong"), "\(refused)")
        #expect(!(refused.output + refused.errors).contains("geheim"), "\(refused)")
        let absent = try await parley(
            "check", settings: ["model.url": "http://me:geheim@127.0.0.1:\(try freePort())/v1"])
        #expect(absent.status == 3 && absent.output.contains("model          unreachable"), "\(absent)")
        #expect(!(absent.output + absent.errors).contains("geheim"), "\(absent)")
    }

    @Test(arguments: [
        "amqp://user:se/same@127.0.0.1:5672/", "amqp://user:se?same@127.0.0.1:5672/", "amqp://user:se#same@127.0.0.1/",
        "amqp://user:sesame", "amqp://127.0.0.1:1/?sesame=1",
    ])
    func aPasswordThatSpoilsTheURLIsNotPrinted(url: String) async throws {
        let check = try await parley("check", settings: ["rabbitmq.url": url])
        #expect(check.status == 2 && check.errors.contains("rabbitmq.url"), "\(check)")
        let printed = (check.output + check.errors).replacing("unknown query parameter 'sesame'", with: "")
        for piece in ["sesame", "same@", "'se'", "user:"] where !printed.contains("user:password@host") {
            #expect(!printed.contains(piece), "\(check)")
        }
        #expect(!printed.contains("sesame") && !printed.contains("se/same"), "\(check)")
    }

    @Test func noUserOfAnyURLIsPrinted() async throws {
        let check = try await parley("check", "--json")
        #expect(check.status == 0 && !check.output.contains("guest"), "\(check)")
    }

    @Test(arguments: ["eval", "mget", "get"])
    func aRedisThatRefusesWhatJobsNeedIsWrong(command: String) async throws {
        try await Producer.with { producer in
            let user = "check\(unique())"
            _ = try await producer.redis.send(
                RedisCommand(
                    arguments: ["ACL", "SETUSER", user, "on", ">pw", "~*", "&*", "+@all", "-\(command)"].map {
                        Array($0.utf8)
                    }))
            let url = try #require(Surroundings.redis).replacing("redis://", with: "redis://\(user):pw@")
            let check = try await parley("check", settings: ["redis.url": url])
            #expect(check.status == 2 && check.output.contains("redis          wrong"), "\(check)")
            #expect(!check.output.contains(user + ":"), "\(check)")
            _ = try await producer.redis.send(RedisCommand("ACL", "DELUSER", user))
        }
    }

    @Test func aJobQueueWithoutPrioritiesIsWarnedOfByCheckWorkerAndStatus() async throws {
        try await Producer.with { producer in
            let queue = "contract.plain.\(unique())"
            // As tutorials declare it: without a word on its type.
            _ = try await producer.connection.declare(QueueDeclaration(name: queue))
            let check = try await parley("check", settings: ["queue.name": queue])
            #expect(check.status == 0 && check.output.contains("rabbitmq       warning"), "\(check)")
            #expect(check.output.contains("no priorities") && check.output.contains("x-max-priority"), "\(check)")
            let worker = try await Worker.start(queue: queue)
            #expect(try await producer.ask(#"{"query":"x"}"#, of: worker).answer == "x")
            #expect(worker.log.contains("no priorities"), "\(worker.log)")
            let status = try await parley("status", settings: ["queue.name": queue])
            #expect(status.status == 0 && status.errors.contains("no priorities"), "\(status)")
            let json = try await parley("status", "--json", settings: ["queue.name": queue])
            #expect(try json.lines.first?["queues"]?.elements.first?["priorities"]?.bool == false)
            #expect(try await worker.stop() == 0)
            for name in [queue, queue + ".dead"] { _ = try? await producer.connection.deleteQueue(name) }
        }
    }
}
