import Glibc
import ParleyJSON
import Synchronization
import TestSupport
import Testing

/// What is wrong with the embedder or the vector store is no failure of any job, and no success without passages.
extension ContractTests {
    private static let rows =
        #"{"ids":[["a#1"]],"documents":[["Parcels come by bike."]],"metadatas":[[{"title":"Parcels"}]],"distances":[[0.5]]}"#

    private func chroma(_ server: ScriptedServer) -> [String: String] {
        ["vectors.url": "chroma+\(server.url)/docs", "retrieval.mode": "auto", "retry.base": "100ms"]
    }

    @Test func withoutACollectionJobsThatLeaveItOpenAreAnsweredWithoutPassages() async throws {
        let server = try await ScriptedServer { _ in
            (404, #"{"error":"NotFoundError","message":"Collection [docs] does not exist"}"#)
        }
        let worker = try await Worker.start(chroma(server))
        try await Producer.with { producer in
            for number in 0..<60 {
                try await producer.publish(#"{"query":"\#(number)"}"#, to: worker, id: unique())
                // Over the time in which a collection that is missing is looked for again.
                if number % 20 == 19 { _ = try await producer.ask(#"{"query":"x"}"#, of: worker) }
            }
            for _ in 0..<60 {
                let reply = try await producer.nextReply()
                #expect(try reply.status == "succeeded" && reply.json["attempts"]?.int == 1)
            }
        }
        #expect(server.requests.allSatisfy { $0.line.hasPrefix("GET ") })
        try await worker.stop()
    }

    /// A gateway that has lost Chroma says 404, too.
    @Test func aGatewaysNotFoundIsWaitedOut() async throws {
        let isLost = Mutex(true)
        let server = try await ScriptedServer { request in
            if isLost.withLock({ $0 }) { return (404, "404 page not found\n") }
            if request.line.hasSuffix("/query") { return (200, Self.rows) }
            return (200, request.line.hasSuffix("/count") ? "1" : #"{"id":"1","dimension":2048,"metadata":null}"#)
        }
        let worker = try await Worker.start(chroma(server).merging(["model.url": "builtin:extractive"]) { $1 })
        try await Producer.with { producer in
            try await producer.publish(#"{"query":"How do parcels come?"}"#, to: worker, id: unique())
            _ = try await eventually("three tries") { server.requests.count >= 6 ? true : nil }
            #expect(try await producer.isEmpty(producer.replies))
            isLost.withLock { $0 = false }
            let reply = try await producer.nextReply(within: .seconds(60))
            #expect(try reply.status == "succeeded")
            #expect(try reply.json["sources"]?.elements.first?["id"]?.string == "a#1")
            #expect(try reply.json["attempts"]?.int == 1)
            #expect(try await producer.isEmpty(worker.dead))
        }
        try await worker.stop()
    }

    @Test func noQuestionLeavesWithAnErrorOfTheEmbedders() async throws {
        let server = try await ScriptedServer { request in
            guard request.line == "POST /v1/embeddings" else {
                return (200, request.line.hasSuffix("/count") ? "1" : #"{"id":"1","dimension":2,"metadata":null}"#)
            }
            let input = (try? JSONDocument(request.body))?.root["input"]?.elements.compactMap(\.string) ?? []
            return (400, #"{"error":{"message":"cannot read: \#(input.joined(separator: " | "))","code":"bad_input"}}"#)
        }
        let settings = [
            "embeddings.url": "\(server.url)/v1", "retry.base": "10ms", "retry.max_attempts": "2", "log.level": "debug",
        ]
        let worker = try await Worker.start(chroma(server).merging(settings) { $1 })
        try await Producer.with { producer in
            for number in 0..<8 {
                try await producer.publish(
                    #"{"query":"my-secret-\#(number)","options":{"retrieve":"always"}}"#, to: worker, id: unique())
            }
            for _ in 0..<8 {
                let reply = try await producer.nextReply(within: .seconds(60))
                #expect(try reply.errorCode == "retrieval_failed")
                let message = try reply.json["error"]?["message"]?.string ?? ""
                #expect(message.contains("400 (bad_input)") && !message.contains("secret"))
                let letter = try await producer.next(from: worker.dead)
                #expect(letter.header("x-parley-error")?.contains("secret") == false)
            }
        }
        try await worker.stop()
        #expect(!worker.log.contains("my-secret"))
    }

    @Test func anIndexFileThatIsLostStaysInUseAndReadinessSaysSo() async throws {
        let path = "/tmp/parley-contract-\(unique()).index"
        let document = "/tmp/parley-contract-\(unique()).md"
        defer {
            unlink(path)
            unlink(document)
        }
        let text = "# Parcels\n\nA parcel comes by bike on Tuesday.\n"
        let file = try #require(fopen(document, "w"))
        fputs(text, file)
        fclose(file)
        let settings = [
            "vectors.url": "file:\(path)", "retrieval.mode": "auto", "model.url": "builtin:extractive",
        ]
        let ingest = try ParleyProcess(["ingest", document], settings: settings)
        #expect(try await ingest.exitStatus() == 0)
        let worker = try await Worker.start(settings)
        try await Producer.with { producer in
            let question = #"{"query":"When does a parcel come?"}"#
            #expect(try await producer.ask(question, of: worker).json["sources"]?.count == 1)
            unlink(path)
            _ = try await eventually("a word about it") {
                let ready = try await worker.get("/readyz")
                return ready.status == 200 && ready.body.contains("\"vectors\":\"degraded: ") ? true : nil
            }
            #expect(try await producer.ask(question, of: worker).json["sources"]?.count == 1)
        }
        try await worker.stop()
    }
}
