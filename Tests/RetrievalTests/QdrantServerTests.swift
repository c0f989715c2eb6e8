import ParleyHTTP
import Synchronization
import Testing

@testable import Retrieval

/// Qdrant, and what stands in front of it, as its documentation has them answer.
@Suite struct QdrantServerTests {
    private let embedder = AxisEmbedder(axes: ["parcel", "refund"])

    private func failure(_ store: any VectorStore) async -> RetrievalError? {
        do throws(RetrievalError) {
            _ = try await store.search([[1, 0]], topK: 1, timeout: .seconds(60))
            return nil
        } catch {
            return error
        }
    }

    @Test(arguments: [
        "qdrant+http://h:1", "qdrant+http://h:1/", "qdrant+http://h:1/bad name", "qdrant+http:///docs",
        "qdrant+http://u:secret@h:1/docs?x=secret", "qdrant+http://h:x/docs", "qdrant://h/docs",
    ])
    func wrongURLsSayWhatIsAllowed(_ url: String) {
        #expect { _ = try makeStore(url: url, http: http) } throws: {
            let error = $0 as? RetrievalError
            return error?.code == .invalidSetting
                && error?.message.contains("qdrant+http://host:port/collection") == true
        }
    }

    @Test func aWindowIsOneRequestAndAQuestionFindsNoDescription() async throws {
        let server = try ScriptedQdrant(key: "k3y")
        let url = "qdrant+\(server.url)/docs"
        let store = try makeStore(url: url, token: "k3y", http: http)
        _ = try await Ingestor(embedder: embedder, store: store).ingest([
            Document(id: "a", title: "A", text: "parcel", attributes: .init(tenant: "t")),
            Document(id: "b", title: "B", text: "refund"),
        ])
        let before = server.requests.count
        let queries = ["t", "u", nil].map { SearchQuery(vector: [1, 0], filter: PassageFilter(tenant: $0)) }
        let rows = try await store.search(queries, topK: 9, timeout: .seconds(60))
        #expect(rows.map { $0.map(\.passage.documentID) } == [["a", "b"], ["b"], ["b"]])
        #expect(server.requests.dropFirst(before) == ["POST /collections/docs/points/query/batch"])
        let other = try makeStore(url: url, token: "other", http: http)
        #expect(await failure(other)?.code == .denied)
        #expect(await failure(other)?.message.contains("vectors.token") == true)
    }

    @Test func whatIsMadeAnewTakesTheOthersPlaceAndNothingIsLeft() async throws {
        let server = try ScriptedQdrant()
        let store = try makeStore(url: "qdrant+\(server.url)/docs", http: http)
        var options = Ingestor.Options()
        options.makesAnew = true
        for place in ["docs.parley-1", "docs.parley-2", "docs.parley-1"] {
            _ = try await Ingestor(embedder: embedder, store: store, options: options).ingest([
                Document(id: "a", title: "A", text: "parcel")
            ])
            #expect(server.aliases == ["docs": place] && server.collections == [place])
        }
        // Whoever made it ended before it said what it is.
        server.make("docs.parley-2", size: 3)
        _ = try await Ingestor(embedder: embedder, store: store, options: options).ingest([
            Document(id: "a", title: "A", text: "parcel")
        ])
        #expect(server.aliases == ["docs": "docs.parley-2"] && server.collections == ["docs.parley-2"])
    }

    @Test(arguments: ["docs", "docs.parley-1"])
    func anotherProgramsCollectionIsLeftAlone(_ name: String) async throws {
        let server = try ScriptedQdrant()
        server.make(name, size: 2, pointID: "00000000-0000-4000-8000-000000000007")
        let store = try makeStore(url: "qdrant+\(server.url)/docs", http: http)
        await #expect {
            _ = try await Ingestor(embedder: embedder, store: store).ingest([
                Document(id: "a", title: "A", text: "parcel")
            ])
        } throws: {
            ($0 as? RetrievalError)?.code == .foreign
        }
        #expect(server.collections == [name])
    }

    @Test(arguments: [
        (404, "404 page not found\n", RetrievalError.Code.unavailable),
        (404, #"{"status":{"error":"Not found: Collection `docs` doesn't exist!"},"time":0.0}"#, .notFound),
        (502, "<html>", .unavailable), (503, #"{"status":{"error":"Service unavailable"}}"#, .unavailable),
        (403, #"{"status":{"error":"Forbidden"},"time":0.0}"#, .denied), (200, "<html>", .invalidResponse),
        (200, "{}", .invalidResponse), (200, #"{"result":7,"status":"ok"}"#, .invalidResponse),
    ])
    func onlyQdrantsOwnWordThatThereIsNoCollectionIsBelieved(
        _ status: Int, _ body: String, _ code: RetrievalError.Code
    ) async throws {
        let server = try CannedServer { _ in (status, [], body) }
        defer { server.stop() }
        let store = try makeStore(url: "qdrant+\(server.url)/docs", http: http)
        let error = await failure(store)
        #expect(error?.code == code && error?.part == .store)
        if code != .notFound { #expect(await store.hasIndex()) }
    }

    @Test(arguments: [
        #"{"result":[]}"#, #"{"result":[{"points":7}]}"#, #"{"result":[{"points":[{"id":"x","payload":{}}]}]}"#,
        #"{"result":[{"points":[{"id":"x","score":"NaN","payload":{"id":"a","document":"a","ordinal":1}}]}]}"#,
        #"{"result":[{"points":[{"id":"x","score":0.5,"payload":{"text":"t"}}]}]}"#,
    ])
    func answersThatMakeNoSenseAreErrors(_ body: String) async throws {
        let server = try CannedServer { request in
            let isQuery = request.head.contains("/query/batch")
            return (200, [], isQuery ? body : #"{"result":[{"payload":{"version":"1","dimension":2}}]}"#)
        }
        defer { server.stop() }
        #expect(await failure(try makeStore(url: "qdrant+\(server.url)/docs", http: http))?.code == .invalidResponse)
    }

    @Test func idsOfPassagesAreUUIDsThatDiffer() {
        let ids = ["", "a#1", "a#2", "快递#1"].map(QdrantPoint.id)
        #expect(Set(ids).count == 4 && ids.allSatisfy { $0.count == 36 && $0.split(separator: "-").count == 5 })
        #expect(ids.allSatisfy { $0[$0.index($0.startIndex, offsetBy: 14)] == "8" })
    }
}
