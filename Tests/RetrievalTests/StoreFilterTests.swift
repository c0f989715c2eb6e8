import ParleyHTTP
import Testing

@testable import Retrieval

/// What every ``VectorStore`` makes of filters.
@Suite(.serialized) struct StoreFilterTests {
    private let embedder = AxisEmbedder(axes: ["parcel", "refund", "voucher"])

    private func with(
        _ place: StoreCase, _ body: (any VectorStore, _ another: any VectorStore) async throws -> Void
    ) async throws {
        let (store, another, remove) = try await place.make()
        do {
            try await body(store, another)
        } catch {
            await remove()
            throw error
        }
        await remove()
    }

    private func document(_ id: String, _ text: String, language: String? = nil, _ attributes: Attributes) -> Document {
        Document(id: id, title: id, text: text, language: language, attributes: attributes)
    }

    private func found(
        _ retriever: Retriever, _ question: String, _ filters: [PassageFilter], topK: Int = 9
    ) async throws -> [Set<String>] {
        let questions = filters.map { RetrievalQuestion(question, filter: $0) }
        return try await retriever.matches(questions, topK: topK, timeout: .seconds(60))
            .map { Set($0.map(\.passage.documentID)) }
    }

    /// Names that mean something to some store, and such as differ little from another tenant's.
    private static let strangers = [
        "", "A", "a ", "a,b", "*", "%", "$ne", "{\"$ne\":\"\"}", "a\" OR \"1\"=\"1", "\u{0}a", "ａ",
    ]

    @Test(arguments: StoreCase.all)
    func aTenantsPassagesAreFoundByNobodyElse(_ place: StoreCase) async throws {
        try await with(place) { store, another in
            _ = try await Ingestor(embedder: embedder, store: store).ingest([
                document("all.md", "A parcel.", .init()),
                document("a.md", "The parcel of a secret.", .init(tenant: "a")),
                document("b.md", "The parcel of b, secret.", .init(tenant: "b")),
            ])
            for isHybrid in [true, false] {
                var options = RetrievalOptions()
                options.isHybrid = isHybrid
                let retriever = Retriever(embedder: embedder, store: another, options: options)
                let filters = [PassageFilter(tenant: "a"), .init(tenant: "b"), .init()]
                // One window, one question: only whose it is differs.
                #expect(
                    try await found(retriever, "parcel secret", filters)
                        == [["all.md", "a.md"], ["all.md", "b.md"], ["all.md"]])
                // Even where nothing else is near enough.
                #expect(try await found(retriever, "parcel secret", filters, topK: 1).count == 3)
                for stranger in Self.strangers {
                    let others = try await found(retriever, "parcel secret", [.init(tenant: stranger)])
                    #expect(others == [["all.md"]], "\(stranger)")
                }
            }
            let unfiltered = try await another.search([[1, 0, 0]], topK: 9, timeout: .seconds(60))
            #expect(unfiltered[0].map(\.passage.documentID) == ["all.md"], "a query that says nothing is nobody's")
        }
    }

    @Test(arguments: StoreCase.all)
    func aDocumentThatChangesHandsIsFoundByTheNewTenantAlone(_ place: StoreCase) async throws {
        try await with(place) { store, another in
            let ingestor = Ingestor(embedder: embedder, store: store)
            let retriever = Retriever(embedder: embedder, store: another)
            let filters = [PassageFilter(tenant: "a"), .init(tenant: "b"), .init()]
            _ = try await ingestor.ingest([document("x", "A parcel.", .init())])
            #expect(try await found(retriever, "parcel", filters) == [["x"], ["x"], ["x"]])
            let everybodys = await another.hasTenants()
            for (tenant, expected) in [("a", [["x"], [], []]), ("b", [[], ["x"], []])] as [(String, [Set<String>])] {
                #expect(try await ingestor.ingest([document("x", "A parcel.", .init(tenant: tenant))]).changed == 1)
                try await eventually {
                    _ = await another.version()
                    return try await found(retriever, "parcel", filters) == expected
                }
            }
            let somebodys = await another.hasTenants()
            #expect(!everybodys && somebodys)
        }
    }

    @Test(arguments: StoreCase.all)
    func agentsLanguagesTagsAndDatesChoose(_ place: StoreCase) async throws {
        try await with(place) { store, another in
            _ = try await Ingestor(embedder: embedder, store: store).ingest([
                document("plain", "A parcel, plain.", .init()),
                document(
                    "sale", "A parcel, sale.", language: "en-GB", .init(agent: "sale", tags: ["new", "vip club"])),
                document("care", "A parcel, care.", language: "de", .init(agent: "care", tags: ["new"])),
                document("old", "A parcel, old.", .init(date: CalendarDate("2025-12-31"))),
                document("now", "A parcel, now.", .init(date: CalendarDate("2026-01-01"))),
            ])
            let retriever = Retriever(embedder: embedder, store: another)
            let cases: [(String, Set<String>)] = [
                ("", ["plain", "sale", "care", "old", "now"]), ("agent=sale", ["plain", "sale", "old", "now"]),
                ("language=en", ["plain", "sale", "old", "now"]), ("language=de-AT", ["plain", "care", "old", "now"]),
                ("tag=NEW", ["sale", "care"]), ("tag=new, tag=vip club", ["sale"]), ("tag=other", []),
                ("agent=care, tag=new", ["care"]), ("since=2026-01-01", ["now"]), ("until=2025-12-31", ["old"]),
                ("since=2025-01-01, until=2026-12-31", ["old", "now"]),
            ]
            for (text, expected) in cases {
                #expect(try await found(retriever, "parcel", [PassageFilter(parsing: text)]) == [expected], "\(text)")
            }
            var options = RetrievalOptions()
            options.filter = try PassageFilter(parsing: "tag=new")
            let agents = Retriever(embedder: embedder, store: another, options: options)
            #expect(try await found(agents, "parcel", [.init(tenant: "t")]) == [["sale", "care"]])
            let first = try #require(
                try await another.search(
                    [SearchQuery(vector: [1, 0, 0], filter: PassageFilter(parsing: "tag=vip club"))], topK: 1,
                    timeout: .seconds(60))[0].first)
            #expect(first.passage.attributes == Attributes(agent: "sale", tags: ["new", "vip club"]))
            #expect(first.passage.language == "en-GB")
        }
    }

    /// Whatever the number of passages, owners and queries, what is found is what looking at all of them finds.
    @Test(arguments: [true, false])
    func filteredSearchInAnIndexFileIsExact(_ hasGraph: Bool) async throws {
        var random = Seeded(state: 16)
        let folder = try TemporaryFolder()
        let store = FileStore(path: "\(folder.path)/k.index", graphThreshold: hasGraph ? 1 : .max, logger: quiet)
        let tenants: [String?] = [nil, nil, nil, "a", "b", "c", "d"]
        var documents: [EmbeddedDocument] = []
        for number in 0..<600 {
            let attributes = Attributes(
                tenant: tenants.randomElement(using: &random) ?? nil,
                tags: number % 50 == 0 ? ["rare"] : number % 3 == 0 ? ["common"] : [])
            let passage = Passage(
                documentID: "\(number)", ordinal: 1, title: "T", text: "parcel \(number % 7)", attributes: attributes)
            let vector = (0..<8).map { _ in Float.random(in: -1...1, using: &random) }
            documents.append(
                EmbeddedDocument(
                    id: "\(number)", title: "T", contentHash: "h", attributes: attributes, passages: [passage],
                    vectors: [vector]))
        }
        try await store.replace(StoreUpdate(embedder: "axes", dimension: 8, documents: documents))
        _ = try await store.open()
        if hasGraph { try await eventually { store.hasGraph } }
        for _ in 0..<200 {
            var filter = PassageFilter(tenant: ["a", "b", "c", "e", nil].randomElement(using: &random) ?? nil)
            filter.tags = [[], [], ["common"], ["rare"]].randomElement(using: &random) ?? []
            let vector = (0..<8).map { _ in Float.random(in: -1...1, using: &random) }
            var query = SearchQuery(text: "parcel 3", vector: Embedding(vector), filter: filter)
            let near = try await store.search([query], topK: 5, timeout: .seconds(60))[0]
            var unit = vector
            normalize(&unit)
            let expected = documents.filter { filter.admits($0.attributes) }.map { document in
                var vector = document.vectors[0]
                normalize(&vector)
                return zip(vector, unit).reduce(Float(0)) { $0 + $1.0 * $1.1 }
            }.sorted(by: >).prefix(5)
            #expect(near.allSatisfy { filter.admits($0.passage) } && near.count == expected.count)
            #expect(zip(near, expected).allSatisfy { abs($0.score - $1) < 1e-4 })
            query.isHybrid = true
            let fused = try await store.search([query], topK: 50, timeout: .seconds(60))[0]
            #expect(fused.allSatisfy { filter.admits($0.passage) } && fused.count >= near.count)
        }
    }

    @Test func wordsAloneAreFilteredToo() async throws {
        let folder = try TemporaryFolder()
        let store = FileStore(path: "\(folder.path)/k.index", logger: quiet)
        let embedder = LexicalEmbedder()
        _ = try await Ingestor(embedder: embedder, store: store).ingest([
            document("all.md", "Parcels arrive on Monday.", .init()),
            document("a.md", "The zebra of a.", .init(tenant: "a")),
        ])
        let retriever = Retriever(embedder: embedder, store: store)
        #expect(
            try await found(retriever, "zebra", [.init(tenant: "a"), .init(tenant: "b"), .init()]) == [
                ["a.md"], [], [],
            ])
        // Nor by what is written alike, or means the same.
        #expect(try await found(retriever, "zebras zebre", [.init(tenant: "b")]) == [[]])
    }

    /// A store that pays no heed to filters.
    @Test func whatAStoreFindsInSpiteOfAFilterIsNotShown() async throws {
        let retriever = Retriever(embedder: embedder, store: CarelessStore())
        #expect(
            try await found(retriever, "parcel", [.init(tenant: "a"), .init(tenant: "b"), .init()])
                == [["everybody's", "a's"], ["everybody's"], ["everybody's"]])
    }
}

private struct CarelessStore: VectorStore {
    let location = "careless"
    let current: StoreDescription? = StoreDescription(dimension: 3, embedder: "axes", passages: 2, documents: 2)
    func hasIndex() async -> Bool { true }
    func version() async -> String? { "1" }
    func open(timeout: Duration) async throws(RetrievalError) -> StoreDescription? { current }
    func search(_ queries: [SearchQuery], topK: Int, timeout: Duration) async throws(RetrievalError) -> [[Match]] {
        queries.map { _ in
            [
                Match(
                    passage: Passage(
                        documentID: "a's", ordinal: 1, title: "", text: "x", attributes: .init(tenant: "a")), score: 1),
                Match(passage: Passage(documentID: "everybody's", ordinal: 1, title: "", text: "y"), score: 0.5),
            ]
        }
    }
    func contentHashes() async throws(RetrievalError) -> [String: String] { [:] }
    func replace(_ update: StoreUpdate) async throws(RetrievalError) {}
}

@Suite struct PassageFilterTests {
    @Test(arguments: [
        ("tenant=a", "tenant cannot be set"), ("colour=red", "\"colour\""),
        ("language", "\"language\" is no key=value"),
        ("language=", "no key=value"), ("since=yesterday", "since is \"yesterday\""), ("until=2026-02-30", "until"),
    ])
    func whatIsNoFilterIsNamed(_ text: String, _ expected: String) {
        #expect { _ = try PassageFilter(parsing: text) } throws: {
            guard let error = $0 as? RetrievalError else { return false }
            return error.code == .invalidSetting && error.message.contains(expected)
                && error.message.contains(PassageFilter.allowed)
        }
    }

    @Test func whatAQuestionSaysGoesBeforeItsAgents() throws {
        let agents = try PassageFilter(parsing: "agent=sale, language=en, tag=a")
        var question = try PassageFilter(parsing: "language=de, tag=b, since=2026-01-01")
        question.tenant = "t"
        let both = agents.admitting(question)
        #expect(both.tenant == "t" && both.agent == "sale" && both.language == "de" && both.tags == ["a", "b"])
        #expect(both.since == CalendarDate("2026-01-01") && both.until == nil)
        #expect(try PassageFilter(parsing: " , ") == PassageFilter())
    }

    @Test func datesAreDaysOfTheCalendar() {
        #expect(CalendarDate("2024-02-29")?.description == "2024-02-29")
        #expect(CalendarDate("2026-01-31T23:59:59Z") == CalendarDate("2026-01-31"))
        for text in ["2026-02-29", "2026-13-01", "26-01-01", "2026/01/01", "2026-01-0x", "0000-01-01", "2026-01-011"] {
            #expect(CalendarDate(text) == nil, "\(text)")
        }
    }
}
