import Foundation
import ParleyHTTP
import Synchronization
import Testing

/// What a client says of requests that wait for a connection.
private final class Watch: Sendable {
    private let state = Mutex((now: 0, most: 0, ended: [Duration]()))
    var now: Int { state.withLock { $0.now } }
    var most: Int { state.withLock { $0.most } }
    var ended: [Duration] { state.withLock { $0.ended } }

    var waiting: HTTPWaiting {
        HTTPWaiting(
            changed: { requests in
                self.state.withLock { state in
                    state.now = requests
                    state.most = max(state.most, requests)
                }
            },
            ended: { waited in self.state.withLock { $0.ended.append(waited) } })
    }
}

@Suite("HTTP requests that wait for a connection") struct WaitingTests {
    @Test(arguments: [4, 260]) func theyAreCountedWhileTheyWait(limit: Int) async throws {
        let gate = Gate()
        let server = try TestServer { _, peer in
            gate.wait()
            return peer.respond()
        }
        defer { server.stop() }
        let watch = Watch()
        try await withClient(.init(maxConnectionsPerHost: limit, waiting: watch.waiting)) { client in
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<(limit + 6) { group.addTask { _ = try? await client.send(HTTPRequest(url: server.url)) } }
                let abandoned = Task { _ = try? await client.send(HTTPRequest(url: server.url)) }
                #expect(await eventually { watch.now == 7 && server.requests == limit })
                abandoned.cancel()
                await abandoned.value
                #expect(await eventually { watch.now == 6 })
                gate.open()
            }
        }
        #expect(watch.now == 0)
        #expect(watch.ended.count >= 7 && watch.ended.allSatisfy { $0 > .zero })
    }

    @Test func aRequestThatFindsAConnectionDoesNotWait() async throws {
        let server = try TestServer.answering("x")
        defer { server.stop() }
        let watch = Watch()
        try await withClient(.init(waiting: watch.waiting)) { client in
            for _ in 0..<20 { _ = try await client.send(HTTPRequest(url: server.url)) }
        }
        #expect(watch.most == 0 && watch.ended.isEmpty)
    }

    @Test func whatWaitsWhenTheClientClosesWaitsNoMore() async throws {
        let server = try TestServer { _, peer in peer.isClosed(within: 10) && false }
        defer { server.stop() }
        let watch = Watch()
        let test = try TestClient(.init(maxConnectionsPerHost: 1, waiting: watch.waiting))
        let calls = (0..<3).map { _ in
            Task {
                await failure { () async throws(HTTPError) in try await test.client.send(HTTPRequest(url: server.url)) }
            }
        }
        #expect(await eventually { watch.now == 2 })
        await test.close()
        for call in calls { #expect(await call.value?.code == .clientClosed) }
        #expect(watch.now == 0)
    }
}
