import Glibc
import ParleyJSON
import ParleyRabbitMQ
import TestSupport
import Testing

/// No answer is paid for twice: against the real broker and Redis, with a model that counts.
@Suite(.enabled(if: Surroundings.areComplete)) struct PayOnceTests {
    /// As they are when nothing is set.
    private let cache = ["cache.memory": "64MiB", "cache.ttl": "10m"]

    private func start(_ settings: [String: String]) async throws -> Worker {
        try await Worker.start(cache.merging(settings) { $1 })
    }

    private func question(_ text: String, _ more: String = "") -> String { #"{"query":"\#(text)"\#(more)}"# }

    @Test func theSameQuestionIsAskedOnceAndTheReplySaysSo() async throws {
        let model = try await ModelServer()
        let worker = try await start(["model.url": model.url])
        try await Producer.with { producer in
            let text = unique()
            let first = try await producer.ask(question(text), of: worker)
            #expect(try first.json["cached"]?.string == "none")
            #expect(try first.json["age_ms"] == nil)
            #expect(try first.json["usage"]?["calls"]?.int == 1)
            let second = try await producer.ask(question("  \(text) "), of: worker)
            #expect(try second.json["cached"]?.string == "memory")
            #expect(try second.json["age_ms"]?.int ?? -1 >= 0)
            #expect(try second.json["stale"]?.bool == false)
            #expect(try second.json["usage"]?["calls"]?.int == 0)
            #expect(try second.json["usage"]?["prompt_tokens"]?.int == 0)
            #expect(try second.answer == first.answer)
            for mode in ["refresh", "bypass"] {
                let own = try await producer.ask(question(text, #","options":{"cache":"\#(mode)"}"#), of: worker)
                #expect(try own.json["cached"]?.string == "none", "\(mode)")
            }
            #expect(model.questions.count == 3)
            let other = try await producer.ask(question(text, #","tenant":"other""#), of: worker)
            #expect(try other.json["cached"]?.string == "none", "another tenant's")
            #expect(try await worker.metric(#"parley_answers_reused_total{from="memory"}"#) == 1)
        }
        #expect(try await worker.stop() == 0)
    }

    @Test func anotherWorkerFindsItInRedis() async throws {
        let model = try await ModelServer()
        let first = try await start(["model.url": model.url])
        let second = try await start(["model.url": model.url])
        try await Producer.with { producer in
            let text = unique()
            let made = try await producer.ask(question(text), of: first)
            #expect(try made.json["cached"]?.string == "none")
            let reused = try await eventually("the answer in Redis") {
                let reply = try await producer.ask(question(text), of: second)
                return try reply.json["cached"]?.string == "none" ? nil : reply
            }
            let from = try reused.json["cached"]?.string
            #expect(from == "redis" || from == "memory")
            #expect(model.questions.count <= 2)
            let again = try await producer.ask(question(text), of: second)
            #expect(try again.json["cached"]?.string == "memory")
        }
        for worker in [first, second] { #expect(try await worker.stop() == 0) }
    }

    @Test func aHundredWhoAskTheSameAtOnceCostOneCall() async throws {
        let model = try await ModelServer(delay: .seconds(30))
        let worker = try await start(["model.url": model.url])
        try await Producer.with { producer in
            let text = unique()
            for _ in 0..<100 { try await producer.publish(question(text), to: worker, id: unique()) }
            model.answer(after: .milliseconds(300))
            var calls = 0
            var from: [String: Int] = [:]
            for _ in 0..<100 {
                let reply = try await producer.nextReply()
                #expect(try reply.status == "succeeded")
                calls += try reply.json["usage"]?["calls"]?.int ?? 0
                from[try reply.json["cached"]?.string ?? "", default: 0] += 1
            }
            #expect(model.questions.count == 1)
            #expect(calls == 1 && from["none"] == 1, "\(from)")
            let joined = try await worker.metric(#"parley_answers_reused_total{from="coalesced"}"#)
            #expect(joined == Double(from["coalesced"] ?? 0))
            #expect(joined ?? 0 > 0)
        }
        #expect(try await worker.stop() == 0)
    }

    @Test func aThousandWhoAskTheSameOfFourWorkersWhenItHasExpiredCostOneCall() async throws {
        let model = try await ModelServer(delay: .milliseconds(300))
        let queue = "contract.\(unique())"
        let settings = cache.merging(["model.url": model.url, "worker.prefetch": "64"]) { $1 }
        let forgetful = try await start(["model.url": model.url, "cache.ttl": "1s", "cache.memory": "0"])
        var workers: [Worker] = []
        for _ in 0..<4 { workers.append(try await Worker.start(queue: queue, settings)) }
        let first = workers[0]
        try await Producer.with { producer in
            let text = unique()
            _ = try await producer.ask(question(text), of: forgetful)
            // Its answer expires: ± 10 %.
            try await Task.sleep(for: .milliseconds(1200))
            for _ in 0..<1000 { try await producer.publish(question(text), to: first, id: unique()) }
            var calls = 0
            for _ in 0..<1000 {
                let reply = try await producer.nextReply()
                #expect(try reply.status == "succeeded")
                calls += try reply.json["usage"]?["calls"]?.int ?? 0
            }
            #expect(model.questions.count == 2)
            #expect(calls == 1)
        }
        for worker in workers + [forgetful] { #expect(try await worker.stop() == 0) }
    }

    @Test func whatIsAskedOftenIsMadeAnewBeforeItExpiresAndTheLedgerHasIt() async throws {
        let model = try await ModelServer(delay: .milliseconds(500))
        let redis = try await PrivateRedis()
        let settings = ["redis.url": redis.url()]
        let own = ["model.url": model.url, "cache.ttl": "2s", "cache.ttl_jitter": "0", "cache.memory_ttl": "1s"]
        let worker = try await start(settings.merging(own) { $1 })
        try await Producer.with { producer in
            let text = unique()
            _ = try await eventually("a renewed answer") {
                let reply = try await producer.ask(question(text), of: worker)
                #expect(try reply.status == "succeeded")
                return try await worker.metric("parley_cache_refreshes_total") ?? 0 > 0 ? true : nil
            }
        }
        _ = try await eventually("the ledger") {
            let costs = try await parley("costs", "--by", "day", "--json", settings: settings)
            let row = try costs.lines.first?["rows"]?.elements.first
            return row?["calls"]?.int == model.questions.count ? true : nil
        }
        #expect(try await worker.stop() == 0)
    }

    @Test func whenTheWorkerThatMakesAnAnswerIsKilledTheNextTakesOver() async throws {
        let model = try await ModelServer(delay: .seconds(3))
        let (maker, other) = (try await start(["model.url": model.url]), try await start(["model.url": model.url]))
        try await Producer.with { producer in
            let text = unique()
            try await producer.publish(question(text), to: maker, id: unique())
            _ = try await eventually("the call") { model.questions.count == 1 ? true : nil }
            try await producer.publish(question(text), to: other, id: unique())
            try await Task.sleep(for: .milliseconds(500))
            #expect(model.questions.count == 1, "the other waits for it")
            maker.process.signal(SIGKILL)
            let reply = try await producer.nextReply()
            #expect(try reply.status == "succeeded")
            #expect(try reply.json["usage"]?["calls"]?.int == 1)
            #expect(model.questions.count == 2)
        }
        #expect(try await other.stop() == 0)
    }

    /// And when that worker is killed, and the model says the same once more, they go on where they were.
    @Test(arguments: [false, true]) func whoStreamsHasThePiecesOfAnAnswerThatAnotherWorkerMakes(kill: Bool) async throws
    {
        let model = try await ModelServer()
        model.say(pieces: 1)
        let (maker, other) = (try await start(["model.url": model.url]), try await start(["model.url": model.url]))
        try await Producer.with { producer in
            let text = unique()
            let streaming = question(text, #","stream":true"#)
            let (first, second) = (unique(), unique())
            try await producer.publish(streaming, to: maker, id: first)
            #expect(try await producer.nextReply().json["id"]?.string == first)
            try await producer.publish(streaming, to: other, id: second)
            // The model holds the rest of the answer back.
            let chunk = try await producer.nextReply()
            #expect(chunk.properties.type == "chat.chunk")
            #expect(try chunk.json["id"]?.string == second && chunk.json["delta"]?.string == "one ")
            #expect(model.questions.count == 1)
            if kill { maker.process.signal(SIGKILL) }
            model.say(pieces: 3)
            var texts = [second: "one "]
            var seq = 1
            var replies = 0
            while replies < (kill ? 1 : 2) {
                let message = try await producer.nextReply()
                let id = try message.json["id"]?.string ?? ""
                if message.properties.type == "chat.chunk" {
                    texts[id, default: id == first ? "one " : ""] += try message.json["delta"]?.string ?? ""
                    if id == second {
                        #expect(try message.json["seq"]?.int == seq && message.json["attempt"] == nil)
                        seq += 1
                    }
                } else if id == second || !kill {
                    replies += 1
                    #expect(try message.status == "succeeded" && message.answer == "one two three")
                    if id == second {
                        #expect(try message.json["cached"]?.string == (kill ? "none" : "coalesced"))
                        #expect(try message.json["usage"]?["calls"]?.int == (kill ? 1 : 0))
                    }
                }
            }
            #expect(texts[second] == "one two three")
            #expect(model.questions.count == (kill ? 2 : 1))
        }
        if !kill { #expect(try await maker.stop() == 0) }
        #expect(try await other.stop() == 0)
    }

    @Test func frequentQuestionsAreAnsweredAheadOfTime() async throws {
        let model = try await ModelServer()
        let worker = try await start(["model.url": model.url])
        let settings = ["queue.name": worker.queue]
        let (plain, whole) = (unique(), unique())
        // As an editor on Windows writes it.
        let lines = "\u{FEFF}\(plain)\r\n\n{\"query\":\"\(whole)\",\"tenant\":\"a\"}\n"
        let first = try await parley("warm", "--json", "--rate", "100", settings: settings, input: lines)
        #expect(first.status == 0, "\(first.errors)")
        #expect(try first.lines.first?["answered"]?.int == 2)
        #expect(try first.lines.first?["fresh"]?.int == 0)
        let again = try await parley("warm", "--json", "--rate", "100", settings: settings, input: lines)
        #expect(try again.lines.first?["fresh"]?.int == 2)
        #expect(
            model.questions.count == 2 && model.questions.contains { $0.hasSuffix(plain) && !$0.contains("\u{FEFF}") })
        try await Producer.with { producer in
            let reply = try await producer.ask(question(whole, #","tenant":"a""#), of: worker)
            #expect(try reply.json["cached"]?.string == "memory")
        }
        let wrong = try await parley("warm", "--rate", "100", settings: settings, input: lines + "{\"query\":1}\n")
        #expect(wrong.status == 2 && wrong.errors.contains("line 4"), "\(wrong.errors)")
        let rate = try await parley("warm", "--rate", "0", settings: settings)
        #expect(rate.status == 2)
        #expect(try await worker.stop() == 0)
    }

    @Test func whatIsAskedMostIsAnsweredAheadAndForgottenWithItsUser() async throws {
        let model = try await ModelServer()
        let redis = try await PrivateRedis()
        let settings = ["redis.url": redis.url()]
        let counting = settings.merging(["model.url": model.url, "analytics.questions": "on"]) { $1 }
        let (worker, fresh) = (try await start(counting), try await start(counting))
        let (often, once) = (unique(), unique())
        try await Producer.with { producer in
            for _ in 0..<3 { _ = try await producer.ask(question(often, #","tenant":"a""#), of: worker) }
            _ = try await producer.ask(question(once, #","tenant":"a","user_id":"u-17""#), of: worker)
        }
        let asked = model.questions.count
        let queue = settings.merging(["queue.name": fresh.queue, "cache.scope": "tenant"]) { $1 }
        let top = try await eventually("the counts") {
            let top = try await parley("warm", "--top", "10", "--json", "--rate", "100", settings: queue)
            #expect(top.status == 0, "\(top.errors)")
            return try top.lines.first?["questions"]?.int == 2 ? top : nil
        }
        #expect(try top.lines.first?["fresh"]?.int == 2, "in Redis")
        #expect(model.questions.count == asked)
        #expect(try await parley("warm", "--top", "0", settings: queue).status == 2)
        #expect(try await parley("warm", "x.txt", "--top", "1", settings: queue).status == 2)

        let forgotten = try await parley("forget", "--user", "u-17", "--json", settings: queue)
        #expect(forgotten.status == 0, "\(forgotten.errors)")
        #expect(try forgotten.lines.first?["recorded_questions"]?.int == 1)
        #expect(try forgotten.lines.first?["results"]?.int == 1, "that user's")
        let rest = try await parley("warm", "--top", "10", "--json", "--rate", "100", settings: queue)
        #expect(try rest.lines.first?["questions"]?.int == 1)
        let tenant = try await parley("forget", "--tenant", "a", "--yes", "--json", settings: queue)
        #expect(try tenant.lines.first?["recorded_questions"]?.int == 1)
        // With those of the questions that were asked ahead.
        #expect(try tenant.lines.first?["results"]?.int ?? 0 >= 3, "those of its other users")
        let none = try await parley("warm", "--top", "10", "--json", settings: queue)
        #expect(none.status == 0 && none.errors.contains("analytics.questions"), "\(none.errors)")
        for worker in [worker, fresh] { #expect(try await worker.stop() == 0) }
    }

    /// Nobody answers: what was asked would be waited for for ten minutes.
    @Test func aWarmUpEndsWhenItIsInterrupted() async throws {
        let queue = "contract.\(unique())"
        let process = try ParleyProcess(["warm"], settings: ["queue.name": queue], input: "What is it?\n")
        try await Producer.with { producer in
            _ = try await eventually("the question") {
                let queue = QueueDeclaration(name: queue)
                return try? await producer.connection.declare(queue, passive: true).messages == 1 ? true : nil
            }
        }
        process.signal(SIGINT)
        #expect(try await process.exitStatus() == 130, "\(process.errors)")
        #expect(process.errors.contains("run it again"), "\(process.errors)")
    }

    @Test func bothTiersCanBeSwitchedOff() async throws {
        let model = try await ModelServer()
        let worker = try await start(["model.url": model.url, "cache.memory": "0", "cache.ttl": "0s"])
        try await Producer.with { producer in
            let text = unique()
            for _ in 0..<2 {
                let reply = try await producer.ask(question(text), of: worker)
                #expect(try reply.json["cached"]?.string == "none")
            }
        }
        #expect(model.questions.count == 2)
        #expect(try await worker.stop() == 0)
    }

    @Test func theLedgerHasTheCallsThatCameToNothingToo() async throws {
        // A stream that breaks off; a server that is overloaded and counts nothing; a call that a revocation ends.
        let model = try await ModelServer(delay: .milliseconds(20)) { question, count in
            if question.contains("breaks") { return count == 1 ? .breaksOff : .answers }
            return question.contains("busy") && count == 1 ? .fails(503) : .answers
        }
        let redis = try await PrivateRedis()
        let settings = ["redis.url": redis.url(), "model.prices": "1000, 500, 2000"]
        let own = ["model.url": model.url, "model.stream": "always", "retry.base": "50ms"]
        let worker = try await start(settings.merging(own) { $1 })
        try await Producer.with { producer in
            var calls = 0
            for kind in ["breaks", "busy"] {
                let reply = try await producer.ask(question("\(unique()) \(kind)"), of: worker)
                #expect(try reply.status == "succeeded")
                calls += try reply.json["usage"]?["calls"]?.int ?? 0
            }
            model.answer(after: .seconds(30))
            let id = unique()
            try await producer.publish(question(unique()), to: worker, id: id)
            _ = try await eventually("the call") { model.questions.count == 5 ? true : nil }
            #expect(try await parley("revoke", id, settings: settings).status == 0)
            _ = try await eventually("the reply") { try await producer.nextReply().status == "revoked" ? true : nil }
            #expect(calls == 2)
        }
        let row = try await eventually("the ledger") {
            let costs = try await parley("costs", "--by", "day", "--json", settings: settings)
            let row = try costs.lines.first?["rows"]?.elements.first
            return row?["failed_calls"]?.int == 2 ? row : nil
        }
        // All but the one that was refused.
        #expect(row["calls"]?.int == model.questions.count - 1)
        #expect(row["answers"]?.int == 2)
        #expect(row["estimated_calls"]?.int == 2)
        #expect(row["prompt_tokens"]?.int ?? 0 > 14 && row["completion_tokens"]?.int ?? 0 > 6)
        #expect(try await worker.stop() == 0)
    }

    @Test func whatAKilledWorkerHadUnderWayIsInTheLedger() async throws {
        let model = try await ModelServer(delay: .seconds(600))
        let redis = try await PrivateRedis()
        let settings = ["redis.url": redis.url(), "model.prices": "1000, 500, 2000"]
        let own = settings.merging(["model.url": model.url, "model.name": "m"]) { $1 }
        let killed = try await start(own)
        let other = try await Worker.start(queue: killed.queue, cache.merging(own) { $1 }, ready: false)
        func day() async throws -> JSONElement? {
            let costs = try await parley("costs", "--by", "day", "--json", settings: settings)
            return try costs.lines.first?["rows"]?.elements.first
        }
        try await Producer.with { producer in
            let lost = unique()
            // Its job never comes back: it is revoked before it does.
            for id in [lost, unique(), unique()] {
                try await producer.publish(question(unique(), #","tenant":"a""#), to: killed, id: id)
            }
            _ = try await eventually("the calls") { model.questions.count == 3 ? true : nil }
            #expect(
                try await parley("costs", "--json", settings: settings).lines.first?["rows"]?.elements.isEmpty == true)
            try await killed.stop(SIGKILL)
            #expect(try await parley("revoke", lost, settings: settings).status == 0)
            model.answer(after: .zero)
            for _ in 0..<3 { _ = try await producer.nextReply() }
        }
        let row = try await eventually("the ledger") {
            let row = try await day()
            return row?["calls"]?.int == model.questions.count ? row : nil
        }
        let failed = row["failed_calls"]?.int ?? 0
        #expect(failed == model.questions.count - (row["answers"]?.int ?? 0) && failed > 0, "\(row)")
        #expect(row["estimated_calls"]?.int == failed)
        #expect(row["prompt_tokens"]?.int ?? 0 > failed * 200 && row["cost"]?.double ?? 0 > 0)
        #expect(try await other.stop() == 0)
    }

    @Test func whatAnswersCostIsInTheReplyAndInTheLedger() async throws {
        let model = try await ModelServer()
        let redis = try await PrivateRedis()
        let settings = ["redis.url": redis.url(), "model.prices": "1000, 500, 2000", "model.currency": "EUR"]
        let worker = try await start(settings.merging(["model.url": model.url]) { $1 })
        try await Producer.with { producer in
            var sum = 0.0
            var tokens = 0
            for (tenant, times) in [("a", 3), ("b", 1)] {
                for _ in 0..<times {
                    let reply = try await producer.ask(
                        question("What is it?", #","tenant":"\#(tenant)","agent":"presale""#), of: worker)
                    let usage = try reply.json["usage"]
                    #expect(usage?["cost"]?["currency"]?.string == "EUR")
                    sum += usage?["cost"]?["amount"]?.double ?? -1
                    tokens += usage?["prompt_tokens"]?.int ?? -1
                }
            }
            let costs = try await parley("costs", "--by", "tenant", "--json", settings: settings)
            #expect(costs.status == 0, "\(costs.errors)")
            let rows = try costs.lines.first?["rows"]?.elements ?? []
            #expect(rows.map { $0["tenant"]?.string } == ["a", "b"])
            #expect(rows.map { $0["answers"]?.int } == [3, 1])
            #expect(rows.map { $0["reused"]?.int } == [2, 0])
            #expect(rows.map { $0["calls"]?.int } == [1, 1])
            #expect(rows.reduce(0) { $0 + ($1["prompt_tokens"]?.int ?? 0) } == tokens)
            let noted = rows.reduce(0) { $0 + ($1["cost"]?.double ?? 0) }
            #expect(abs(noted - sum) < 1e-9)
            #expect(sum > 0)
            for by in ["agent", "model", "day"] {
                let one = try await parley("costs", "--by", by, "--since", "1d", "--json", settings: settings)
                #expect(try one.lines.first?["rows"]?.elements.first?["answers"]?.int == 4, "\(one.output)")
            }
            let table = try await parley("costs", settings: settings)
            #expect(table.output.contains("answers") && table.output.contains("EUR"), "\(table.output)")
            for wrong in [["--by", "user"], ["--since", "soon"], ["--since", "900d"]] {
                let process = try ParleyProcess(["costs"] + wrong, settings: settings)
                #expect(try await process.exitStatus() == 2, "\(wrong)")
            }
        }
        #expect(try await worker.stop() == 0)
    }
}
