import CZlib
import Foundation
import Glibc
import Synchronization

/// A server of plain blocking sockets on a free loopback port, a thread per connection, a closure per request.
final class TestServer: Sendable {
    struct Request: Sendable {
        var method = ""
        var target = ""
        var headers: [String: String] = [:]
        var body: [UInt8] = []
        /// Counts the connections from 1, and the requests of this connection from 1.
        var connection = 0
        var number = 0
    }

    let port: Int
    private let listener: Int32
    private let state = Mutex(State())

    private struct State {
        var accepted = 0
        var open = 0
        var mostOpen = 0
        var requests = 0
        var isListening = true
    }

    /// `handler` answers one request; returning false closes the connection.
    init(_ handler: @escaping @Sendable (Request, Peer) -> Bool) throws {
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let fd = listener
        let status = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(fd, $0, length) | listen(fd, 1024) | getsockname(fd, $0, &length)
            }
        }
        guard status == 0 else { throw POSIXError(.EADDRINUSE) }
        port = Int(UInt16(bigEndian: address.sin_port))
        Thread.detachNewThread { [self] in acceptAll(handler) }
    }

    /// Answers every request with `body`.
    static func answering(_ body: String) throws -> TestServer {
        try TestServer { _, peer in peer.respond(body: Array(body.utf8)) }
    }

    var url: String { "http://127.0.0.1:\(port)" }
    var accepted: Int { state.withLock { $0.accepted } }
    var open: Int { state.withLock { $0.open } }
    var mostOpen: Int { state.withLock { $0.mostOpen } }
    var requests: Int { state.withLock { $0.requests } }

    var isListening: Bool { state.withLock { $0.isListening } }

    func stop() { shutdown(listener, Int32(SHUT_RDWR)) }

    private func acceptAll(_ handler: @escaping @Sendable (Request, Peer) -> Bool) {
        while true {
            let fd = accept(listener, nil, nil)
            guard fd >= 0 else { break }
            let number = state.withLock { state in
                state.accepted += 1
                state.open += 1
                state.mostOpen = max(state.mostOpen, state.open)
                return state.accepted
            }
            Thread.detachNewThread { [self] in
                let peer = Peer(fd)
                var count = 0
                while var request = peer.readRequest() {
                    count += 1
                    request.connection = number
                    request.number = count
                    state.withLock { $0.requests += 1 }
                    if !handler(request, peer) { break }
                }
                state.withLock { $0.open -= 1 }
                close(fd)
            }
        }
        close(listener)
        state.withLock { $0.isListening = false }
    }

    /// The server's end of a connection. Used by its thread only.
    final class Peer {
        let fd: Int32
        private var buffer: [UInt8] = []

        init(_ fd: Int32) {
            self.fd = fd
            var one: Int32 = 1
            setsockopt(fd, Int32(IPPROTO_TCP), TCP_NODELAY, &one, 4)
        }

        @discardableResult
        func send(_ bytes: [UInt8]) -> Bool {
            var sent = 0
            while sent < bytes.count {
                let count = bytes.withUnsafeBytes {
                    Glibc.send(fd, $0.baseAddress?.advanced(by: sent), bytes.count - sent, Int32(MSG_NOSIGNAL))
                }
                if count <= 0 { return false }
                sent += count
            }
            return true
        }

        @discardableResult
        func send(_ text: String) -> Bool { send(Array(text.utf8)) }

        /// A whole answer with its length.
        @discardableResult
        func respond(_ status: Int = 200, headers: String = "", body: [UInt8] = []) -> Bool {
            send(Array("HTTP/1.1 \(status) Status\r\nContent-Length: \(body.count)\r\n\(headers)\r\n".utf8) + body)
        }

        func beginChunked(headers: String = "") -> Bool {
            send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\(headers)\r\n")
        }

        func chunk(_ bytes: [UInt8]) -> Bool {
            send(Array((String(bytes.count, radix: 16) + "\r\n").utf8) + bytes + [13, 10])
        }

        func endChunked() -> Bool { send("0\r\n\r\n") }

        /// Waits until the client closes; false when it has not within `seconds`.
        func isClosed(within seconds: Int) -> Bool {
            var poll = pollfd(fd: fd, events: Int16(POLLIN), revents: 0)
            guard Glibc.poll(&poll, 1, Int32(seconds * 1000)) > 0 else { return false }
            var byte: UInt8 = 0
            return recv(fd, &byte, 1, 0) <= 0
        }

        func readRequest() -> Request? {
            var end: Int?
            while true {
                end = buffer.firstRange(of: Array("\r\n\r\n".utf8))?.upperBound
                if end != nil { break }
                guard fill() else { return nil }
                if buffer.first == 0x16 {
                    send("HTTP/1.1 400 This is not TLS\r\n\r\n")
                    return nil
                }
            }
            guard let end else { return nil }
            var lines = String(decoding: buffer[..<end], as: UTF8.self).split(separator: "\r\n")
            let first = lines.removeFirst().split(separator: " ")
            var request = Request(method: String(first[0]), target: String(first[1]))
            for line in lines {
                let parts = line.split(separator: ":", maxSplits: 1)
                request.headers[parts[0].lowercased()] =
                    parts.count > 1 ? parts[1].trimmingCharacters(in: .whitespaces) : ""
            }
            let length = Int(request.headers["content-length"] ?? "0") ?? 0
            while buffer.count < end + length { guard fill() else { return nil } }
            request.body = Array(buffer[end..<(end + length)])
            buffer.removeFirst(end + length)
            return request
        }

        private func fill() -> Bool {
            var part = [UInt8](repeating: 0, count: 65536)
            let count = recv(fd, &part, part.count, 0)
            if count > 0 { buffer += part[..<count] }
            return count > 0
        }
    }
}

/// `bytes` as a gzip file.
func gzip(_ bytes: [UInt8]) -> [UInt8] { compress(bytes, windowBits: 15 + 16) }

/// `bytes` in the form that HTTP calls `deflate`.
func deflated(_ bytes: [UInt8]) -> [UInt8] { compress(bytes, windowBits: 15) }

private func compress(_ bytes: [UInt8], windowBits: Int32) -> [UInt8] {
    var stream = z_stream()
    deflateInit2_(
        &stream, 6, Z_DEFLATED, windowBits, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    defer { deflateEnd(&stream) }
    var input = bytes
    var output = [UInt8](repeating: 0, count: Int(deflateBound(&stream, UInt(bytes.count))) + 64)
    input.withUnsafeMutableBufferPointer { input in
        output.withUnsafeMutableBufferPointer { output in
            stream.next_in = input.baseAddress
            stream.avail_in = UInt32(input.count)
            stream.next_out = output.baseAddress
            stream.avail_out = UInt32(output.count)
            _ = deflate(&stream, Z_FINISH)
        }
    }
    return Array(output.prefix(Int(stream.total_out)))
}
