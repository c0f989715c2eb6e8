import Synchronization
import Testing

@testable import Retrieval

/// One recorded shape of an answer from where Chroma should be.
struct ChromaAnswerCase: Sendable, CustomTestStringConvertible {
    var name: String
    var status: Int
    var body: String
    var code: RetrievalError.Code
    /// Part of the message.
    var says = ""

    var testDescription: String { name }

    /// Chroma's own word that there is no such collection.
    static let missing: [Self] = [
        .init(
            name: "Chroma 1", status: 404,
            body: #"{"error":"NotFoundError","message":"Collection [docs] does not exist"}"#, code: .notFound),
        .init(
            name: "Chroma 0.5 and 0.6", status: 400,
            body: #"{"error":"InvalidCollection","message":"Collection docs does not exist."}"#, code: .notFound),
        .init(
            name: "another 0.6", status: 404,
            body: #"{"error":"InvalidCollectionException","message":"Collection docs does not exist."}"#,
            code: .notFound),
    ]

    /// Somebody else's, or something else.
    static let away: [Self] = [
        .init(
            name: "Traefik", status: 404, body: "404 page not found\n", code: .unavailable, says: "not in its own words"
        ),
        .init(
            name: "nginx", status: 404,
            body: "<html><head><title>404 Not Found</title></head><body><center>nginx</center></body></html>",
            code: .unavailable),
        .init(name: "no body", status: 404, body: "", code: .unavailable, says: "vectors.url"),
        .init(name: "FastAPI", status: 404, body: #"{"detail":"Not Found"}"#, code: .unavailable),
        .init(
            name: "Kong", status: 404, body: #"{"message":"no Route matched with those values"}"#, code: .unavailable),
        .init(name: "Envoy", status: 404, body: #"{"error":"not_found"}"#, code: .unavailable),
        .init(
            name: "a model server", status: 404,
            body: #"{"error":{"message":"File Not Found","type":"not_found_error","code":404}}"#, code: .unavailable),
        .init(name: "a list", status: 404, body: #"["NotFoundError"]"#, code: .unavailable),
        .init(name: "wrong method", status: 405, body: "", code: .unavailable),
        .init(name: "bad gateway", status: 502, body: "<html>", code: .unavailable),
        .init(name: "starting", status: 503, body: "no healthy upstream", code: .unavailable),
        .init(
            name: "its own 500", status: 500, body: #"{"error":"InternalError","message":"x"}"#, code: .unavailable,
            says: "500 (InternalError)"),
        .init(
            name: "no token", status: 401, body: #"{"error":"AuthError","message":"Unauthorized"}"#, code: .denied,
            says: "check vectors.token"),
        .init(
            name: "not allowed", status: 403, body: #"{"error":"AuthError","message":"Forbidden"}"#, code: .denied,
            says: "check vectors.token"),
        .init(name: "a login page", status: 200, body: "<html>", code: .invalidResponse),
        .init(name: "another object", status: 200, body: "{}", code: .invalidResponse),
    ]
}

/// Chroma, and what stands in front of it, as they really answer.
@Suite struct ChromaServerTests {
    private static let found = #"{"id":"1","name":"docs","dimension":2,"metadata":null}"#
    private static let rows = #"{"ids":[["a"]],"documents":[["d"]],"metadatas":[[null]],"distances":[[0.5]]}"#

    private func store(_ server: CannedServer, token: String? = nil) throws -> any VectorStore {
        try makeStore(url: "chroma+\(server.url)/docs", token: token, http: http)
    }

    private func failure(_ store: any VectorStore) async -> RetrievalError? {
        do throws(RetrievalError) {
            _ = try await store.search([[1, 0]], topK: 1, timeout: .seconds(60))
            return nil
        } catch {
            return error
        }
    }

    @Test(arguments: ChromaAnswerCase.missing)
    func chromasOwnWordThatThereIsNoCollectionIsBelieved(_ answer: ChromaAnswerCase) async throws {
        let server = try CannedServer { _ in (answer.status, [], answer.body) }
        defer { server.stop() }
        let store = try store(server)
        #expect(try await store.open() == nil)
        try await eventually { await !store.hasIndex() }
        #expect(await failure(store)?.code == .notFound)
    }

    @Test(arguments: ChromaAnswerCase.away)
    func nobodyElsesIs(_ answer: ChromaAnswerCase) async throws {
        let server = try CannedServer { _ in (answer.status, [], answer.body) }
        defer { server.stop() }
        let store = try store(server)
        // Nothing is known, so that jobs ask and learn why.
        #expect(await store.hasIndex())
        let error = try #require(await failure(store))
        #expect(error.code == answer.code && error.part == .store)
        // Foundation's `contains` finds no empty text in another.
        #expect(answer.says.isEmpty || error.message.contains(answer.says), "\(error.message)")
        #expect(await store.hasIndex())
    }

    /// The collection was in use when the gateway lost Chroma.
    @Test(arguments: ChromaAnswerCase.away.filter { $0.status != 200 })
    func aKnownCollectionIsNotForgottenForAGatewaysWord(_ answer: ChromaAnswerCase) async throws {
        let isLost = Mutex(false)
        let server = try CannedServer { request in
            if isLost.withLock({ $0 }) { return (answer.status, [], answer.body) }
            return (200, [], request.head.hasPrefix("GET") ? Self.found : Self.rows)
        }
        defer { server.stop() }
        let store = try store(server)
        #expect(try await store.search([[1, 0]], topK: 1, timeout: .seconds(60)).first?.count == 1)
        isLost.withLock { $0 = true }
        #expect(await failure(store)?.code == answer.code)
        #expect(await store.hasIndex() && store.current != nil)
        isLost.withLock { $0 = false }
        let before = server.requests.count
        #expect(try await store.search([[1, 0]], topK: 1, timeout: .seconds(60)).first?.count == 1)
        #expect(server.requests.count == before + 1, "it was not looked up anew")
    }

    @Test(arguments: [
        #"{"ids":[["a"]],"documents":[["d"]],"metadatas":[[null]],"distances":[[null]]}"#,
        #"{"ids":[["a"]],"documents":[["d"]],"metadatas":[[null]],"distances":null}"#,
        #"{"ids":[["a"]],"documents":[["d"]],"metadatas":[[null]],"distances":[["NaN"]]}"#,
        #"{"ids":[["a"]],"documents":[["d"]],"metadatas":[[null]],"distances":[[NaN]]}"#,
        #"{"ids":[],"documents":[],"metadatas":[],"distances":[]}"#, #"{"error":null}"#, "null", "",
    ])
    func distancesThatAreNoneAreTheStoresIllness(_ body: String) async throws {
        let server = try CannedServer { (200, [], $0.head.hasPrefix("GET") ? Self.found : body) }
        defer { server.stop() }
        let error = try #require(await failure(try store(server)))
        #expect(error.code == .invalidResponse && error.part == .store)
    }

    @Test func aQueryThatIsRefusedIsTheQuestionsOwn() async throws {
        let server = try CannedServer { request in
            request.head.hasPrefix("GET")
                ? (200, [], Self.found) : (400, [], #"{"error":"InvalidArgumentError","message":"your secret vector"}"#)
        }
        defer { server.stop() }
        let error = try #require(await failure(try store(server)))
        #expect(error.code == .rejected && error.message.hasSuffix("with 400 (InvalidArgumentError)"))
    }

    @Test func aCollectionThatWasEmptyWhenItWasFoundIsLookedAtAgain() async throws {
        let looks = Mutex(0)
        let server = try CannedServer { request in
            guard request.head.hasPrefix("GET") else {
                return (
                    400, [],
                    #"{"error":"InvalidArgumentError","message":"Collection expecting embedding with dimension of 4, got 2"}"#
                )
            }
            let look = looks.withLock { looks in
                looks += 1
                return looks
            }
            return (200, [], #"{"id":"1","dimension":\#(look == 1 ? "null" : "4"),"metadata":null}"#)
        }
        defer { server.stop() }
        #expect(await failure(try store(server))?.code == .incompatible)
    }

    @Test func aCollectionThatIsDeletedIsMissedAndFoundAgainUnderItsNewId() async throws {
        let id = Mutex<String?>("one")
        let server = try CannedServer { request in
            let id = id.withLock { $0 }
            guard let id, request.head.hasPrefix("GET") || request.head.contains("/collections/\(id)/") else {
                return (404, [], #"{"error":"NotFoundError","message":"Collection [x] does not exist"}"#)
            }
            return (200, [], request.head.hasPrefix("GET") ? #"{"id":"\#(id)","dimension":2}"# : Self.rows)
        }
        defer { server.stop() }
        let store = try store(server)
        #expect(await failure(store) == nil)
        id.withLock { $0 = "two" }
        #expect(await failure(store) == nil, "made anew: at once")
        id.withLock { $0 = nil }
        #expect(await failure(store)?.code == .notFound)
        try await eventually { await !store.hasIndex() }
        id.withLock { $0 = "three" }
        try await eventually { await store.hasIndex() }
        #expect(await failure(store) == nil)
    }

    /// `retrieve: auto` asks this before it asks for passages.
    @Test func whetherThereIsACollectionIsAskedBeforeAnyQuestionIs() async throws {
        let server = try CannedServer { _ in
            (404, [], #"{"error":"NotFoundError","message":"Collection [docs] does not exist"}"#)
        }
        defer { server.stop() }
        let store = try store(server)
        // A slow machine may not tell at once.
        try await eventually { await !store.hasIndex() }
        #expect(server.requests.allSatisfy { $0.head.hasPrefix("GET") })
    }

    @Test func aStoreThatDoesNotSayIsNotAskedByEveryWindow() async throws {
        let server = try CannedServer { _ in (503, [], "no healthy upstream") }
        defer { server.stop() }
        let store = try store(server)
        for _ in 0..<20 { #expect(await store.hasIndex()) }
        #expect(server.requests.count < 20)
    }

    @Test func aTokenIsSentInBothWaysAndAUserInfoIsNotOverruled() async throws {
        let server = try CannedServer { (200, [], $0.head.hasPrefix("GET") ? Self.found : Self.rows) }
        defer { server.stop() }
        #expect(await failure(try store(server, token: "t0ken")) == nil)
        for request in server.requests {
            #expect(
                request.head.contains("X-Chroma-Token: t0ken") && request.head.contains("Authorization: Bearer t0ken"))
        }
        let withUser = try makeStore(
            url: "chroma+http://u:pw@127.0.0.1:\(server.port)/docs", token: "t0ken", http: http)
        #expect(await failure(withUser) == nil)
        let last = try #require(server.requests.last?.head)
        #expect(last.contains("X-Chroma-Token: t0ken") && last.contains("Authorization: Basic dTpwdw=="))
        #expect(await failure(try store(server)) == nil)
        #expect(server.requests.last?.head.contains("t0ken") == false)
        #expect { _ = try makeStore(url: "chroma+http://h:1/docs", token: "secret word", http: http) } throws: {
            "\($0)".contains("vectors.token") && !"\($0)".contains("secret")
        }
    }

    @Test(arguments: [404, 405])
    func aServerOfVersion1IsNamedAsSuch(_ status: Int) async throws {
        let server = try CannedServer { request in
            request.head.hasPrefix("GET /api/v1/heartbeat")
                ? (200, [], #"{"nanosecond heartbeat":1}"#) : (status, [], #"{"detail":"Not Found"}"#)
        }
        defer { server.stop() }
        await #expect { _ = try await store(server).open(timeout: .seconds(60)) } throws: {
            let error = $0 as? RetrievalError
            return error?.code == .denied && error?.message.contains("only version 1 of Chroma's API") == true
        }
    }

    @Test func aPathOfVersion1IsNamedAsSuch() async throws {
        let server = try CannedServer { _ in
            (410, [], #"{"error":"Unimplemented","message":"The v1 API is deprecated. Please use /v2 apis"}"#)
        }
        defer { server.stop() }
        let store = try makeStore(url: "chroma+\(server.url)/api/v1/docs", http: http)
        await #expect { _ = try await store.open() } throws: {
            ($0 as? RetrievalError)?.message.contains("leave /api/v1 out of vectors.url") == true
        }
    }

    @Test func ingestingThroughALostGatewayMakesNothing() async throws {
        let server = try CannedServer { _ in (404, [], "404 page not found\n") }
        defer { server.stop() }
        let embedder = AxisEmbedder(axes: ["parcel", "refund"])
        await #expect(throws: RetrievalError.self) {
            _ = try await Ingestor(embedder: embedder, store: store(server)).ingest([
                Document(id: "a", title: "A", text: "parcel")
            ])
        }
        #expect(server.requests.allSatisfy { $0.head.hasPrefix("GET") })
    }
}
