import Glibc
import ParleyJSON
import ParleyRabbitMQ
import TestSupport
import Testing

/// Section 6: the command line.
extension ContractTests {
    @Test(arguments: ["worker", "ask", "publish", "replies", "result", "ingest", "search", "check"])
    func everyCommandHelpsAndKnowsItsFlags(_ command: String) async throws {
        let help = try await parley(command, "--help")
        #expect(help.status == 0)
        #expect(help.output.contains("--config") && help.errors.isEmpty)
        #expect(command == "worker" || help.output.contains("--json"))
        let operands = ["ask", "replies", "result", "ingest", "search"].contains(command) ? ["x"] : []
        let wrong = try ParleyProcess([command] + operands + ["--no-such-flag"])
        #expect(try await wrong.exitStatus() == 2)
        #expect(wrong.errors.contains("--no-such-flag") && wrong.output.isEmpty)
    }

    @Test(arguments: [
        ["ask"], ["ask", ""], ["ask", "x", "--priority", "10"], ["ask", "x", "--id", "a b"],
        ["ask", "x", "--timeout", "soon"], ["ask", "x", "--retrieve", "maybe"], ["ask", "x", "--temperature", "9"],
        ["ask", "x", "--top-k", "0"], ["result", "a b"], ["publish", "/nonexistent/jobs"],
        ["publish", "--priority", "-1"],
        ["replies", ""], ["replies", "q", "--count", "0"], ["search", "x", "--top-k", "65"], ["no-such-command"],
        ["ask", String(repeating: "x", count: 32_769)], ["search", " "], ["ingest", "/nonexistent/documents"],
    ])
    func whatCannotBeMeantEndsWith2(_ arguments: [String]) async throws {
        let process = try ParleyProcess(
            arguments, settings: arguments == ["no-such-command"] ? ["rabbitmq.url": "", "redis.url": ""] : [:])
        #expect(try await process.exitStatus() == 2)
        #expect(!process.errors.isEmpty && process.output.isEmpty)
    }

    @Test func everyWrongFlagIsNamedAtOnce() async throws {
        let asked = try await parley(
            "ask", "x", "--priority", "10", "--temperature", "9", "--top-k", "0", "--retrieve", "q", "--id", "a b")
        #expect(asked.status == 2)
        for flag in ["--priority 10", "--temperature 9", "--top-k 0", "--retrieve q", "--id a b"] {
            #expect(asked.errors.contains(flag))
        }
    }

    @Test func aWrongURLIsNamedWithoutItsPassword() async throws {
        let check = try await parley(
            "check", "--set", "queue.name=",
            settings: ["rabbitmq.url": "nonsense", "redis.url": "http://me:sesame@there"])
        #expect(check.status == 2)
        #expect(check.errors.contains(#"rabbitmq.url is "nonsense""#))
        #expect(check.errors.contains(#"redis.url is "http://***@there""#))
        #expect(check.errors.contains(#"queue.name is """#))
        #expect(!check.errors.contains("sesame"))
    }

    @Test func askPrintsTheAnswerAndResultPrintsItAgain() async throws {
        let worker = try await Worker.start()
        let settings = ["queue.name": worker.queue]
        let plain = try await parley("ask", "how are you", settings: settings)
        #expect(plain.status == 0 && plain.output.hasPrefix("how are you\n"))
        let id = unique()
        let asked = try await parley("ask", "x", "--json", "--id", id, settings: settings)
        #expect(asked.status == 0)
        #expect(try asked.lines.map { $0["id"]?.string } == [id])
        let stored = try await parley("result", id, "--json")
        #expect(stored.status == 0 && stored.output == asked.output)
        let unknown = try await parley("result", unique())
        #expect(unknown.status == 1 && unknown.output.isEmpty)
        let failed = try await parley("ask", "x", "--retrieve", "always", "--json", settings: settings)
        #expect(failed.status == 1)
        #expect(try failed.lines.first?["error"]?["code"]?.string == "retrieval_failed")
        try await worker.stop()
    }

    @Test func askStreamsNumberedChunksAsJSON() async throws {
        let model = try await ModelServer(delay: .milliseconds(50))
        let worker = try await Worker.start(["model.url": model.url])
        let asked = try await parley("ask", "x", "--stream", "--json", settings: ["queue.name": worker.queue])
        let lines = try asked.lines
        let chunks = lines.dropLast()
        #expect(asked.status == 0)
        #expect(chunks.count > 1)
        #expect(chunks.compactMap { $0["seq"]?.int } == Array(0..<chunks.count))
        #expect(chunks.compactMap { $0["delta"]?.string }.joined() == lines.last?["answer"]?.string)
        try await worker.stop()
    }

    @Test func publishedLinesAreAnsweredToTheQueuesTheyName() async throws {
        let worker = try await Worker.start()
        let settings = ["queue.name": worker.queue]
        let (common, own, id) = ("contract.common.\(unique())", "contract.own.\(unique())", unique())
        let lines = """
            {"id":"\(id)","query":"a"}

            not json
            {"query":"b","priority":9}
            {"query":"c","priority":77}
            {"id":"bad id","query":"x"}
            []
            {"query":"d","reply_to":"\(own)"}
            """
        let published = try await parley("publish", "--json", "--reply-to", common, settings: settings, input: lines)
        #expect(published.status == 2)
        for line in [3, 5, 6, 7] { #expect(published.errors.contains("line \(line): ")) }
        #expect(try published.lines.first?["published"]?.int == 3)
        #expect(try published.lines.first?["invalid"]?.int == 4)
        let replies = try await parley("replies", common, "--count", "2", "--timeout", "20s")
        #expect(replies.status == 0)
        #expect(try Set(replies.lines.compactMap { $0["answer"]?.string }) == ["a", "b"])
        #expect(try replies.lines.contains { $0["id"]?.string == id })
        let rest = try await parley("replies", own, "--count", "1", "--timeout", "20s")
        #expect(try rest.lines.first?["answer"]?.string == "d")
        let none = try await parley("replies", own, "--count", "1", "--timeout", "100ms")
        #expect(none.status == 1 && none.output.isEmpty)
        try await worker.stop()
        try await Producer.with { producer in
            for queue in [common, own] {
                _ = try await producer.connection.deleteQueue(queue, channel: producer.channel)
            }
        }
    }

    @Test func thousandsOfLinesArePublishedAndAnswered() async throws {
        let worker = try await Worker.start()
        let prefix = unique()
        let lines = (0..<5000).map { #"{"id":"\#(prefix).\#($0)","query":"question \#($0)"}"# }
        let published = try await parley(
            "publish", "--ids", settings: ["queue.name": worker.queue], input: lines.joined(separator: "\n"))
        #expect(published.status == 0)
        #expect(published.errors.isEmpty, "no progress where nobody looks")
        #expect(published.output.split(separator: "\n").count == 5000)
        try await Producer.with { producer in
            _ = try await eventually("the answers") {
                try await worker.metric(#"parley_jobs_total{status="succeeded"}"#) == 5000 ? true : nil
            }
            #expect(try await producer.untilStored("\(prefix).4999").answer == "question 4999")
        }
        try await worker.stop()
    }

    @Test func linesArePublishedAsTheyCome() async throws {
        let queue = "contract.lines.\(unique())"
        try await Producer.with { producer in
            let pipe = try Folder()
            #expect(mkfifo("\(pipe.path)/lines", 0o600) == 0)
            let process = try ParleyProcess(
                ["publish", "\(pipe.path)/lines", "--ids", "--json"], settings: ["queue.name": queue])
            let writer = open("\(pipe.path)/lines", O_WRONLY | O_CLOEXEC)
            defer { close(writer) }
            for number in 0..<3 {
                let line = Array("{\"id\":\"\(queue).\(number)\",\"query\":\"x\"}\n".utf8)
                #expect(write(writer, line, line.count) == line.count)
                let shown = "{\"id\":\"\(queue).\(number)\"}\n"
                try await eventually("line \(number)") { process.output.hasSuffix(shown) ? () : nil }
            }
            let job = try #require(try await producer.connection.get(queue, noAck: true, channel: producer.channel))
            #expect(job.properties.priority == 4, "to the broker, a job without a priority would come last")
            process.signal(SIGINT)
            #expect(try await process.exitStatus() == 130)
            let lines = try process.output.split(separator: "\n").map { try JSONDocument(Array($0.utf8)).root }
            #expect(lines.count == 4 && lines.last?["published"]?.int == 3)
            _ = try await producer.connection.deleteQueue(queue, channel: producer.channel)
        }
    }

    @Test func whatIsNoReplyIsPrintedAsJSONAllTheSame() async throws {
        let queue = "contract.foreign.\(unique())"
        try await Producer.with { producer in
            _ = try await producer.connection.declare(QueueDeclaration(name: queue), channel: producer.channel)
            for body in [Array("not\njson".utf8), Array("{\"a\":\n [1, 2]}".utf8), [0xFF], Array("{}".utf8)] {
                _ = try await producer.connection.publish(
                    OutgoingMessage(routingKey: queue, properties: MessageProperties(), body: body),
                    channel: producer.channel)
            }
            let replies = try await parley("replies", queue, "--count", "4")
            #expect(replies.output == "{\"raw\":\"not\\njson\"}\n{\"a\":[1,2]}\n{\"raw\":\"\u{FFFD}\"}\n{}\n")
            _ = try await producer.connection.deleteQueue(queue, channel: producer.channel)
        }
    }

    @Test func secretsAreNotLoggedAtAnyLevel() async throws {
        let worker = try await Worker.start([
            "log.level": "trace", "model.api_key": "sesame1", "embeddings.api_key": "sesame2",
            "redis.url": #require(Surroundings.redis).replacing("redis://", with: "redis://default:sesame3@"),
        ])
        try await worker.stop()
        #expect(worker.log.contains("worker stopped"))
        #expect(!worker.log.contains("sesame"))
        #expect(!worker.log.contains("guest:guest"))
    }

    @Test func aQuestionThatNobodyAnswersEndsWith1() async throws {
        let queue = "contract.nobody.\(unique())"
        let asked = try await parley("ask", "x", "--timeout", "100ms", settings: ["queue.name": queue])
        #expect(asked.status == 1)
        #expect(asked.errors.contains("parley result"))
    }

    @Test(arguments: [["replies"], ["ask"], ["publish"]])
    func anInterruptedCommandEndsWith130(_ command: [String]) async throws {
        let queue = "contract.interrupted.\(unique())"
        try await Producer.with { producer in
            let arguments = command == ["publish"] ? ["publish", "/dev/stdin"] : command + [queue]
            let input = (0..<200_000).map { #"{"query":"question \#($0)"}"# }.joined(separator: "\n")
            let process = try ParleyProcess(
                arguments, settings: ["queue.name": command == ["replies"] ? "chat.jobs" : queue],
                input: command == ["publish"] ? input : "")
            // Under way when the queue, which each of them declares, is there.
            _ = try await eventually("the queue") { try await exists(queue) ? true : nil }
            process.signal(SIGINT)
            #expect(try await process.exitStatus() == 130)
            _ = try await producer.connection.deleteQueue(queue, channel: producer.channel)
        }
    }

    @Test(arguments: [
        ["dead", "list"], ["dead", "show", "x"], ["dead", "purge", "--all", "--yes"], ["requeue", "--all"], ["status"],
    ])
    func anInterruptedCommandThatIsStillConnectingEndsWith130(_ command: [String]) async throws {
        let kind = SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue
        let listener = socket(AF_INET, Int32(kind), 0)
        defer { close(listener) }
        let port = try bindToLoopback(listener)
        #expect(listen(listener, 8) == 0)
        let process = try ParleyProcess(command, settings: ["rabbitmq.url": "amqp://guest:guest@127.0.0.1:\(port)/"])
        // Whoever has connected waits for an answer that never comes.
        let connected = try await eventually("a connection") {
            let descriptor = accept(listener, nil, nil)
            return descriptor >= 0 ? descriptor : nil
        }
        defer { close(connected) }
        process.signal(SIGINT)
        #expect(try await process.exitStatus() == 130)
    }

    @Test func serversThatCannotBeReachedEndWith3() async throws {
        let port = try freePort()
        for command in [["ask", "x"], ["publish"], ["replies", "q"], ["check"]] {
            let process = try ParleyProcess(
                command, settings: ["rabbitmq.url": "amqp://guest:guest@127.0.0.1:\(port)/"], input: #"{"query":"x"}"#)
            #expect(try await process.exitStatus() == 3, "\(command)")
            #expect((process.errors + process.output).contains("127.0.0.1:\(port)"), "\(command)")
        }
        for command in [["result", "x"], ["check"]] {
            let process = try ParleyProcess(command, settings: ["redis.url": "redis://127.0.0.1:\(port)/0"])
            #expect(try await process.exitStatus() == 3, "\(command)")
            #expect((process.errors + process.output).contains("127.0.0.1:\(port)"), "\(command)")
        }
    }

    @Test(arguments: ["contract.own", "contract.own.dead", "contract.own.high", "contract.own.delay.3"])
    func repliesTakesNoJobsAway(_ queue: String) async throws {
        let command = try await parley(
            "replies", queue, "--timeout", "1s", settings: ["queue.name": "contract.own", "queue.lanes": "high:2"])
        #expect(command.status == 2)
        #expect(command.errors.contains("QUEUE \(queue)"))
    }

    @Test func checkSaysWhatIsThere() async throws {
        let plain = try await parley("check")
        #expect(plain.status == 0)
        for part in ["rabbitmq", "redis", "embeddings", "vectors", "model"] { #expect(plain.output.contains(part)) }
        let json = try await parley("check", "--json")
        #expect(try json.lines.first?["ok"]?.bool == true)
    }

    @Test func aMisspeltVariableIsPointedOut() async throws {
        let check = try await parley("check", environment: ["PARLEY_QUEUE_NAMES": "x"])
        #expect(check.status == 0)
        #expect(check.output.contains("configuration  warning  the environment variable PARLEY_QUEUE_NAMES"))
        #expect(check.output.contains("PARLEY_QUEUE_NAME?"))
        let worker = try ParleyProcess(
            ["worker"], settings: ["queue.name": "contract.\(unique())", "admin.listen": "off"],
            environment: ["PARLEY_QUEUE_NAMES": "x"])
        try await eventually("a warning") { worker.errors.contains("PARLEY_QUEUE_NAMES") ? () : nil }
        worker.signal(SIGTERM)
        #expect(try await worker.exitStatus() == 0)
    }

    @Test func checkSaysWhatAServerRefusesAndKeepsSecrets() async throws {
        let broker = try #require(Surroundings.rabbitMQ).replacing("guest:guest@", with: "guest:sesame@")
        let store = try #require(Surroundings.redis).replacing("redis://", with: "redis://:sesame@")
        let process = try await parley("check", settings: ["rabbitmq.url": broker, "redis.url": store])
        #expect(process.status == 2)
        #expect(process.output.contains("rabbitmq       wrong") && process.output.contains("redis          wrong"))
        #expect(process.output.contains("rabbitmq.url") && process.output.contains("redis.url"))
        #expect(!(process.output + process.errors).contains("sesame"))
        let database = try await parley(
            "check", settings: ["redis.url": #require(Surroundings.redis).dropLast() + "9999"])
        #expect(database.status == 2 && database.output.contains("9999"))
    }

    @Test func documentsAreLoadedChangedAndRemovedAndARunningWorkerSeesIt() async throws {
        let folder = try Folder()
        let (index, prepared) = (folder.path + "/index", folder.path + "/prepared")
        let settings = ["vectors.url": "file:\(index)"]
        let worker = try await Worker.start([
            "vectors.url": "file:\(index)", "model.url": "builtin:extractive", "retrieval.mode": "always",
        ])
        func ingest(to path: String) async throws -> [Int?] {
            let outcome = try await parley(
                "ingest", folder.path, "--json", settings: ["vectors.url": "file:\(path)"])
            #expect(outcome.status == 0, "\(outcome.errors)")
            let summary = try #require(try outcome.lines.first)
            return ["added", "changed", "unchanged", "removed"].map { summary[$0]?.int }
        }
        let none = try await parley("search", "parcel", settings: settings)
        #expect(none.status == 1 && none.errors.contains("parley ingest"))
        try await Producer.with { producer in
            let question = #"{"query":"How do I return a damaged parcel?","options":{"top_k":1}}"#
            try folder.write("returns.md", "# Returns\n\nA damaged parcel can be returned within 30 days.\n")
            try folder.write("shipping.txt", "Shipping takes three days.\n")
            #expect(try await ingest(to: prepared) == [2, 0, 0, 0])
            #expect(try await ingest(to: prepared) == [0, 0, 2, 0])
            #expect(try await producer.ask(question, of: worker).errorCode == "retrieval_failed")
            // The very next job finds the index that was not there for the one before.
            #expect(rename(prepared, index) == 0)
            let reply = try await producer.ask(question, of: worker)
            #expect(try reply.answer?.contains("30 days") == true)
            let sources = try reply.json["sources"]?.elements ?? []
            #expect(sources.count == 1)
            #expect(Set(sources.first?.members.map(\.name) ?? []) == ["id", "score", "title", "text"])
            #expect(sources.first?["title"]?.string == "Returns")
            try folder.write("returns.md", "# Returns\n\nA damaged parcel can be returned within 99 days.\n")
            folder.remove("shipping.txt")
            try folder.write("gifts.jsonl", #"{"id":"gifts","title":"Gift cards","text":"A gift card lasts a year."}"#)
            #expect(try await ingest(to: index) == [1, 1, 0, 1])
            _ = try await eventually("the changed passage") {
                try await producer.ask(question, of: worker).answer?.contains("99 days") == true ? true : nil
            }
        }
        let found = try await parley("search", "gift card", "--json", settings: settings)
        #expect(found.status == 0)
        #expect(try found.lines.first?["results"]?.elements.first?["title"]?.string == "Gift cards")
        try await worker.stop()
    }

    /// Whether a queue is there; asked on a channel of its own, which the broker closes when it is not.
    private func exists(_ queue: String) async throws -> Bool {
        try await Producer.with { producer in
            (try? await producer.count(queue)) != nil
        }
    }
}
