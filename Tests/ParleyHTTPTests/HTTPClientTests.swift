import Foundation
import IOLoop
import Logging
import ParleyHTTP
import Synchronization
import Testing

import func TestSupport.freePort

@Suite("HTTP client") struct HTTPClientTests {
    @Test func sendsMethodHeadersAndBodyAndReadsTheAnswer() async throws {
        let server = try TestServer { request, peer in
            let seen =
                "\(request.method) \(request.target) \(request.headers["x-empty"] ?? "none")"
                + " \(request.headers["content-type"] ?? "none") \(request.headers["expect"] ?? "none")"
                + " \(request.headers["user-agent"] ?? "none") \(request.body.count)"
            return peer.respond(201, headers: "Retry-After:  7 \r\nX-Two: a\r\nx-two: b\r\n", body: Array(seen.utf8))
        }
        defer { server.stop() }
        try await withClient { client in
            let body = [UInt8](repeating: 65, count: 100_000)
            let answer = try await client.send(
                HTTPRequest(
                    method: "POST", url: server.url + "/a?b=c", headers: [HTTPHeader(name: "X-Empty", value: "")],
                    body: body))
            #expect(answer.status == 201)
            #expect(answer.isSuccess)
            #expect(answer.version == .http11)
            #expect(String(decoding: answer.body, as: UTF8.self) == "POST /a?b=c  none none parley 100000")
            #expect(answer.header("retry-after") == "7")
            #expect(answer.header("X-TWO") == "a")
            #expect(answer.headers.filter { $0.name.lowercased() == "x-two" }.map(\.value) == ["a", "b"])
            #expect(answer.header("absent") == nil)
        }
    }

    @Test(arguments: ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD"])
    func sendsEveryMethodWithAndWithoutABody(method: String) async throws {
        let server = try TestServer { request, peer in
            request.method == "HEAD"
                ? peer.send("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n")
                : peer.respond(body: Array("\(request.method) \(request.body.count)".utf8))
        }
        defer { server.stop() }
        try await withClient { client in
            let bare = try await client.send(HTTPRequest(method: method, url: server.url))
            #expect(String(decoding: bare.body, as: UTF8.self) == (method == "HEAD" ? "" : "\(method) 0"))
            guard method != "HEAD" else { return }
            for size in [0, 5] {
                let full = try await client.send(
                    HTTPRequest(method: method, url: server.url, body: [UInt8](repeating: 1, count: size)))
                #expect(String(decoding: full.body, as: UTF8.self) == "\(method) \(size)")
            }
        }
    }

    /// libcurl's handles serve one request after the other.
    @Test func aRequestHasNothingOfThoseBefore() async throws {
        let server = try TestServer { request, peer in
            let names = ["authorization", "content-type", "content-length", "x-mine"]
            let seen = names.map { request.headers[$0] ?? "-" }.joined(separator: " ")
            return peer.respond(
                headers: "X-Seen: \(request.method) \(request.target) \(request.body.count) \(seen)\r\n")
        }
        defer { server.stop() }
        let secret = server.url.replacingOccurrences(of: "http://", with: "http://me:open@")
        let typed = [HTTPHeader(name: "Content-Type", value: "a/b"), HTTPHeader(name: "X-Mine", value: "1")]
        let large = [UInt8](repeating: 65, count: 3)
        let basic = "Basic \(Data("me:open".utf8).base64EncodedString())"
        let exchanges: [(HTTPRequest, String)] = [
            (
                HTTPRequest(method: "PUT", url: secret + "/1", headers: typed, body: large, maxBodyBytes: 9),
                "PUT /1 3 \(basic) a/b 3 1"
            ),
            (HTTPRequest(url: server.url + "/2?q"), "GET /2?q 0 - - - -"),
            (HTTPRequest(method: "HEAD", url: server.url + "/3"), "HEAD /3 0 - - - -"),
            (HTTPRequest(method: "POST", url: server.url + "/4", body: [1]), "POST /4 1 - - 1 -"),
            (HTTPRequest(method: "DELETE", url: server.url + "/5"), "DELETE /5 0 - - - -"),
            (HTTPRequest(method: "POST", url: server.url + "/6", headers: typed), "POST /6 0 - a/b 0 1"),
            (HTTPRequest(url: server.url), "GET / 0 - - - -"),
        ]
        try await withClient { client in
            for (request, expected) in exchanges + exchanges.reversed() {
                let answer = try await client.send(request)
                #expect(answer.header("x-seen") == expected)
            }
        }
    }

    @Test func moreDifferentAddressesThanAreKeptAreAllServed() async throws {
        let server = try TestServer { request, peer in peer.respond(body: Array(request.target.utf8)) }
        defer { server.stop() }
        try await withClient { client in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<300 {
                    group.addTask {
                        let headers = [HTTPHeader(name: "X-Number", value: "\(number)")]
                        let answer = try await client.send(
                            HTTPRequest(url: "\(server.url)/\(number)", headers: headers))
                        #expect(String(decoding: answer.body, as: UTF8.self) == "/\(number)")
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test(arguments: [8, 100, 128, 129]) func threeHundredRequestsAtOnceShareFewConnections(limit: Int) async throws {
        let server = try TestServer { request, peer in
            usleep(2000)
            return peer.respond(body: Array(request.target.utf8))
        }
        defer { server.stop() }
        try await withClient(.init(maxConnectionsPerHost: limit)) { client in
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for number in 0..<300 {
                    group.addTask {
                        let answer = try await client.send(HTTPRequest(url: server.url + "/\(number)"))
                        return answer.body == Array("/\(number)".utf8)
                    }
                }
                for try await matches in group { #expect(matches) }
            }
            #expect(await client.inFlight == 0)
        }
        #expect(server.requests == 300)
        #expect(server.accepted <= limit)
    }

    @Test func oneAfterAnotherUseOneConnection() async throws {
        let server = try TestServer.answering("x")
        defer { server.stop() }
        try await withClient { client in
            for _ in 0..<50 { _ = try await client.send(HTTPRequest(url: server.url)) }
        }
        #expect(server.accepted == 1)
    }

    /// The server closes after every third request without saying so, as servers with a limit per connection do.
    @Test func aConnectionClosedByTheServerWhileIdleIsNoError() async throws {
        let server = try TestServer { request, peer in peer.respond(body: request.body) && request.number < 3 }
        defer { server.stop() }
        try await withClient(.init(maxConnectionsPerHost: 4, resendWindow: .seconds(60))) { client in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        for number in 0..<60 {
                            let body = Array("body \(number)".utf8)
                            let answer = try await client.send(HTTPRequest(method: "POST", url: server.url, body: body))
                            #expect(answer.body == body)
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
        #expect(server.requests >= 480)
    }

    @Test(arguments: [true, false]) func whatMustNotBeDoneTwiceIsSentOnce(isSentOnce: Bool) async throws {
        // A kept connection closes when the second request on it has come.
        let server = try TestServer { request, peer in request.number == 1 && peer.respond(body: request.body) }
        defer { server.stop() }
        try await withClient(.init(resendWindow: .seconds(60))) { client in
            var request = HTTPRequest(method: "POST", url: server.url, body: Array("x".utf8))
            request.isSentOnce = isSentOnce
            _ = try await client.send(request)
            guard isSentOnce else {
                _ = try await client.send(request)
                return
            }
            let error = await #expect(throws: HTTPError.self) { try await client.send(request) }
            #expect(error?.wasSent == true && error?.isUnreachable == false)
        }
        #expect(server.requests == (isSentOnce ? 2 : 3))
    }

    @Test func redirectsAreAnswers() async throws {
        let server = try TestServer { _, peer in peer.respond(302, headers: "Location: /elsewhere\r\n") }
        defer { server.stop() }
        try await withClient { client in
            let answer = try await client.send(HTTPRequest(url: server.url))
            #expect(answer.status == 302)
            #expect(answer.header("location") == "/elsewhere")
        }
        #expect(server.requests == 1)
    }

    @Test func onlyTheFirstLineOfAHeadIsAStatusLine() async throws {
        let server = try TestServer { _, peer in
            peer.respond(headers: "A: 1\r\nHTTP/1.1 500 nope: x\r\n", body: [65])
        }
        defer { server.stop() }
        try await withClient { client in
            let answer = try await client.send(HTTPRequest(url: server.url))
            #expect(answer.status == 200 && answer.header("a") == "1" && answer.body == [65])
        }
    }

    @Test func interimAnswersAndTrailersAreNotTheAnswer() async throws {
        let server = try TestServer { _, peer in
            peer.send("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n") && peer.beginChunked(headers: "A: 1\r\n")
                && peer.chunk([65]) && peer.send("0\r\nTrailer-Field: late\r\n\r\n")
        }
        defer { server.stop() }
        try await withClient { client in
            let answer = try await client.send(HTTPRequest(url: server.url))
            #expect(answer.status == 200)
            #expect(answer.header("a") == "1")
            #expect(answer.header("link") == nil)
            #expect(answer.header("trailer-field") == nil)
            #expect(answer.body == [65])
        }
    }

    @Test func gzipIsUndoneAndItsBombIsTooLarge() async throws {
        let bomb = gzip([UInt8](repeating: 0, count: 8 << 20))
        let server = try TestServer { request, peer in
            let body = request.target == "/bomb" ? bomb : gzip(Array("hello hello".utf8))
            return peer.respond(headers: "Content-Encoding: gzip\r\n", body: body)
        }
        defer { server.stop() }
        try await withClient { client in
            let answer = try await client.send(HTTPRequest(url: server.url))
            #expect(answer.body == Array("hello hello".utf8))
            #expect(bomb.count < 100_000)
            let error = await failure { () async throws(HTTPError) in
                try await client.send(HTTPRequest(url: server.url + "/bomb", maxBodyBytes: 100_000))
            }
            #expect(error?.code == .tooLarge)
        }
    }

    /// Compressed in ways nobody asked for, and twice over.
    @Test(arguments: ["deflate", "gzip, gzip"]) func everyKindOfBombIsTooLarge(coding: String) async throws {
        let zeros = [UInt8](repeating: 0, count: 8 << 20)
        let bomb = coding == "deflate" ? deflated(zeros) : gzip(gzip(zeros))
        let server = try TestServer { _, peer in peer.respond(headers: "Content-Encoding: \(coding)\r\n", body: bomb) }
        defer { server.stop() }
        try await withClient { client in
            let error = await failure { () async throws(HTTPError) in
                try await client.send(HTTPRequest(url: server.url, maxBodyBytes: 100_000))
            }
            #expect(error?.code == .tooLarge)
            let answer = try await client.send(HTTPRequest(url: server.url))
            #expect(answer.body.count == 8 << 20)
            let stream = try await client.stream(HTTPRequest(url: server.url))
            let streamed = await failure { () async throws(HTTPError) in try await stream.collect(upTo: 100_000) }
            #expect(streamed?.code == .tooLarge)
        }
    }

    @Test(arguments: [true, false])
    func aBodyAboveTheLimitIsRefusedAtOnce(withLength: Bool) async throws {
        let server = try TestServer { _, peer in
            let block = [UInt8](repeating: 1, count: 65536)
            guard withLength ? peer.send("HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n") : peer.beginChunked()
            else { return false }
            while withLength ? peer.send(block) : peer.chunk(block) {}
            return false
        }
        defer { server.stop() }
        try await withClient { client in
            let error = await failure { () async throws(HTTPError) in
                try await client.send(HTTPRequest(url: server.url, maxBodyBytes: 1 << 20))
            }
            #expect(error?.code == .tooLarge)
            #expect(error?.message.contains("1048576") == true)
        }
        #expect(await eventually { server.open == 0 })
    }

    @Test func aHeaderWithoutEndIsRefused() async throws {
        let server = try TestServer { _, peer in
            guard peer.send("HTTP/1.1 200 OK\r\n") else { return false }
            while peer.send("X-Field: " + String(repeating: "y", count: 1000) + "\r\n") {}
            return false
        }
        defer { server.stop() }
        try await withClient { client in
            let error = await failure { () async throws(HTTPError) in
                try await client.send(HTTPRequest(url: server.url))
            }
            #expect(error?.code == .tooLarge)
        }
    }

    /// Interim answers and trailers are heads, too: without end they are refused like one.
    @Test(arguments: ["HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n"])
    func interimAnswersWithoutEndAreRefused(head: String) async throws {
        let server = try TestServer { _, peer in
            let many = String(repeating: head, count: 100)
            while peer.send(many) {}
            return false
        }
        defer { server.stop() }
        try await withClient { client in
            let error = await failure { () async throws(HTTPError) in
                try await client.send(HTTPRequest(url: server.url))
            }
            #expect(error?.code == .tooLarge, "\(error?.description ?? "")")
        }
    }

    @Test func trailersWithoutEndAreRefused() async throws {
        let server = try TestServer { _, peer in
            guard peer.beginChunked(), peer.chunk([65]), peer.send("0\r\n") else { return false }
            while peer.send("X-Field: " + String(repeating: "y", count: 1000) + "\r\n") {}
            return false
        }
        defer { server.stop() }
        try await withClient { client in
            let error = await failure { () async throws(HTTPError) in
                try await client.send(HTTPRequest(url: server.url))
            }
            #expect(error?.code == .tooLarge, "\(error?.description ?? "")")
        }
    }

    @Test func aHeadThatNeverEndsIsBoundedByTime() async throws {
        let server = try TestServer { _, peer in
            guard peer.send("HTTP/1.1 200 OK\r\nX-Slow: ") else { return false }
            while peer.send("y") { usleep(10_000) }
            return false
        }
        defer { server.stop() }
        try await withClient { client in
            let error = await failure { () async throws(HTTPError) in
                try await client.stream(HTTPRequest(url: server.url, timeouts: .init(total: .milliseconds(300))))
            }
            #expect(error?.code == .timedOut(.total))
        }
    }

    @Test func failuresAreToldApart() async throws {
        let server = try TestServer { request, peer in
            switch request.target {
            case "/middle": _ = peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            case "/nonsense": _ = peer.send("220 smtp.example.com ready\r\n")
            case "/notgzip": _ = peer.respond(headers: "Content-Encoding: gzip\r\n", body: Array("plain text".utf8))
            default: break
            }
            return false
        }
        defer { server.stop() }
        let port = try freePort()
        try await withClient { client in
            func code(_ url: String, method: String = "GET", headers: [HTTPHeader] = []) async -> HTTPError? {
                await failure { () async throws(HTTPError) in
                    try await client.send(HTTPRequest(method: method, url: url, headers: headers))
                }
            }
            let refused = await code("http://user:secret@127.0.0.1:\(port)/x")
            #expect(refused?.code == .unreachable)
            #expect(refused?.isUnreachable == true)
            #expect(refused?.curlCode == 7)
            #expect(refused.map { "\($0)".contains("secret") } == false)
            #expect(await code("http://no-such-host.invalid/")?.code == .unreachable)
            #expect(await code(server.url + "/middle")?.code == .connectionLost)
            #expect(await code(server.url + "/nothing")?.code == .connectionLost)
            #expect(await code(server.url + "/nonsense")?.code == .invalidResponse)
            #expect(await code(server.url + "/notgzip")?.code == .invalidResponse)
            #expect(await code("ftp://127.0.0.1/")?.code == .invalidURL)
            #expect(await code(server.url, method: "GET /")?.code == .invalidRequest)
            #expect(await code(server.url, headers: [HTTPHeader("a", "b\r\nc: d")])?.code == .invalidRequest)
            #expect(await code(server.url, headers: [HTTPHeader("a b", "c")])?.code == .invalidRequest)
        }
    }

    @Test func aClosedClientRefusesAndAbortsWhatIsInFlight() async throws {
        let server = try TestServer { _, peer in peer.isClosed(within: 10) && false }
        defer { server.stop() }
        let test = try TestClient()
        async let waiting = failure { () async throws(HTTPError) in
            try await test.client.send(HTTPRequest(url: server.url))
        }
        #expect(await eventually { server.requests == 1 })
        await test.close()
        #expect(await waiting?.code == .clientClosed)
        #expect(await eventually(within: .seconds(2)) { server.open == 0 })
    }

    @Test func aDroppedClientClosesItsConnections() async throws {
        let server = try TestServer.answering("x")
        defer { server.stop() }
        let loop = try IOLoop(name: "http-test")
        do {
            let client = HTTPClient(loop: loop, logger: Logger(label: "http-test"))
            _ = try await client.send(HTTPRequest(url: server.url))
            #expect(server.open == 1)
        }
        #expect(await eventually(within: .seconds(2)) { server.open == 0 })
        loop.stop()
    }
}
