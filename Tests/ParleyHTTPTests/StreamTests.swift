import Foundation
import ParleyHTTP
import Testing

@Suite("HTTP streams") struct StreamTests {
    @Test func theHeaderComesBeforeTheBodyEnds() async throws {
        let release = Flag()
        let server = try TestServer { _, peer in
            guard peer.beginChunked(headers: "Content-Type: text/event-stream\r\n"),
                peer.chunk(Array("data: one\n\n".utf8))
            else { return false }
            while release.count == 0 { usleep(1000) }
            return peer.chunk(Array(": ping\n\ndata: [DONE]\n\n".utf8)) && peer.endChunked()
        }
        defer { server.stop() }
        try await withClient { client in
            let answer = try await client.stream(HTTPRequest(url: server.url))
            #expect(answer.status == 200)
            #expect(answer.header("content-type") == "text/event-stream")
            var parser = ServerSentEventParser()
            var events: [String] = []
            for try await chunk in answer.body {
                events += parser.feed(chunk).map(\.data)
                if events == ["one"] { release.raise() }
            }
            #expect(events == ["one", "[DONE]"])
            #expect(await client.inFlight == 0)
        }
    }

    @Test func aSlowReaderHoldsTheServerBack() async throws {
        let sent = Flag()
        let server = try TestServer { _, peer in
            var size: Int32 = 64 << 10
            setsockopt(peer.fd, SOL_SOCKET, SO_SNDBUF, &size, 4)
            let block = [UInt8](repeating: 7, count: 32 << 10)
            guard peer.beginChunked() else { return false }
            for _ in 0..<1024 {
                guard peer.chunk(block) else { return false }
                sent.raise(by: block.count)
            }
            return peer.endChunked()
        }
        defer { server.stop() }
        try await withClient { client in
            let answer = try await client.stream(HTTPRequest(url: server.url))
            var chunks = answer.body.makeAsyncIterator()
            var read = 0
            var largest = 0
            // The server stops once our buffer and the kernel's are full.
            var last = -1
            #expect(
                await eventually {
                    defer { last = sent.count }
                    try? await Task.sleep(for: .milliseconds(200))
                    return last == sent.count
                })
            #expect(sent.count < 16 << 20)
            while let chunk = try await chunks.next() {
                read += chunk.count
                largest = max(largest, chunk.count)
            }
            #expect(read == 32 << 20)
            #expect(largest <= 512 << 10)
        }
    }

    @Test func droppingTheIteratorAbortsTheTransfer() async throws {
        let server = try TestServer { _, peer in
            guard peer.beginChunked() else { return false }
            while peer.chunk([1, 2, 3]) { usleep(5000) }
            return false
        }
        defer { server.stop() }
        try await withClient { client in
            let answer = try await client.stream(HTTPRequest(url: server.url))
            for try await _ in answer.body { break }
            #expect(await eventually(within: .seconds(2)) { server.open == 0 })
            #expect(await client.inFlight == 0)
            var again = answer.body.makeAsyncIterator()
            let more = try await again.next()
            #expect(more == nil)
        }
    }

    @Test func aBodyNobodyReadsIsAborted() async throws {
        let server = try TestServer { _, peer in
            guard peer.beginChunked() else { return false }
            while peer.chunk([1, 2, 3]) { usleep(5000) }
            return false
        }
        defer { server.stop() }
        try await withClient { client in
            let status = try await client.stream(HTTPRequest(url: server.url)).status
            #expect(status == 200)
            #expect(await eventually(within: .seconds(2)) { server.open == 0 })
        }
    }

    @Test func cancellingTheReaderAbortsTheTransfer() async throws {
        let server = try TestServer { _, peer in
            peer.beginChunked() && peer.chunk([1]) && peer.isClosed(within: 10) && false
        }
        defer { server.stop() }
        try await withClient { client in
            let read = Flag()
            let task = Task {
                await failure { () async throws(HTTPError) in
                    let answer = try await client.stream(HTTPRequest(url: server.url))
                    var chunks = answer.body.makeAsyncIterator()
                    while try await chunks.next() != nil { read.raise() }
                }
            }
            #expect(await eventually { read.count == 1 })
            task.cancel()
            #expect(await task.value?.code == .cancelled)
            #expect(await eventually(within: .seconds(1)) { server.open == 0 })
        }
    }

    @Test func aStreamThatBreaksThrowsAfterWhatCame() async throws {
        let server = try TestServer { _, peer in peer.beginChunked() && peer.chunk([1, 2]) && false }
        defer { server.stop() }
        try await withClient { client in
            let answer = try await client.stream(HTTPRequest(url: server.url))
            let error = await failure { () async throws(HTTPError) in try await answer.collect(upTo: 100) }
            #expect(error?.code == .connectionLost)
        }
    }

    /// libcurl calls that an answer without a fault.
    @Test(arguments: [
        "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Ty", "HTTP/1.1 429 X\r\nRetry-After: 1\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nA: b",
    ])
    func anAnswerThatEndsInsideItsHeadIsNone(_ head: String) async throws {
        let server = try TestServer { _, peer in peer.send(head) && false }
        defer { server.stop() }
        try await withClient { client in
            let request = HTTPRequest(method: "POST", url: server.url, body: [1])
            let whole = await failure { () async throws(HTTPError) in try await client.send(request) }
            #expect(whole?.code == .connectionLost)
            let stream = await failure { () async throws(HTTPError) in try await client.stream(request) }
            #expect(stream?.code == .connectionLost)
            #expect(await client.inFlight == 0)
        }
    }

    @Test func collectingHasALimit() async throws {
        let server = try TestServer { _, peer in peer.respond(body: [UInt8](repeating: 1, count: 300_000)) }
        defer { server.stop() }
        try await withClient { client in
            let whole = try await client.stream(HTTPRequest(url: server.url)).collect(upTo: 300_000)
            #expect(whole.count == 300_000)
            let answer = try await client.stream(HTTPRequest(url: server.url))
            let error = await failure { () async throws(HTTPError) in try await answer.collect(upTo: 1000) }
            #expect(error?.code == .tooLarge)
        }
    }

    @Test func theFirstByteTimeoutHoldsForStreams() async throws {
        let server = try TestServer { _, peer in peer.isClosed(within: 10) && false }
        defer { server.stop() }
        try await withClient { client in
            let error = await failure { () async throws(HTTPError) in
                try await client.stream(
                    HTTPRequest(url: server.url, timeouts: .init(firstByte: .milliseconds(100), total: nil)))
            }
            #expect(error?.code == .timedOut(.firstByte))
        }
    }
}
