import Glibc
import ParleyJSON
import Synchronization
import TestSupport
import Testing

/// Keys and tokens in files are changed under a running worker, and read again on SIGHUP.
extension ContractTests {
    /// An embedder and a Chroma in one, each with the secret that it wants at the moment.
    private final class Guarded: Sendable {
        let wanted = Mutex((key: "ek-first", token: "vt-first"))
        /// How often a wrong one was refused.
        let refusals = Mutex((key: 0, token: 0))

        func answer(_ request: HTTPPeer.Request) -> (status: Int, body: String) {
            func has(_ field: String) -> Bool { request.head.split(separator: "\n").contains { $0 == field } }
            let (key, token) = wanted.withLock { $0 }
            if request.line.hasSuffix("/embeddings") {
                guard has("Authorization: Bearer \(key)") else {
                    refusals.withLock { $0.key += 1 }
                    return (401, #"{"error":{"message":"no such key"}}"#)
                }
                return (200, #"{"data":[{"index":0,"embedding":[0.6,0.8]}]}"#)
            }
            guard has("X-Chroma-Token: \(token)") else {
                refusals.withLock { $0.token += 1 }
                return (401, #"{"error":"AuthError","message":"Unauthorized"}"#)
            }
            if request.line.hasSuffix("/query") {
                let row = #""ids":[["a#1"]],"documents":[["Parcels come by bike."]],"metadatas":[[{}]]"#
                return (200, "{\(row),\"distances\":[[0.5]]}")
            }
            return (200, request.line.hasSuffix("/count") ? "1" : #"{"id":"1","dimension":2,"metadata":null}"#)
        }
    }

    private func lines(_ worker: Worker, _ message: String) -> [Substring] {
        worker.log.split(separator: "\n").filter { $0.contains(message) }
    }

    /// Sends SIGHUP and waits until so many lines say that secrets were read.
    private func hangUp(_ worker: Worker, _ count: Int) async throws {
        worker.process.signal(SIGHUP)
        let _: Bool = try await eventually("secrets read again, \(count) times") {
            lines(worker, "secrets were read again").count == count ? true : nil
        }
    }

    /// Questions are made to stand alone by the same model, through a client of its own.
    @Test func whatRewritesQuestionsUsesTheNewKeyToo() async throws {
        let folder = try Folder()
        try folder.write("key", "mk-first\n")
        try folder.write("returns.md", "# Returns\n\nA damaged laptop can be returned within 30 days.\n")
        let index = ["vectors.url": "file:\(folder.path)/index"]
        #expect(try await parley("ingest", folder.path + "/returns.md", settings: index).status == 0)
        let wanted = Mutex("mk-first")
        let server = try await ScriptedServer { request in
            let key = wanted.withLock { $0 }
            guard request.head.contains("Bearer \(key)") else {
                return (401, #"{"error":{"message":"no such key"}}"#)
            }
            return (200, #"{"choices":[{"message":{"content":"Returning a laptop?"},"finish_reason":"stop"}]}"#)
        }
        let worker = try await Worker.start(
            [
                "model.url": "\(server.url)/v1", "model.api_key_file": "\(folder.path)/key", "retrieval.mode": "auto",
                "retrieval.rewrite": "model",
            ].merging(index) { $1 })
        try await Producer.with { producer in
            wanted.withLock { $0 = "mk-second" }
            try folder.write("key", "mk-second\n")
            try await hangUp(worker, 1)
            let reply = try await producer.ask(
                #"{"query":"And damaged?","history":[{"role":"user","content":"Can I return my laptop?"}]}"#, of: worker
            )
            #expect(try reply.json["usage"]?["calls"]?.int == 2)
            #expect(try reply.json["rewritten_query"]?.string == "Returning a laptop?")
        }
        #expect(try await worker.stop() == 0)
    }

    @Test func theEmbeddersKeyAndTheVectorStoresTokenAreReadAgainOnSIGHUP() async throws {
        let folder = try Folder()
        try folder.write("key", "ek-first\n")
        try folder.write("token", "vt-first\n")
        let guarded = Guarded()
        let server = try await ScriptedServer { guarded.answer($0) }
        let worker = try await Worker.start([
            "embeddings.url": "\(server.url)/v1", "embeddings.api_key_file": "\(folder.path)/key",
            "vectors.url": "chroma+\(server.url)/docs", "vectors.token_file": "\(folder.path)/token",
            "retrieval.mode": "always", "model.url": "builtin:extractive", "retry.base": "100ms", "retry.max": "1s",
            // The question is the same each time.
            "cache.embeddings": "0",
        ])
        try await Producer.with { producer in
            let job = #"{"query":"How do parcels come?"}"#
            #expect(try await producer.ask(job, of: worker).status == "succeeded")

            guarded.wanted.withLock { $0.key = "ek-second" }
            try await producer.publish(job, to: worker, id: unique())
            let _: Bool = try await eventually("the refusal of the old key") {
                guarded.refusals.withLock { $0.key } > 0 ? true : nil
            }
            try folder.write("key", "ek-second\n")
            try await hangUp(worker, 1)
            let late = try await producer.nextReply(within: .seconds(60))
            #expect(try late.status == "succeeded" && late.json["attempts"]?.int == 1)

            guarded.wanted.withLock { $0.token = "vt-second" }
            try await producer.publish(job, to: worker, id: unique())
            let _: Bool = try await eventually("the refusal of the old token") {
                guarded.refusals.withLock { $0.token } > 0 ? true : nil
            }
            try folder.write("token", "vt-second")
            try await hangUp(worker, 2)
            let later = try await producer.nextReply(within: .seconds(60))
            #expect(try later.status == "succeeded" && later.json["attempts"]?.int == 1)
            #expect(try later.json["sources"]?.elements.first?["id"]?.string == "a#1")

            // What no header can hold leaves the secret as it was.
            try folder.write("token", "vt\u{1B}[31m-third")
            try folder.write("key", "ek-\nthird")
            worker.process.signal(SIGHUP)
            let _: Bool = try await eventually("two warnings") {
                lines(worker, "a secret stays as it was").count == 2 ? true : nil
            }
            #expect(try await producer.ask(job, of: worker).status == "succeeded")
            #expect(try await producer.isEmpty(worker.dead))
        }
        for secret in ["ek-first", "ek-second", "vt-first", "vt-second", "third"] {
            #expect(!worker.log.contains(secret), "\(secret)")
        }
        #expect(try await worker.stop() == 0)
    }

    @Test func aNewAdminTokenHoldsFromSIGHUPOnAndAnEmptyFileOpensNothing() async throws {
        let folder = try Folder()
        try folder.write("token", "sesame-one\n")
        let worker = try await Worker.start(["admin.token_file": "\(folder.path)/token"], ready: false)
        func status(_ token: String?) async throws -> Int { try await worker.get("/metrics", token: token).status }
        #expect(try await status(nil) == 401)
        #expect(try await status("sesame-one") == 200)
        try folder.write("token", "sesame-two\n")
        #expect(try await status("sesame-two") == 401, "not before SIGHUP")
        try await hangUp(worker, 1)
        #expect(try await status("sesame-one") == 401)
        #expect(try await status("sesame-two") == 200)
        for (number, text) in ["", " \n"].enumerated() {
            try folder.write("token", text)
            worker.process.signal(SIGHUP)
            let _: Bool = try await eventually("the warning") {
                lines(worker, "a secret stays as it was").count == number + 1 ? true : nil
            }
            #expect(try await status(nil) == 401)
            #expect(try await status("") == 401)
            #expect(try await status("sesame-two") == 200)
        }
        folder.remove("token")
        worker.process.signal(SIGHUP)
        let warnings = try await eventually("a third warning") { () -> [Substring]? in
            let warnings = lines(worker, "a secret stays as it was")
            return warnings.count == 3 ? warnings : nil
        }
        #expect(warnings.last?.contains("admin.token_file") == true)
        #expect(warnings.last?.contains("No such file") == true, "\(warnings)")
        #expect(try await status("sesame-two") == 200)
        #expect(!worker.log.contains("sesame"))
        #expect(try await worker.stop() == 0)
    }

    @Test func deadLettersAreSignedWithTheKeyThatIsInItsFile() async throws {
        let folder = try Folder()
        try folder.write("key", "the-first-letter-key")
        let worker = try await Worker.start(["secrets.letter_key_file": "\(folder.path)/key"])
        try await Producer.with { producer in
            try await producer.publish("no job", to: worker, id: "before")
            _ = try await producer.nextReply()
            try folder.write("key", "short")
            worker.process.signal(SIGHUP)
            let warning = try await eventually("the warning") { lines(worker, "a secret stays as it was").first }
            #expect(warning.contains("16 and more"), "\(warning)")
            try folder.write("key", "the-second-letter-key")
            try await hangUp(worker, 1)
            try await producer.publish("no job", to: worker, id: "after")
            _ = try await producer.nextReply()
            let requeue = try await parley(
                "requeue", "--all", "--dry-run", "--json",
                settings: ["queue.name": worker.queue, "secrets.letter_key": "the-second-letter-key"])
            #expect(try requeue.lines.first?["matched"]?.int == 2, "\(requeue)")
            #expect(requeue.errors.contains("before is not signed"), "\(requeue)")
            #expect(!requeue.errors.contains("after is not signed"), "\(requeue)")
        }
        #expect(!worker.log.contains("letter-key"))
        #expect(try await worker.stop() == 0)
    }

    /// Who rotates secrets signals every worker, those that have just been started as well.
    @Test func aSIGHUPDoesNotEndAWorkerThatIsStarting() async throws {
        let folder = try Folder()
        try folder.write("key", "ek-first\n")
        let guarded = Guarded()
        let held = Mutex(true)
        let server = try await ScriptedServer { request in
            while held.withLock({ $0 }) { usleep(10_000) }
            return guarded.answer(request)
        }
        let worker = try await Worker.start(
            [
                "embeddings.url": "\(server.url)/v1", "embeddings.api_key_file": "\(folder.path)/key",
                "vectors.url": "chroma+\(server.url)/docs", "vectors.token": "vt-first", "retrieval.mode": "always",
            ], ready: false)
        let _: Bool = try await eventually("the worker's first question") { server.requests.isEmpty ? nil : true }
        worker.process.signal(SIGHUP)
        held.withLock { $0 = false }
        try await worker.untilReady()
        let _: Bool = try await eventually("the secrets read again") {
            lines(worker, "secrets were read again").count == 1 ? true : nil
        }
        #expect(try await worker.stop() == 0)
    }
}
