import ParleyJSON
import ParleyRabbitMQ
import ParleyRedis
import TestSupport
import Testing

/// What others sent reaches no terminal raw, and no number of theirs ends a command.
extension ContractTests {
    private static let hostile = "\u{1B}[2J\u{1B}]0;owned\u{07}\u{202E}\u{9B}1m\u{7F}"

    private func isClean(_ outcome: Outcome, lines: Bool = true) -> Bool {
        (outcome.output + outcome.errors).unicodeScalars.allSatisfy {
            $0 == "\n" || $0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) && $0.value != 0x202E
        }
    }

    @Test func aStoredResultSteersNoTerminalAndItsNumbersEndNoCommand() async throws {
        try await Producer.with { producer in
            let id = unique()
            var json = JSONWriter()
            json.object {
                $0.member("id", id)
                $0.member("status", "succeeded")
                $0.member("answer", "yes \(Self.hostile)\nindeed")
                $0.member(
                    "sources", raw: Array(#"[{"id":"a","score":-1e300,"title":"\u001b[31mt\nu","text":"x"}]"#.utf8))
                $0.member("model", "m\(Self.hostile)")
                $0.member(
                    "timings_ms", raw: Array(#"{"queued":1e300,"retrieve":-1e308,"generate":1e19,"total":1e300}"#.utf8))
            }
            _ = try await producer.redis.send(
                RedisCommand(arguments: [
                    Array("SET".utf8), Array("chat:result:\(id)".utf8), json.bytes,
                ]))
            let shown = try await parley("result", id)
            #expect(shown.status == 0 && isClean(shown), "\(shown)")
            #expect(shown.output.contains(#"yes \u{1B}[2J\u{1B}]0;owned\u{7}\u{202E}\u{9B}1m\u{7F}"# + "\nindeed\n"))
            #expect(shown.output.contains(#"\u{1B}[31mt\nu"#) && shown.output.contains("1e+300 ms"))
            let asJSON = try await parley("result", id, "--json")
            #expect(try asJSON.lines.first?["answer"]?.string == "yes \(Self.hostile)\nindeed")
        }
    }

    @Test func aFailedJobsResultEndsWith1() async throws {
        try await Producer.with { producer in
            for status in ["failed", "expired", "revoked"] {
                let id = unique()
                let error = #"{"code":"internal","message":"\u001b[31mno","retryable":false}"#
                let reply = #"{"id":"\#(id)","status":"\#(status)","error":\#(error)}"#
                _ = try await producer.redis.send(RedisCommand("SET", "chat:result:\(id)", reply))
                let shown = try await parley("result", id)
                #expect(shown.status == 1 && isClean(shown) && shown.errors.contains(#"\u{1B}[31mno"#), "\(shown)")
                let asJSON = try await parley("result", id, "--json")
                #expect(asJSON.status == 1 && asJSON.output == reply + "\n" && asJSON.errors.isEmpty, "\(asJSON)")
            }
        }
    }

    @Test func deadLettersAndRepliesSteerNoTerminal() async throws {
        try await Mortuary.with { mortuary in
            let properties = MessageProperties(
                headers: [
                    "x-parley-error-code": .string("internal\u{1B}c"), "x-parley-error": .string(Self.hostile),
                    "x-parley-source-queue": .string("\u{202E}q"), "x\u{1B}y": .string("a\nb\(Self.hostile)"),
                    "x-parley-attempts": .int(.max), "x-parley-requeues": .int(.max),
                ], messageID: "id\u{1B}[31m\nforged")
            let body = Array("{\"tenant\":\"t\(Self.hostile.dropLast())\"\u{1B}".utf8)
            let letter = OutgoingMessage(routingKey: mortuary.dead, properties: properties, body: body)
            let (connection, channel) = (mortuary.producer.connection, mortuary.producer.channel)
            _ = try await connection.publish(letter, channel: channel)
            for words in [["dead", "list"], ["dead", "list", "--each"], ["dead", "show", "id\u{1B}[31m\nforged"]] {
                let process = try ParleyProcess(words, settings: mortuary.settings)
                let shown = Outcome(
                    status: try await process.exitStatus(), output: process.output, errors: process.errors)
                #expect(shown.status == 0 && isClean(shown) && shown.output.contains(#"\u{1B}"#), "\(words) \(shown)")
                #expect(!shown.output.contains("\nforged"), "\(words) \(shown)")
            }
            let replies = "contract.replies.\(unique())"
            _ = try await mortuary.producer.connection.declare(QueueDeclaration(name: replies))
            let reply = "{\"answer\":\"\u{9B}31m\u{202E}\u{7F}\"}"
            _ = try await connection.publish(OutgoingMessage(to: replies, reply), channel: channel)
            let printed = try await parley("replies", replies, "-n", "1", "--timeout", "20s")
            #expect(printed.output == #"{"answer":"\u009b31m\u202e\u007f"}"# + "\n", "\(printed)")
            _ = try? await mortuary.producer.connection.deleteQueue(replies)
        }
    }

    @Test func aWorkersPresenceSteersNoTerminalAndItsNumbersEndNoCommand() async throws {
        try await Mortuary.with { mortuary in
            let presence = #"""
                {"host":"h\u001b[31m","pid":7,"state":"working","queue":"\#(mortuary.queue)","away":["\u202ex"],
                "in_flight":9223372036854775807,"jobs":-9223372036854775808,"rate":1e300}
                """#
            let keys = ["chat:worker:\(unique())", "chat:worker:\(unique())"]
            for key in keys {
                _ = try await mortuary.producer.redis.send(RedisCommand("SET", key, presence, "PX", 60_000))
            }
            for flags in [[], ["--json"]] {
                let process = try ParleyProcess(["status"] + flags, settings: mortuary.settings)
                let shown = Outcome(
                    status: try await process.exitStatus(), output: process.output, errors: process.errors)
                #expect(shown.status == 0 && (!flags.isEmpty || isClean(shown)), "\(shown)")
            }
            for key in keys { _ = try await mortuary.producer.redis.send(RedisCommand("DEL", key)) }
        }
    }
}
