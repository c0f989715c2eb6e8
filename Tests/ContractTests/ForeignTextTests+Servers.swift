import Glibc
import ParleyJSON
import ParleyRedis
import TestSupport
import Testing

/// Numbers and texts in Redis' hashes, in a model's usage and in what servers say when they refuse: data to the last byte.
extension ContractTests {
    private static let hostile = "\u{1B}]0;owned\u{07}\u{202E}\u{9B}1m\nparley: all is well"

    private func isClean(_ outcome: Outcome) -> Bool {
        let shown = outcome.output + outcome.errors
        return !shown.contains("\nparley: all is well")
            && shown.unicodeScalars.allSatisfy {
                $0 == "\n" || $0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) && $0.value != 0x202E
            }
    }

    private func redis(_ redis: PrivateRedis, _ words: String...) async throws {
        try await withClient(redis.url()) { client in
            try await client.connect()
            _ = try await client.send(RedisCommand(arguments: words.map { Array($0.utf8) })).get()
        }
    }

    @Test func whateverStandsInTheLedgerIsShownAndEndsNoCommand() async throws {
        let store = try await PrivateRedis()
        let day = String(rfc3339(secondsFromNow: 0).prefix(10))
        for (number, value) in [
            "9223372036854775807", "9223372036854775807", "-9223372036854775808", "1e300", "x", "",
        ].enumerated() {
            for count in ["answers", "reused", "calls", "prompt_tokens", "completion_tokens", "cached_tokens", "cost"] {
                // Rows that are added up, and one with hostile names.
                let who =
                    number < 3
                    ? "t\u{1F}a\(number)\u{1F}m\u{1F}EUR" : "t\(Self.hostile)\u{1F}a\u{1F}m\u{1F}E\(Self.hostile)"
                try await redis(store, "HSET", "chat:costs:\(day)", "\(who)\u{1F}\(count)", value)
            }
        }
        for by in ["tenant", "agent", "model", "day"] {
            let settings = ["redis.url": store.url()]
            let shown = try await parley("costs", "--by", by, settings: settings)
            #expect(shown.status == 0 && isClean(shown), "\(shown)")
            let json = try await parley("costs", "--by", by, "--json", settings: settings)
            #expect(try json.status == 0 && json.lines.count == 1, "\(json)")
        }
    }

    @Test func aModelThatCountsAbsurdlyIsAnsweredForAndTheLedgerHoldsUpNobody() async throws {
        let store = try await PrivateRedis()
        let model = try await ScriptedServer { request in
            let usage = #"{"prompt_tokens":999999999999,"completion_tokens":999999999999,"cached_tokens":-1e300}"#
            return (
                200,
                #"{"choices":[{"message":{"content":"yes"},"finish_reason":"stop"}],"usage":\#(usage)}"#
            )
        }
        let worker = try await Worker.start([
            "redis.url": store.url(), "model.url": "\(model.url)/v1", "model.prices": "1000000, 0, 1000000",
            "model.currency": "VND",
        ])
        try await Producer.with { producer in
            for number in 0..<4 {
                #expect(try await producer.ask(#"{"query":"\#(number)"}"#, of: worker).status == "succeeded")
            }
            let day = String(rfc3339(secondsFromNow: 0).prefix(10))
            let key = "chat:costs:\(day)"
            // A count that cannot grow, one that is none, and a key of another kind.
            try await redis(store, "HSET", key, "\u{1F}\u{1F}\u{1F}VND\u{1F}cost", "9223372036854775807")
            try await redis(store, "HSET", key, "\u{1F}\u{1F}\u{1F}VND\u{1F}answers", "many")
            #expect(try await producer.ask(#"{"query":"x"}"#, of: worker).status == "succeeded")
            try await redis(store, "SET", key, "no hash")
            #expect(try await producer.ask(#"{"query":"y"}"#, of: worker).status == "succeeded")
            let costs = try await parley("costs", settings: ["redis.url": store.url()])
            #expect(costs.status == 1 && costs.errors.contains("WRONGTYPE"), "\(costs)")
        }
        #expect(try await worker.stop() == 0)
    }

    @Test func whatServersSayWhenTheyRefuseIsOneLineAndSteersNoTerminal() async throws {
        let redis = try ScriptedRedis([[.always("-ERR \u{1B}[2J\u{202E}\u{9B}31m\u{07}no\r\n")]])
        let model = try await ScriptedServer { _ in
            (400, #"{"error":{"message":"\u001b[2J\u202e\nparley: all is well","code":"\u001b[31m"}}"#)
        }
        let settings = [
            "redis.url": "redis://127.0.0.1:\(redis.port)/0", "model.url": "\(model.url)/v1",
            "embeddings.url": "\(model.url)/v1",
            "vectors.url": "chroma+\(model.url)/docs",
        ]
        for words in [
            ["check"], ["status"], ["result", "x"], ["costs"], ["revoke", "x"], ["search", "x"], ["ingest", "."],
            ["forget", "--id", "x", "--yes"], ["check", "--set", "queue.name=q\u{1B}[2J\u{202E}"],
            ["dead", "list", "--set", "queue.name=q\u{1B}[2J\u{202E}"],
            [
                "replies", "\u{1B}[2J\nparley: all is well", "--timeout", "1s", "--set",
                "rabbitmq.url=amqp://x:y@127.0.0.1:1",
            ],
        ] {
            let process = try ParleyProcess(words, settings: settings)
            let shown = Outcome(status: try await process.exitStatus(), output: process.output, errors: process.errors)
            #expect(isClean(shown) && shown.status < 128, "\(words) \(shown)")
        }
    }

    @Test func whatAModelAndDocumentsSaySteersNoTerminalThatAsks() async throws {
        let folder = try Folder()
        try folder.write("a\u{1B}[2J.md", "# T\u{202E}\u{9B}1m\n\nParcels come by bike.")
        let content = #"yes \u001b]0;owned\u0007\u202e\u009b1m"#
        let model = try await ScriptedServer { request in
            let question = String(decoding: request.body, as: UTF8.self)
            return question.contains("refuse")
                ? (400, #"{"error":{"message":"\u001b[2J\u202e\nparley: all is well","code":"x"}}"#)
                : (
                    200,
                    #"{"model":"m\u001b[31m\nx","choices":[{"message":{"content":"\#(content)"},"finish_reason":"stop"}]}"#
                )
        }
        let settings = ["vectors.url": "file:\(folder.path)/k.index"]
        let ingested = try await parley("ingest", folder.path, settings: settings)
        #expect(ingested.status == 0)
        let worker = try await Worker.start(
            settings.merging(["model.url": "\(model.url)/v1", "retrieval.mode": "always"]) { $1 })
        let own = ["queue.name": worker.queue]
        for stream in ["--stream", "--no-stream"] {
            let shown = try await parley("ask", "How do parcels come?", stream, "--timeout", "60s", settings: own)
            #expect(shown.status == 0 && isClean(shown), "\(shown)")
            #expect(
                shown.output.contains(#"yes \u{1B}]0;owned"#) && shown.output.contains(#"a\u{1B}[2J.md#1"#), "\(shown)")
        }
        let refused = try await parley("ask", "refuse parcels", "--timeout", "60s", settings: own)
        #expect(refused.status == 1 && isClean(refused), "\(refused)")
        let lines = "refuse parcels\n{\"query\":\"\\u001b[2J\",\"tenant\":7}\n{\u{1B}[2J\n"
        let process = try ParleyProcess(["warm", "-"], settings: own, input: lines)
        let warm = Outcome(status: try await process.exitStatus(), output: process.output, errors: process.errors)
        #expect(warm.status == 1 && isClean(warm) && warm.errors.contains("were not answered"), "\(warm)")
        #expect(try await worker.stop() == 0)
    }

    @Test func ingestingStaysInItsFolderAndReplacesNothingOfOthers() async throws {
        let folder = try Folder()
        for name in ["docs", "out"] { #expect(mkdir("\(folder.path)/\(name)", 0o700) == 0) }
        try folder.write("docs/a.md", "# A\n\nParcels come by bike.")
        try folder.write("out/key.md", "# Key\n\nOpen sesame.")
        for (target, name) in [("../out/key.md", "key.md"), ("../out", "out"), ("..", "loop"), ("self", "self")] {
            #expect(symlink(target, "\(folder.path)/docs/\(name)") == 0)
        }
        func ingest(_ index: String) async throws -> Outcome {
            try await parley("ingest", folder.path + "/docs", settings: ["vectors.url": "file:\(folder.path)/\(index)"])
        }
        let first = try await ingest("k.index")
        #expect(first.status == 0 && first.output.contains("1 documents added"), "\(first)")
        var status = stat()
        #expect(stat(folder.path + "/k.index", &status) == 0 && status.st_mode & 0o777 == 0o600)
        #expect(!folder.read("k.index").contains("sesame"))
        try folder.write("notes", "root:x:0:0: not an index")
        #expect(symlink("notes", folder.path + "/link.index") == 0)
        for index in ["notes", "link.index"] {
            let foreign = try await ingest(index)
            #expect(foreign.status == 2 && foreign.errors.contains("is left alone"), "\(foreign)")
        }
        #expect(folder.read("notes") == "root:x:0:0: not an index")
        // The number of the form stands behind the eight bytes that name it.
        let file = open(folder.path + "/k.index", O_RDWR)
        #expect(file >= 0 && pwrite(file, [99], 1, 8) == 1)
        close(file)
        let newer = try await ingest("k.index")
        #expect(newer.status == 2 && newer.errors.contains("newer Parley"), "\(newer)")
    }

    @Test func namesOfFilesAndDocumentsSteerNoTerminal() async throws {
        let folder = try Folder()
        try folder.write("a.md", "# T\u{1B}[2J\n\nParcels come by bike.\u{9B}31m")
        try folder.write("b\u{1B}[2J\nparley: all is well.bin", "x")
        try folder.write(
            "c.jsonl", #"{"id":"i\u001b[31m\nparley: all is well","text":"Parcels.","title":"\u202e"}"# + "\n{\n")
        let settings = ["vectors.url": "file:\(folder.path)/k.index"]
        let ingest = try await parley("ingest", folder.path, settings: settings)
        #expect(ingest.status == 0 && isClean(ingest) && ingest.errors.contains(#"b\u{1B}[2J\nparley"#), "\(ingest)")
        let search = try await parley("search", "How do parcels come?", settings: settings)
        #expect(search.status == 0 && isClean(search) && search.output.contains(#"\u{1B}[2J"#), "\(search)")
    }
}
