import Adapters
import Answering
import ChatJobs
import TestSupport
import Testing

/// What workers know of their batches, in Redis.
@Suite(.enabled(if: PrivateRedis.isAvailable, "redis-server is not installed"))
struct RedisBatchesTests {
    private func batches(_ worker: Ledger, _ name: String) -> RedisBatches {
        RedisBatches(redis: worker.client, keys: Ledger.keys, worker: name)
    }

    private let draft = BatchDraft(
        sources: (0..<4).map {
            Source(id: "a.md#\($0)", score: 0.5, title: "Ä", text: String(repeating: "passage ", count: 40))
        }, sparedTokens: 7, rewriting: Usage(promptTokens: 3, completionTokens: 2, cachedTokens: 1))

    @Test func aQuestionIsFoundByAnyOfItsNames() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["a", "b"]) { workers in
            let (a, b) = (batches(workers[0], "a"), batches(workers[1], "b"))
            #expect(try await a.look(for: ["x", "answer"], payer: "x") == nil)
            #expect(try await a.begin("1", [(["x", "answer"], draft), (["y"], BatchDraft())]) == [true, true])
            #expect(try await b.begin("2", [(["z", "answer"], draft), (["w"], draft)]) == [false, true])
            let found = try #require(await b.look(for: ["z", "answer"], payer: "z"))
            #expect(found.batch == "1" && found.draft == draft && found.state == .uploading(worker: "a"))
            #expect(found.isMakerAlive && found.isLeased && found.line == nil)
            // By a name of its own from now on.
            #expect(try await b.look(for: ["z"], payer: "z")?.batch == "1")
            let line = Array(#"{"custom_id":"1-0"}"#.utf8)
            try await a.keep([0: line, 1: [UInt8](repeating: 120, count: 5000)], of: "1")
            #expect(try await b.look(for: ["z"], payer: "z")?.pays == true)
            let other = try #require(await a.look(for: ["x"], payer: "x"))
            #expect(other.line == line && !other.pays)
            // Who comes when it was given already has not waited for it.
            #expect(try await a.look(for: ["late", "answer"], payer: "late") == nil)
            #expect(try await a.look(for: ["y"], payer: "y")?.line?.count == 5000)
            await a.forget(["x", "answer"])
            #expect(try await a.look(for: ["x", "answer"], payer: "x") == nil)
        }
    }

    @Test func whatWasGivenUpIsKnownForAWhile() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["a", "b"]) { workers in
            let (a, b) = (batches(workers[0], "a"), batches(workers[1], "b"))
            for (number, name) in ["old", "new"].enumerated() {
                try await a.giveUp(name, of: "s", at: Timestamp(milliseconds: Int64(number + 1) * 1000))
            }
            #expect(try await b.givenUp(of: "s", since: Timestamp(milliseconds: 1000)) == ["new", "old"])
            #expect(try await b.givenUp(of: "other", since: Timestamp(milliseconds: 0)) == [])
            #expect(try await b.givenUp(of: "s", since: Timestamp(milliseconds: 1001)) == ["new"])
            #expect(try await a.givenUp(of: "s", since: Timestamp(milliseconds: 0)) == ["new"])
            try await b.settle("new", of: "s")
            #expect(try await a.givenUp(of: "s", since: Timestamp(milliseconds: 0)) == [])
        }
    }

    @Test func aStateIsChangedOnlyByWhoKnowsIt() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["a", "b"]) { workers in
            let (a, b) = (batches(workers[0], "a"), batches(workers[1], "b"))
            _ = try await a.begin("1", [(["x"], draft)])
            let (uploading, creating) = (BatchState.uploading(worker: "a"), BatchState.creating(worker: "a"))
            #expect(try await a.move("1", from: uploading, to: creating, lease: .milliseconds(200)))
            #expect(try await !b.move("1", from: uploading, to: nil, lease: nil))
            #expect(try await b.look(for: ["x"], payer: "x")?.state == creating)
            _ = try await eventually("the end of the lease") {
                try await b.look(for: ["x"], payer: "x")?.isLeased == false ? true : nil
            }
            try await workers[0].redis("DEL", Ledger.keys.worker("a"))
            #expect(try await b.look(for: ["x"], payer: "x")?.isMakerAlive == false)
            let created = BatchState.created(id: "batch_1", at: Timestamp(milliseconds: 5))
            #expect(try await b.move("1", from: creating, to: created, lease: nil))
            #expect(try await b.state(of: "1") == created)
            #expect(try await a.takeTurn(at: "1", for: .seconds(60)))
            #expect(try await !b.takeTurn(at: "1", for: .seconds(60)))
            // A dissolved batch's questions are in none, and may join another.
            #expect(try await b.move("1", from: created, to: nil, lease: nil))
            #expect(try await b.look(for: ["x"], payer: "x") == nil)
            #expect(try await b.begin("2", [(["x"], draft)]) == [true])
        }
    }

    @Test func whatStandsThereMayBeAnything() async throws {
        let server = try await PrivateRedis()
        try await withLedgers(server.url(), ["a"]) { workers in
            let a = batches(workers[0], "a")
            for text in ["", "1", "1 x", "1 0 0"] {
                try await workers[0].redis("SET", Ledger.keys.batch("name:x"), text)
                #expect(try await a.look(for: ["x"], payer: "x") == nil)
            }
            try await workers[0].redis("SET", Ledger.keys.batch("name:x"), "1 0")
            try await workers[0].redis("SET", Ledger.keys.batch("state:1"), "created x")
            #expect(try await a.look(for: ["x"], payer: "x") == nil)
            try await workers[0].redis("SET", Ledger.keys.batch("state:1"), "ended")
            try await workers[0].redis("SET", Ledger.keys.batch("item:1:0"), "\u{1}nonsense")
            try await workers[0].redis("SET", Ledger.keys.batch("item:1:0:line"), "\u{1}nonsense")
            let entry = try #require(await a.look(for: ["x"], payer: "x"))
            #expect(entry.line == nil && entry.draft == BatchDraft() && entry.state == .ended(nil))
            try await server.stop()
            await #expect(throws: Outage.self) { try await a.look(for: ["x"], payer: "x") }
        }
    }
}
