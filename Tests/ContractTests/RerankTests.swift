import ParleyJSON
import TestSupport
import Testing

/// `rerank.*`: a service may put passages in order, and fails no job.
@Suite(.enabled(if: Surroundings.areComplete)) struct RerankTests {
    private func prepared(_ url: String) async throws -> (Folder, [String: String]) {
        let folder = try Folder()
        for name in ["one", "two", "three"] { try folder.write("\(name).md", "# \(name)\n\nA parcel \(name).\n") }
        let settings = ["vectors.url": "file:\(folder.path)/k.index", "rerank.url": url, "rerank.model": "m"]
        #expect(try await parley("ingest", folder.path, settings: settings).status == 0)
        return (folder, settings)
    }

    @Test func theServiceDecidesOnTheOrder() async throws {
        let server = try await ScriptedServer { request in
            guard let documents = try? JSONDocument(request.body).root["documents"]?.elements.compactMap(\.string)
            else {
                return (400, "{}")
            }
            let place = documents.firstIndex { $0.contains("two") } ?? 0
            return (200, #"{"results":[{"index":\#(place),"relevance_score":0.9}]}"#)
        }
        let (folder, settings) = try await prepared(server.url)
        let found = try await parley("search", "parcel", "--json", settings: settings)
        #expect(try found.lines.first?["results"]?.elements.first?["id"]?.string == "two.md#1")
        #expect(server.requests.first?.line == "POST /v1/rerank")
        let worker = try await Worker.start(
            settings.merging(["retrieval.mode": "always", "model.url": "builtin:extractive"]) { $1 })
        try await Producer.with { producer in
            let reply = try await producer.ask(#"{"query":"parcel"}"#, of: worker)
            #expect(try reply.json["sources"]?.elements.first?["id"]?.string == "two.md#1")
            #expect(try await worker.metric(#"parley_reranks_total{outcome="used"}"#) == 1)
        }
        #expect(try await worker.stop() == 0)
        _ = folder
    }

    @Test func oneThatIsAwayFailsNoJobAndIsNamedByCheck() async throws {
        let url = "http://127.0.0.1:\(try freePort())/v1"
        let (folder, settings) = try await prepared(url)
        let worker = try await Worker.start(
            settings.merging(["retrieval.mode": "always", "model.url": "builtin:extractive"]) { $1 })
        try await Producer.with { producer in
            let reply = try await producer.ask(#"{"query":"parcel"}"#, of: worker)
            #expect(try reply.status == "succeeded" && reply.json["sources"]?.count ?? 0 > 0)
            #expect(try await worker.metric(#"parley_reranks_total{outcome="failed"}"#) == 1)
        }
        #expect(try await worker.stop() == 0)
        let check = try await parley("check", settings: settings)
        #expect(check.status == 3 && check.output.contains("rerank         unreachable"), "\(check)")
        let wrong = try await parley("check", settings: ["rerank.url": "builtin:none"])
        #expect(wrong.status == 2 && wrong.errors.contains("rerank.url"))
        _ = folder
    }
}
