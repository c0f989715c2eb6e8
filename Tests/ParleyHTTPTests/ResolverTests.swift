import CHangingResolver
import Foundation
import IOLoop
import Logging
import ParleyHTTP
import Synchronization
import Testing

/// The resolver belongs to the whole process: one after the other.
@Suite("A name server that does not answer", .serialized) struct ResolverTests {
    private func request(_ host: String, connect: Duration) -> HTTPRequest {
        HTTPRequest(url: "http://\(host).hangs.invalid/", timeouts: .init(connect: connect))
    }

    /// Holds the resolver while `body` runs, but not for ever: where its callers wait for it, the test must fail and not
    /// hang.
    private func whileNamesHang(_ body: () async throws -> Void) async throws {
        parley_hold_resolver()
        let rescue = Task {
            try await Task.sleep(for: .seconds(20))
            parley_release_resolver()
        }
        defer {
            rescue.cancel()
            parley_release_resolver()
        }
        try await body()
        parley_release_resolver()
        #expect(await eventually { parley_hanging_lookups() == 0 })
    }

    @Test func aDeadNameServerStopsNoRequestButItsOwn() async throws {
        let server = try TestServer.answering("x")
        defer { server.stop() }
        try await whileNamesHang {
            try await withClient { client in
                let cancelled = Task {
                    await failure { () async throws(HTTPError) in
                        try await client.send(request("cancelled", connect: .seconds(60)))
                    }
                }
                #expect(await eventually { parley_hanging_lookups() == 1 })
                cancelled.cancel()
                #expect(await cancelled.value?.code == .cancelled)
                let late = await failure { () async throws(HTTPError) in
                    try await client.send(request("late", connect: .milliseconds(50)))
                }
                #expect(late?.code == .timedOut(.connect))
                #expect(late?.isUnreachable == true)
                let answer = try await client.send(HTTPRequest(url: server.url))
                #expect(answer.body == Array("x".utf8))
                // All that went on while the look-ups still hung.
                #expect(parley_hanging_lookups() >= 1)
            }
        }
    }

    @Test func closingAClientWaitsForNoLookUp() async throws {
        try await whileNamesHang {
            let test = try TestClient()
            async let waiting = failure { () async throws(HTTPError) in
                try await test.client.send(request("closed", connect: .seconds(60)))
            }
            #expect(await eventually { parley_hanging_lookups() == 1 })
            await test.close()
            #expect(await waiting?.code == .clientClosed)
            #expect(parley_hanging_lookups() == 1)
        }
    }

    @Test func aDeadNameServerHoldsABoundedNumberOfThreads() async throws {
        let server = try TestServer.answering("x")
        defer { server.stop() }
        try await whileNamesHang {
            try await withClient { client in
                var last: HTTPError?
                for _ in 0..<40 {
                    last = await failure { () async throws(HTTPError) in
                        try await client.send(request("bounded", connect: .milliseconds(10)))
                    }
                    #expect(last?.isUnreachable == true)
                }
                #expect(await eventually { parley_hanging_lookups() == 32 })
                #expect(last?.code == .unreachable)
                #expect(last?.message.contains("bounded.hangs.invalid") == true)
                // Another name, and an address, are none of its business.
                let other = await failure { () async throws(HTTPError) in
                    try await client.send(request("other", connect: .milliseconds(10)))
                }
                #expect(other?.code == .timedOut(.connect))
                _ = try await client.send(HTTPRequest(url: server.url))
            }
        }
    }

    @Test func aNameThatDoesNotExistHoldsNone() async throws {
        parley_release_resolver()
        try await withClient { client in
            for _ in 0..<40 {
                let error = await failure { () async throws(HTTPError) in
                    try await client.send(request("absent", connect: .seconds(5)))
                }
                #expect(error?.code == .unreachable)
                #expect(error?.curlCode == 6)
            }
        }
    }
}
