import ParleyPostgres
import Testing

@testable import Retrieval

private let server = environment("PARLEY_TEST_POSTGRES_URL")

@Suite struct PostgresLocationTests {
    @Test(arguments: [
        "postgresql://h", "postgresql://h/d", "postgres://h:1/d/", "postgresql://h//c", "postgresql://h/d/c/e",
        "postgresql://u:secret@h/d/bad name", "postgresql://u:secret@h/d", "postgresql://h/d/c?secret",
        "postgresql://h/d/c?sslmod=secret",
        "postgresql://h/d/\(String(repeating: "c", count: 41))", "postgresql://h/d/c%22x", "postgresql://h/d/快递",
    ])
    func wrongURLsSayWhatIsAllowedAndNoSecret(_ url: String) {
        #expect { _ = try makeStore(url: url, http: http) } throws: {
            let error = $0 as? RetrievalError
            return error?.code == .invalidSetting && error?.message.contains(PostgresLocation.example) == true
                && error?.message.contains("secret") == false
        }
    }

    @Test func messagesNameThePlaceWithoutWhoAsks() throws {
        for url in ["postgresql://u:secret@h:1/d/docs?sslmode=require", "postgres://u:secret@h:1/d/docs"] {
            let store = try makeStore(url: url, token: "other", http: http)
            #expect(store.location.hasSuffix("://h:1/d/docs") && !store.location.contains("secret"))
        }
        #expect(
            try makeStore(url: "postgresql:///d/docs?host=/run/postgresql", http: http).location.contains("/d/docs"))
        let several = try makeStore(url: "postgresql://a:1,b:2/d/docs", http: http)
        #expect(several.location == "postgresql://a:1,b:2/d/docs")
    }

    @Test func aServerThatIsNotThereIsAnOutage() async throws {
        let store = try makeStore(url: "postgresql://127.0.0.1:1/d/docs", http: http)
        await #expect { _ = try await store.search([[1, 0]], topK: 1, timeout: .seconds(60)) } throws: {
            let error = $0 as? RetrievalError
            return error?.code == .unreachable && error?.isTransient == true && error?.part == .store
        }
        // Nothing is known, so that jobs ask and learn why.
        #expect(await store.hasIndex())
        #expect(await store.version() == nil)
    }
}

@Suite(.enabled(if: server != nil), .serialized) struct PostgresStoreTests {
    private let url: String
    private let pool: PostgresPool

    init() throws {
        let server = try #require(server)
        url = "\(server)/test-\(String(UInt64.random(in: 0...UInt64.max), radix: 36))"
        pool = PostgresPool(try PostgresAddress(uri: server), size: 1)
    }

    @discardableResult
    private func ask(_ sql: String, _ values: [String?] = []) async throws -> PostgresRows {
        try await pool.run(timeout: .seconds(60), repeats: true) { connection, _ throws(PostgresError) in
            try connection.query(sql, values, timeout: .seconds(60))
        }
    }

    private func document(_ id: String, _ vector: [Float], _ attributes: Attributes = .init()) -> EmbeddedDocument {
        let passage = Passage(documentID: id, ordinal: 1, title: "T", text: "parcel \(id)", attributes: attributes)
        return EmbeddedDocument(
            id: id, title: "T", contentHash: "h", attributes: attributes, passages: [passage], vectors: [vector])
    }

    /// Whatever the number of passages, owners and queries: all that a filter admits is looked at where the graph finds too little.
    @Test(arguments: [1, 2000])
    func aFilteredSearchFindsAllThatThereIs(_ graphThreshold: Int) async throws {
        var random = Seeded(state: 16)
        let store = try PostgresStore(url: url, graphThreshold: graphThreshold)
        let tenants: [String?] = [nil, nil, "a", "b", "c", "d"]
        let documents = (0..<800).map { number in
            document(
                "\(number)", (0..<8).map { _ in Float.random(in: -1...1, using: &random) },
                Attributes(
                    tenant: tenants.randomElement(using: &random) ?? nil,
                    tags: number % 80 == 0 ? ["rare"] : number % 3 == 0 ? ["common"] : []))
        }
        try await store.replace(StoreUpdate(embedder: "axes", dimension: 8, documents: documents))
        let tables = try #require(try await store.lookUp(timeout: .seconds(60))?.table)
        let graphs = try await ask("SELECT 1 FROM pg_indexes WHERE tablename = $1 AND indexdef LIKE '%hnsw%'", [tables])
        #expect(graphs.count == (graphThreshold == 1 ? 1 : 0))
        let units = documents.map { document in
            var vector = document.vectors[0]
            normalize(&vector)
            return vector
        }
        func dotProduct(_ one: [Float], _ other: [Float]) -> Float {
            one.indices.reduce(0) { $0 + one[$1] * other[$1] }
        }
        var (right, all) = (0, 0)
        for _ in 0..<6 {
            let queries = (0..<10).map { _ in
                var filter = PassageFilter(tenant: ["a", "b", "e", nil].randomElement(using: &random) ?? nil)
                filter.tags = [[], ["common"], ["rare"]].randomElement(using: &random) ?? []
                return SearchQuery(
                    vector: Embedding((0..<8).map { _ in Float.random(in: -1...1, using: &random) }), filter: filter)
            }
            let rows = try await store.search(queries, topK: 5, timeout: .seconds(60))
            for (query, found) in zip(queries, rows) {
                var unit = query.vector.numbers
                normalize(&unit)
                let expected = zip(documents, units).filter { query.filter.admits($0.0.attributes) }.map { _, vector in
                    dotProduct(vector, unit)
                }.sorted(by: >).prefix(5)
                #expect(found.allSatisfy { query.filter.admits($0.passage) } && found.count == expected.count)
                right += zip(found, expected).count { abs($0.score - $1) < 1e-4 }
                all += expected.count
            }
        }
        // A graph may miss one of the nearest.
        #expect(graphThreshold == 1 ? right * 100 >= all * 98 : right == all)
    }

    @Test func updatesAtOnceWaitForEachOtherAndNoneIsLost() async throws {
        let url = url
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<4 {
                group.addTask {
                    let store = try PostgresStore(url: url)
                    for number in 0..<3 {
                        let one = self.document("\(writer) \(number)", [1, Float(number)])
                        try await store.replace(StoreUpdate(embedder: "axes", dimension: 2, documents: [one]))
                    }
                }
            }
            try await group.waitForAll()
        }
        let index = try await PostgresStore(url: url).open()
        #expect(index?.passages == 12 && index?.documents == 12)
    }

    @Test func aSearchGoesOnOverANewConnectionWhenItsOwnIsGone() async throws {
        let store = try PostgresStore(url: url)
        try await store.replace(StoreUpdate(embedder: "axes", dimension: 2, documents: [document("a", [1, 0])]))
        for _ in 0..<3 {
            try await ask(
                "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query LIKE '%' || $1 || '%'",
                [try #require(store.known?.table)])
            #expect(try await store.search([[1, 0]], topK: 1, timeout: .seconds(60))[0].map(\.passage.id) == ["a#1"])
        }
    }

    @Test func anUpdateThatDoesNotComeToItsEndChangesNothing() async throws {
        let store = try PostgresStore(url: url)
        try await store.replace(StoreUpdate(embedder: "axes", dimension: 2, documents: [document("a", [1, 0])]))
        let version = await store.version()
        var update = StoreUpdate(embedder: "axes", dimension: 2, documents: [document("b", [0, 1])], removed: ["a"])
        // Longer than PostgreSQL's index takes, and nothing that would be compressed: the last row is refused.
        var random = Seeded(state: 1)
        let name = (0..<4000).map { _ in String(UInt8.random(in: 0...255, using: &random), radix: 16) }.joined()
        update.documents.append(document(name, [1, 1]))
        await #expect(throws: RetrievalError.self) { try await store.replace(update) }
        let another = try PostgresStore(url: url)
        #expect(try await another.contentHashes() == ["a": "h"])
        #expect(try await another.search([[1, 0]], topK: 9, timeout: .seconds(60))[0].map(\.passage.id) == ["a#1"])
        #expect(await another.version() == version)
    }

    @Test func whatIsMadeAnewLeavesNoTablesBehind() async throws {
        let store = try PostgresStore(url: url)
        var update = StoreUpdate(embedder: "axes", dimension: 2, startsOver: true, documents: [document("a", [1, 0])])
        update.isLast = false
        try await store.replace(update)
        #expect(try await PostgresStore(url: url).open() == nil, "not to be seen before it is whole")
        // As if that run had ended there.
        for _ in 0..<2 {
            update.isLast = true
            try await PostgresStore(url: url).replace(update)
        }
        let tables = try await ask(
            "SELECT tablename FROM pg_tables WHERE tablename LIKE 'parley_' || $1 || '%'", [store.name])
        #expect(tables.count == 2)
        #expect(try await store.search([[1, 0]], topK: 1, timeout: .seconds(60))[0].count == 1)
    }

    @Test func aDatabaseWithoutTheExtensionIsNamedAsSuch() async throws {
        let name = "no_vector_\(UInt32.random(in: 0...UInt32.max))"
        try await ask("CREATE ROLE \(name) LOGIN")
        try await ask("CREATE DATABASE \(name)")
        let place = try #require(server).split(separator: "@").last?.split(separator: "/").first
        let store = try PostgresStore(url: "postgresql://\(name)@\(try #require(place))/\(name)/docs")
        #expect(try await store.open() == nil)
        let update = StoreUpdate(embedder: "axes", dimension: 2, documents: [document("a", [1, 0])])
        await #expect { try await store.replace(update) } throws: {
            let error = $0 as? RetrievalError
            return error?.code == .denied && error?.message.contains("CREATE EXTENSION vector") == true
        }
        let absent = try PostgresStore(url: "postgresql://\(name)@\(try #require(place))/absent_\(name)/docs")
        await #expect { _ = try await absent.open() } throws: { ($0 as? RetrievalError)?.code == .denied }
    }

    @Test func firstIngestsAtOnceMakeExtensionAndListOnce() async throws {
        let name = "fresh_\(UInt32.random(in: 0...UInt32.max))"
        try await ask("CREATE DATABASE \(name)")
        let place = try #require(server).split(separator: "/").dropLast().joined(separator: "/")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<4 {
                group.addTask {
                    let store = try PostgresStore(url: "\(place.replacing(":/", with: "://"))/\(name)/docs-\(number)")
                    try await store.replace(
                        StoreUpdate(embedder: "axes", dimension: 2, documents: [self.document("a", [1, 0])]))
                    #expect(try await store.search([[1, 0]], topK: 1, timeout: .seconds(60))[0].count == 1)
                }
            }
            try await group.waitForAll()
        }
    }

    @Test func textThatPostgreSQLCannotHoldIsIngestedAllTheSame() async throws {
        let store = try PostgresStore(url: url)
        let odd = document("a\0b\u{FFFE}\"'\\{}", [1, 0], Attributes(agent: "x\0", tags: ["t{", "\"u\""]))
        try await store.replace(StoreUpdate(embedder: "axes", dimension: 2, documents: [odd]))
        let found = try #require(try await store.search([[1, 0]], topK: 1, timeout: .seconds(60))[0].first)
        #expect(found.passage.documentID == "a\u{FFFD}b\u{FFFE}\"'\\{}")
        #expect(found.passage.attributes.tags == ["t{", "\"u\""])
        #expect(try await store.vectors(of: ["a\0b\u{FFFE}\"'\\{}"]).values.first == [1, 0])
    }
}
