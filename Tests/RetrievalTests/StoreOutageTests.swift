import Foundation
import Glibc
import Synchronization
import TestSupport
import Testing

@testable import Retrieval

/// A store whose server can be reached through another port.
struct ServedStore: Sendable, CustomTestStringConvertible {
    var name: String
    /// The server's port; it lives as long as the second value.
    var server: @Sendable () throws -> (port: UInt16, owner: any Sendable)
    var url: @Sendable (_ port: UInt16, _ collection: String) -> String

    var testDescription: String { name }

    static let all: [ServedStore] =
        [
            ServedStore(name: "qdrant") {
                let server = try ScriptedQdrant()
                return (try port(server.url), server)
            } url: {
                "qdrant+http://127.0.0.1:\($0)/\($1)"
            }
        ]
        + (environment("PARLEY_TEST_CHROMA_URL").map { server in
            [
                ServedStore(name: "chroma") {
                    (try port(server), server)
                } url: {
                    "chroma+http://127.0.0.1:\($0)/\($1)"
                }
            ]
        } ?? [])
        + (environment("PARLEY_TEST_POSTGRES_URL").map { server in
            [
                ServedStore(name: "postgres") {
                    (try port(server), server)
                } url: { port, collection in
                    let parts = server.split(separator: ":")
                    let database = server.split(separator: "/").last ?? ""
                    return "\(parts.dropLast().joined(separator: ":")):\(port)/\(database)/\(collection)"
                }
            ]
        } ?? [])

    private static func port(_ url: String) throws -> UInt16 {
        try #require(url.split(separator: ":").last.flatMap { UInt16($0.prefix { $0.isNumber }) })
    }
}

/// A server that dies and comes back, as every ``VectorStore`` over a network meets it.
@Suite(.serialized) struct StoreOutageTests {
    private let embedder = AxisEmbedder(axes: ["parcel", "refund"])

    @Test(arguments: ServedStore.all)
    func aServerThatComesBackIsSearchedAndFilledAsBefore(_ served: ServedStore) async throws {
        let (port, owner) = try served.server()
        defer { withExtendedLifetime(owner) {} }
        let door = try Door(to: port)
        let store = try makeStore(url: served.url(door.port, "outage-\(unique())"), http: http)
        let ingestor = Ingestor(embedder: embedder, store: store)
        let documents = [
            Document(id: "a", title: "A", text: "parcel"), Document(id: "b", title: "B", text: "refund"),
        ]
        _ = try await ingestor.ingest(documents)
        let retriever = Retriever(embedder: embedder, store: store)
        func found() async throws -> [String] {
            try await retriever.matches(["parcel", "refund"], topK: 1, timeout: .seconds(60)).map {
                $0[0].passage.documentID
            }
        }
        #expect(try await found() == ["a", "b"])
        for _ in 0..<2 {
            door.shut()
            for _ in 0..<6 {
                await #expect { _ = try await found() } throws: {
                    let error = $0 as? RetrievalError
                    return error?.isTransient == true && error?.part == .store
                }
            }
            #expect(await store.hasIndex() && store.current != nil, "an outage is no absence")
            await #expect {
                _ = try await ingestor.ingest(documents + [Document(id: "c", title: "C", text: "x")])
            } throws: {
                ($0 as? RetrievalError)?.isTransient == true
            }
            try await eventually { await store.version() == nil }
            door.open()
            // At once: nothing of the old connections is in the way.
            #expect(try await found() == ["a", "b"])
            #expect(await store.version() != nil)
        }
        #expect(try await ingestor.ingest(documents).unchanged == 2)
    }
}

/// Passes connections on to a server on loopback, and can be shut.
private final class Door: Sendable {
    private struct State {
        var isShut = false
        var sockets: Set<Int32> = []
    }

    let port: UInt16
    private let server: UInt16
    private let listener: Int32
    private let state = Mutex(State())

    init(to server: UInt16) throws {
        self.server = server
        listener = newSocket()
        port = try bindToLoopback(listener)
        try #require(listen(listener, 64) == 0)
        let listener = listener
        thread { [weak self] in
            while case let client = accept(listener, nil, nil), client >= 0 {
                guard let self else {
                    close(client)
                    break
                }
                thread { self.join(client) }
            }
            close(listener)
        }
    }

    deinit { Glibc.shutdown(listener, Int32(SHUT_RDWR)) }

    /// Whoever is inside is thrown out, and nobody gets in.
    func shut() {
        state.withLock { state in
            state.isShut = true
            for socket in state.sockets { Glibc.shutdown(socket, Int32(SHUT_RDWR)) }
        }
    }

    func open() { state.withLock { $0.isShut = false } }

    private func join(_ client: Int32) {
        let server = newSocket()
        var address = loopback(self.server)
        let isConnected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(server, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        let isIn = state.withLock { state in
            guard isConnected, !state.isShut else { return false }
            state.sockets.formUnion([client, server])
            return true
        }
        if isIn {
            let back = DispatchGroup()
            back.enter()
            thread {
                Self.pass(server, client)
                back.leave()
            }
            Self.pass(client, server)
            back.wait()
            state.withLock { $0.sockets.subtract([client, server]) }
        }
        close(server)
        close(client)
    }

    private static func pass(_ source: Int32, _ sink: Int32) {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while case let count = recv(source, &buffer, buffer.count, 0), count > 0 {
            guard send(sink, buffer, count, Int32(MSG_NOSIGNAL)) == count else { break }
        }
        Glibc.shutdown(sink, Int32(SHUT_RDWR))
        Glibc.shutdown(source, Int32(SHUT_RDWR))
    }
}

private func thread(_ body: @escaping @Sendable () -> Void) { Thread.detachNewThread(body) }
