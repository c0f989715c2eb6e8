import Foundation
import Glibc
import ParleyJSON
import Synchronization

/// A model's server on loopback that says what the test tells it to, byte by byte. A thread a connection.
final class FakeServer: Sendable {
    enum Step: Sendable {
        case send(String)
        /// Waits until the client has gone.
        case hold
        case close
        /// Closes with a reset, as a server that dies does.
        case reset
        /// Lets the client go on before the next step.
        case pause
    }

    struct Request: Sendable {
        var head: String
        var body: [UInt8]
        var json: JSONElement? { (try? JSONDocument(body))?.root }
        var path: String { head.split(separator: " ").dropFirst().first.map(String.init) ?? "" }
    }

    let port: UInt16
    private let listener: Int32
    private let accepting = DispatchGroup()
    private let state = Mutex((requests: [Request](), abandoned: 0, connections: 0))
    private let script: @Sendable (Request) -> [Step]

    var url: String { "http://127.0.0.1:\(port)/v1" }
    var requests: [Request] { state.withLock { $0.requests } }
    /// Connections that the client closed while the server held an answer back.
    var abandoned: Int { state.withLock { $0.abandoned } }

    var connections: Int { state.withLock { $0.connections } }

    init(_ script: @escaping @Sendable (Request) -> [Step]) throws {
        self.script = script
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = listener
        let bound = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 && listen(descriptor, 64) == 0
                    && getsockname(descriptor, $0, &length) == 0
            }
        }
        guard bound else { throw POSIXError(.EADDRINUSE) }
        port = UInt16(bigEndian: address.sin_port)
        accepting.enter()
        Thread.detachNewThread { [self] in
            while case let client = accept(listener, nil, nil), client >= 0 {
                state.withLock { $0.connections += 1 }
                var on: Int32 = 1
                setsockopt(client, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
                Thread.detachNewThread { [self] in
                    while serve(client) {}
                    Glibc.close(client)
                }
            }
            accepting.leave()
        }
    }

    func stop() {
        shutdown(listener, Int32(SHUT_RDWR))
        // Else it could accept once more, for another server that has got the descriptor's number.
        accepting.wait()
        Glibc.close(listener)
    }

    /// Answers one request; false when the connection is over.
    private func serve(_ client: Int32) -> Bool {
        guard let request = read(client) else { return false }
        state.withLock { $0.requests.append(request) }
        for step in script(request) {
            switch step {
            case .send(let text):
                let bytes = Array(text.utf8)
                guard Glibc.send(client, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else { return false }
            case .hold:
                var byte: UInt8 = 0
                while recv(client, &byte, 1, 0) > 0 {}
                state.withLock { $0.abandoned += 1 }
                return false
            case .close: return false
            case .reset:
                var linger = linger(l_onoff: 1, l_linger: 0)
                setsockopt(client, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<Glibc.linger>.size))
                return false
            case .pause: usleep(20_000)
            }
        }
        return true
    }

    private func read(_ client: Int32) -> Request? {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            if let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) {
                let head = String(decoding: bytes[..<end.lowerBound], as: UTF8.self)
                let length =
                    head.lowercased().split(separator: "\r\n").first { $0.hasPrefix("content-length:") }
                    .flatMap { Int($0.dropFirst(15).trimmingCharacters(in: .whitespaces)) } ?? 0
                if bytes.count >= end.upperBound + length {
                    return Request(head: head, body: Array(bytes[end.upperBound..<(end.upperBound + length)]))
                }
            }
            let count = recv(client, &buffer, buffer.count, 0)
            guard count > 0 else { return nil }
            bytes += buffer[..<count]
        }
    }
}

/// A port whose backlog is full: the kernel drops further handshakes.
struct BlackHole {
    private let descriptors: [Int32]
    private let port: UInt16
    var url: String { "http://127.0.0.1:\(port)/v1" }

    init() throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let fillers = (0..<4).map { _ in
            socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        }
        descriptors = [listener] + fillers
        let bound = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
                guard bind(listener, raw, length) == 0, listen(listener, 0) == 0,
                    getsockname(listener, raw, &length) == 0
                else { return false }
                for filler in fillers { _ = connect(filler, raw, length) }
                return true
            }
        }
        guard bound else { throw POSIXError(.EADDRINUSE) }
        port = UInt16(bigEndian: address.sin_port)
    }

    func close() { for descriptor in descriptors { Glibc.close(descriptor) } }
}

extension FakeServer.Step {
    /// A whole answer with its length.
    static func answer(_ status: Int, _ body: String, headers: String = "") -> FakeServer.Step {
        .send(
            "HTTP/1.1 \(status) X\r\ncontent-type: application/json\r\n\(headers)content-length: \(body.utf8.count)\r\n\r\n\(body)"
        )
    }

    static let streamHead = FakeServer.Step.send(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")

    static func chunk(_ text: String) -> FakeServer.Step {
        .send("\(String(text.utf8.count, radix: 16))\r\n\(text)\r\n")
    }

    static let streamEnd = FakeServer.Step.send("0\r\n\r\n")
}
