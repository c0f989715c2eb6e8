import Foundation
import Glibc
import ParleyHTTP
import Testing

/// What happens to a request whose connection breaks without an answer.
@Suite("HTTP requests that break") struct ResendTests {
    private func post(_ url: String, _ body: String = "prompt") -> HTTPRequest {
        HTTPRequest(method: "POST", url: url, body: Array(body.utf8))
    }

    /// The race of every kept connection: the server closes it at the moment it is used again.
    @Test(arguments: [true, false])
    func aKeptConnectionThatClosesAtOnceIsMadeUpForOnce(streamed: Bool) async throws {
        let server = try TestServer { request, peer in
            request.connection == 1 && request.number == 2 ? false : peer.respond(body: request.body)
        }
        defer { server.stop() }
        try await withClient(.init(resendWindow: .seconds(60))) { client in
            _ = try await client.send(post(server.url))
            if streamed {
                let answer = try await client.stream(post(server.url, "again"))
                let body = try await answer.collect(upTo: 100)
                #expect(body == Array("again".utf8))
            } else {
                let answer = try await client.send(post(server.url, "again"))
                #expect(answer.body == Array("again".utf8))
            }
        }
        #expect(server.requests == 3)
        #expect(server.accepted == 2)
    }

    /// A prompt that takes the model down at once meets every connection that is kept, but only one more of its servers.
    @Test func aRequestGoesOutTwiceAtMost() async throws {
        let server = try TestServer { request, peer in
            if request.target == "/deadly" { return false }
            usleep(20_000)
            return peer.respond()
        }
        defer { server.stop() }
        let deadly = Flag()
        try await withClient(.init(resendWindow: .seconds(60))) { client in
            // Several kept connections.
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<6 { group.addTask { _ = try? await client.send(post(server.url)) } }
            }
            #expect(server.accepted > 1)
            let before = server.requests
            let error = await failure { () async throws(HTTPError) in
                try await client.send(post(server.url + "/deadly"))
            }
            deadly.raise(by: server.requests - before)
            #expect(error?.code == .connectionLost)
            #expect(error?.wasSent == true && error?.isUnreachable == false)
        }
        #expect(deadly.count == 2)
    }

    @Test(arguments: [true, false])
    func aKeptConnectionThatClosesLateIsNotMadeUpFor(streamed: Bool) async throws {
        let server = try TestServer { request, peer in
            guard request.number == 2 else { return peer.respond() }
            usleep(500_000)
            return false
        }
        defer { server.stop() }
        try await withClient(.init(resendWindow: .milliseconds(100))) { client in
            _ = try await client.send(post(server.url))
            let error = await failure { () async throws(HTTPError) in
                if streamed {
                    _ = try await client.stream(post(server.url))
                } else {
                    _ = try await client.send(post(server.url))
                }
            }
            #expect(error?.code == .connectionLost)
            #expect(error?.wasSent == true && error?.isUnreachable == false)
            #expect(error?.message.contains("after the request was sent") == true, "\(error?.message ?? "")")
            // The client is none the worse.
            _ = try await client.send(post(server.url))
        }
        #expect(server.requests == 3)
    }

    /// A server that goes away with the request it was given: the second connection says nothing of what the first took.
    @Test func aServerThatIsGoneAfterARequestHadIt() async throws {
        let gate = Gate()
        let server = try TestServer { request, peer in
            guard request.number == 2 else { return peer.respond() }
            gate.wait()
            return false
        }
        try await withClient(.init(resendWindow: .seconds(60))) { client in
            _ = try await client.send(post(server.url))
            async let broken = failure { () async throws(HTTPError) in try await client.send(post(server.url)) }
            #expect(await eventually { server.requests == 2 })
            server.stop()
            #expect(await eventually { !server.isListening })
            gate.open()
            let error = await broken
            #expect(error?.code == .connectionLost)
            #expect(error?.wasSent == true && error?.isUnreachable == false)
            let refused = await failure { () async throws(HTTPError) in try await client.send(post(server.url)) }
            #expect(refused?.code == .unreachable)
            #expect(refused?.wasSent == false && refused?.isUnreachable == true)
        }
    }

    @Test func aFirstConnectionThatBreaksIsNeverMadeUpFor() async throws {
        let server = try TestServer { _, _ in false }
        defer { server.stop() }
        try await withClient { client in
            let error = await failure { () async throws(HTTPError) in try await client.send(post(server.url)) }
            #expect(error?.code == .connectionLost && error?.wasSent == true)
        }
        #expect(server.requests == 1)
    }

    @Test func whatRunsOutOfTimeSaysWhetherItWasSent() async throws {
        let server = try TestServer { _, peer in peer.isClosed(within: 10) && false }
        defer { server.stop() }
        try await withClient(.init(maxConnectionsPerHost: 1)) { client in
            func ask(_ limit: Duration) async -> HTTPError? {
                await failure { () async throws(HTTPError) in
                    try await client.send(HTTPRequest(url: server.url, timeouts: .init(total: limit)))
                }
            }
            let first = Task { await ask(.seconds(60)) }
            #expect(await eventually { server.requests == 1 })
            let waiting = await ask(.milliseconds(50))
            #expect(waiting?.code == .timedOut(.total))
            #expect(waiting?.wasSent == false && waiting?.isUnreachable == true)
            first.cancel()
            #expect(await first.value?.wasSent == true)
            async let second = ask(.seconds(1))
            #expect(await eventually { server.requests == 2 })
            let sent = await second
            #expect(sent?.code == .timedOut(.total))
            #expect(sent?.wasSent == true && sent?.isUnreachable == false)
        }
    }

    /// A host that has vanished acknowledges nothing. Nor does one that does not read what it is sent.
    @Test func aPeerThatAcknowledgesNothingIsGivenUp() async throws {
        let gate = Gate()
        defer { gate.open() }
        let port = try silentListener(until: gate)
        try await withClient(.init(vanishedTimeout: .seconds(1))) { client in
            let error = await failure { () async throws(HTTPError) in
                try await client.send(
                    HTTPRequest(
                        method: "POST", url: "http://127.0.0.1:\(port)/", body: [UInt8](repeating: 65, count: 16 << 20))
                )
            }
            #expect(error?.code == .connectionLost)
            #expect(error?.wasSent == true)
        }
    }

    @Test func thePeersOfIdleConnectionsAreWatched() async throws {
        let server = try TestServer.answering("x")
        defer { server.stop() }
        try await withClient { client in
            _ = try await client.send(HTTPRequest(url: server.url))
            let fd = try #require(socket(connectedTo: server.port))
            #expect(option(of: fd, SOL_SOCKET, SO_KEEPALIVE) == 1)
            #expect(option(of: fd, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT) == 20_000)
            #expect(option(of: fd, Int32(IPPROTO_TCP), TCP_KEEPIDLE) == 10)
            #expect(option(of: fd, Int32(IPPROTO_TCP), TCP_KEEPINTVL) == 5)
        }
    }
}

/// Accepts a connection and never reads from it, until `gate` is open.
private func silentListener(until gate: Gate) throws -> Int {
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var small: Int32 = 4096
    setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, 4)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let status = withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            bind(listener, $0, length) | listen(listener, 16) | getsockname(listener, $0, &length)
        }
    }
    guard status == 0 else { throw POSIXError(.EADDRINUSE) }
    Thread.detachNewThread {
        let peer = accept(listener, nil, nil)
        gate.wait()
        close(peer)
        close(listener)
    }
    return Int(UInt16(bigEndian: address.sin_port))
}

/// A descriptor of this process that is connected to `port`.
private func socket(connectedTo port: Int) -> Int32? {
    (0..<4096).first { fd in
        var address = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getpeername(fd, $0, &length) }
        }
        return status == 0 && address.sin_family == AF_INET && Int(UInt16(bigEndian: address.sin_port)) == port
    }
}

private func option(of fd: Int32, _ level: Int32, _ name: Int32) -> Int32 {
    var value: Int32 = -1
    var length = socklen_t(MemoryLayout<Int32>.size)
    getsockopt(fd, level, name, &value, &length)
    return value
}
