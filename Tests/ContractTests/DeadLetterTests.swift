import Glibc
import ParleyJSON
import ParleyRabbitMQ
import TestSupport
import Testing

/// Section 6: `parley dead`.
extension ContractTests {
    @Test func deadLettersAreGroupedByCauseAndStayWhereTheyAre() async throws {
        try await Mortuary.with { mortuary in
            try await mortuary.bury(10)
            for _ in 0..<2 {
                let listed = try await parley("dead", "list", "--json", settings: mortuary.settings)
                #expect(listed.status == 0 && listed.errors.isEmpty, "\(listed.errors)")
                let groups = try listed.lines
                try #require(!groups.isEmpty)
                #expect(
                    groups.map { $0["code"]?.string } == ["internal", "model_timeout", "invalid_job", "worker_lost"])
                #expect(groups.map { $0["count"]?.int } == [3, 3, 2, 2])
                #expect(
                    Set(groups[0].members.map(\.name)) == [
                        "code", "source_queue", "count", "first", "last", "reasons", "sample",
                    ])
                #expect(groups[0]["reasons"]?.elements.map { $0["error"]?.string } == ["it broke"])
                #expect(groups[0]["reasons"]?.elements.map { $0["count"]?.int } == [3])
                #expect(groups[0]["source_queue"]?.string == mortuary.queue)
                #expect(groups[0]["first"]?.string == "2026-11-22T00:00:01.000Z")
                #expect(groups[0]["last"]?.string == "2026-11-22T00:00:09.000Z")
                let sample = try #require(groups[0]["sample"])
                #expect(sample["id"]?.string == "j1" && sample["tenant"]?.string == "t1")
                #expect(sample["attempts"]?.int == 5 && sample["requeues"]?.int == 0)
                #expect(sample["error"]?.string == "it broke")
                #expect(sample["dead_at"]?.string == "2026-11-22T00:00:01.000Z")
            }
            let text = try await parley("dead", "list", settings: mortuary.settings)
            #expect(text.output.contains("10 dead letters") && !text.output.contains("a secret"))
            #expect(try await mortuary.ids(mortuary.dead).sorted() == (0..<10).map { "j\($0)" })
        }
    }

    @Test func theThreeCommonestReasonsOfEachCauseAreShown() async throws {
        try await Mortuary.with { mortuary in
            let reasons = ["slow", "full", "gone", "odd"]
            for (number, reason) in reasons.enumerated() {
                for _ in 0..<(5 - number) {
                    let headers: FieldTable = [
                        "x-parley-error-code": "model_unavailable", "x-parley-error": .string(reason),
                    ]
                    let message = OutgoingMessage(
                        routingKey: mortuary.dead, properties: MessageProperties(headers: headers), body: [0x7B, 0x7D])
                    _ = try await mortuary.producer.connection.publish(message, channel: mortuary.producer.channel)
                }
            }
            let listed = try await parley("dead", "list", "--json", settings: mortuary.settings)
            let group = try #require(try listed.lines.first)
            let told = group["reasons"]?.elements ?? []
            #expect(told.map { $0["error"]?.string } == ["slow", "full", "gone"], "\(listed)")
            #expect(told.map { $0["count"]?.int } == [5, 4, 3] && group["count"]?.int == 14)
            let text = try await parley("dead", "list", settings: mortuary.settings).output
            for line in ["    5 × slow\n", "    4 × full\n", "    3 × gone\n", "    2 with other reasons\n"] {
                #expect(text.contains(line), "\(text)")
            }
        }
    }

    @Test(arguments: [
        ["dead", "list"], ["dead", "list", "--each"], ["requeue", "--all"], ["dead", "purge", "--all", "--yes"],
    ])
    func aQueueThatIsNotThereIsNamed(_ command: [String]) async throws {
        let name = "contract.\(unique())"
        let process = try ParleyProcess(command, settings: ["queue.name": name])
        #expect(try await process.exitStatus() == 0, "\(process.errors)")
        #expect(process.errors.contains("there is no queue \(name).dead"))
    }

    @Test func filtersMustAllHold() async throws {
        try await Mortuary.with { mortuary in
            try await mortuary.bury(24)
            func ids(_ filters: String...) async throws -> [String?] {
                let process = try ParleyProcess(
                    ["dead", "list", "--each", "--json"] + filters, settings: mortuary.settings)
                #expect(try await process.exitStatus() == 0, "\(process.errors)")
                return try process.output.split(separator: "\n")
                    .map { try JSONDocument(Array($0.utf8)).root["id"]?.string }
            }
            #expect(try await ids() == (0..<24).map { "j\($0)" })
            #expect(try await ids("--limit", "2") == ["j0", "j1"])
            #expect(try await ids("--error", "internal", "--tenant", "t1") == ["j1", "j13"])
            #expect(try await ids("--id", "j3", "--id", "j5", "--id", "none") == ["j3", "j5"])
            #expect(try await ids("--id", "j3", "--error", "internal") == [])
            #expect(
                try await ids("--after", "2026-11-22T00:00:20Z", "--before", "2026-11-22T01:00:22+01:00")
                    == ["j20", "j21"])
            #expect(try await ids("--after", "2026-11-22T00:00:20Z", "--before", "1s").count == 4)
            let none = try await parley(
                "dead", "list", "--each", "--error", "too_large", settings: mortuary.settings)
            #expect(none.output == "no dead letters in \(mortuary.dead), of 24 that were looked at\n")
        }
    }

    @Test func aLetterIsShownWhole() async throws {
        try await Mortuary.with { mortuary in
            try await mortuary.bury(5)
            let text = try await parley("dead", "show", "j3", settings: mortuary.settings)
            #expect(text.status == 0)
            for part in ["x-parley-error-code: worker_lost", "x-shop: kept", "priority: 3", "a secret"] {
                #expect(text.output.contains(part), "\(part)")
            }
            let json = try await parley("dead", "show", "j3", "--json", settings: mortuary.settings).lines
            #expect(json.count == 1)
            #expect(json.first?["headers"]?["x-parley-attempts"]?.int == 5)
            #expect(json.first?["properties"]?["message_id"]?.string == "j3")
            #expect(json.first?["body"]?["query"]?.string == "a secret")
            let none = try await parley("dead", "show", "j9", settings: mortuary.settings)
            #expect(none.status == 1 && none.output.isEmpty && none.errors.contains("j9"))
            #expect(try await mortuary.count(mortuary.dead) == 5)
        }
    }

    @Test func purgingNeedsToBeMeant() async throws {
        try await Mortuary.with { mortuary in
            try await mortuary.bury(8)
            for arguments in [["--all"], ["--error", "internal"], ["--yes"], []] {
                let process = try ParleyProcess(["dead", "purge"] + arguments, settings: mortuary.settings)
                #expect(try await process.exitStatus() == 2, "\(arguments)")
                #expect(process.errors.contains(arguments.contains("--yes") || arguments.isEmpty ? "--all" : "--yes"))
            }
            let dry = try await parley(
                "dead", "purge", "--error", "internal", "--dry-run", "--json", settings: mortuary.settings)
            #expect(try dry.lines.first?["matched"]?.int == 2 && dry.lines.first?["purged"]?.int == 0)
            #expect(try await mortuary.count(mortuary.dead) == 8)
            let some = try await parley(
                "dead", "purge", "--error", "internal", "--yes", "--json", settings: mortuary.settings)
            #expect(some.status == 0)
            #expect(try some.lines.first?["purged"]?.int == 2)
            #expect(some.errors.contains(#""action":"purge""#) && some.errors.contains("error=internal"))
            #expect(try await mortuary.count(mortuary.dead) == 6)
            let all = try await parley("dead", "purge", "--all", "--yes", "--json", settings: mortuary.settings)
            #expect(try all.lines.first?["purged"]?.int == 6)
            #expect(try await mortuary.count(mortuary.dead) == 0)
        }
    }

    @Test func noDeadLetterQueueIsNoDeadLetters() async throws {
        let settings = ["queue.name": "contract.none.\(unique())"]
        let listed = try await parley("dead", "list", "--json", settings: settings)
        #expect(listed.status == 0 && listed.output.isEmpty)
        let requeued = try await parley("requeue", "--all", "--json", settings: settings)
        #expect(requeued.status == 0)
        #expect(try requeued.lines.first?["matched"]?.int == 0)
    }

    @Test(arguments: [
        ["dead", "list", "--error", "nope"], ["dead", "list", "--before", "soon"], ["dead", "list", "--limit", "0"],
        ["dead", "list", "--limit", "5"], ["dead", "show", ""],
        ["dead", "list", "--after", "1h", "--before", "2h"], ["requeue"], ["requeue", "--limit", "5"],
        ["requeue", "--all", "--limit", "0"], ["requeue", "--all", "--rate", "0"], ["requeue", "--error", "Internal"],
        ["requeue", "--tenant", ""], ["revoke", "ok", "not ok"], ["status", "--every", "often"],
    ])
    func anOperatorsMistakeEndsWith2(_ arguments: [String]) async throws {
        let process = try ParleyProcess(arguments)
        #expect(try await process.exitStatus() == 2)
        #expect(!process.errors.isEmpty && process.output.isEmpty)
        if arguments.contains("nope") { #expect(process.errors.contains("worker_lost")) }
    }

    @Test(arguments: [
        ["dead", "list"], ["dead", "show"], ["dead", "purge"], ["requeue"], ["revoke"], ["status"], ["delays", "show"],
        ["delays", "remove"],
    ])
    func anOperatorsCommandHelps(_ command: [String]) async throws {
        let process = try ParleyProcess(command + ["--help"])
        #expect(try await process.exitStatus() == 0)
        #expect(process.output.contains("--config") && process.output.contains("--json") && process.errors.isEmpty)
    }

    @Test func serversThatOperatorsCannotReachEndWith3() async throws {
        let port = try freePort()
        for command in [
            ["dead", "list"], ["dead", "show", "x"], ["dead", "purge", "--all", "--yes"], ["requeue", "--all"],
            ["status"], ["delays", "show"], ["delays", "remove", "--yes"],
        ] {
            let process = try ParleyProcess(
                command, settings: ["rabbitmq.url": "amqp://guest:sesame@127.0.0.1:\(port)/"])
            #expect(try await process.exitStatus() == 3, "\(command)")
            #expect((process.errors + process.output).contains("127.0.0.1:\(port)"), "\(command)")
            #expect(!(process.errors + process.output).contains("sesame"))
        }
        for command in [["revoke", "x"], ["status"]] {
            let process = try ParleyProcess(command, settings: ["redis.url": "redis://127.0.0.1:\(port)/0"])
            #expect(try await process.exitStatus() == 3, "\(command)")
        }
    }
}
