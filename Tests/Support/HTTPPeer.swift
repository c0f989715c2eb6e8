import Foundation
import Glibc

/// A server on loopback that speaks as much HTTP/1.1 as tests need, a thread a connection.
package final class HTTPPeer: Sendable {
    package struct Request: Sendable {
        /// `POST /v1/embeddings`
        package let line: String
        package let body: [UInt8]
        /// The lines before the body.
        package let head: String

        package var isPost: Bool { line.hasPrefix("POST ") }
    }

    package let port: UInt16
    private let listener: Int32
    private let accepting = DispatchGroup()

    /// - Parameter wanted: 0: one that is free.
    package init(port wanted: UInt16 = 0) throws {
        listener = newSocket()
        port = try bindToLoopback(listener, wanted)
        guard listen(listener, 256) == 0 else { throw Failure("nobody can connect to the server") }
    }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
        // Else it could accept once more, for another peer that has got the descriptor's number.
        accepting.wait()
        close(listener)
    }

    /// - Parameter answer: answers one request on this connection; false when the connection is over.
    package func serve(_ answer: @escaping @Sendable (_ request: Request, _ client: Int32) -> Bool) {
        let (listener, accepting) = (listener, accepting)
        accepting.enter()
        Thread.detachNewThread {
            while case let client = accept(listener, nil, nil), client >= 0 {
                _ = fcntl(client, F_SETFD, FD_CLOEXEC)
                Thread.detachNewThread {
                    while let request = Self.read(client), answer(request, client) {}
                    close(client)
                }
            }
            accepting.leave()
        }
    }

    package static func send(_ text: String, _ client: Int32) -> Bool {
        let bytes = Array(text.utf8)
        return Glibc.send(client, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count
    }

    /// - Parameter header: whole lines, each with its end.
    package static func respond(_ status: Int, _ body: String, header: String = "", _ client: Int32) -> Bool {
        send("HTTP/1.1 \(status) X\r\n\(header)content-length: \(body.utf8.count)\r\n\r\n\(body)", client)
    }

    /// Nil when the connection is over.
    private static func read(_ client: Int32) -> Request? {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            if let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) {
                let lines = String(decoding: bytes[..<end.lowerBound], as: UTF8.self).split(separator: "\r\n")
                let field = lines.first { $0.lowercased().hasPrefix("content-length:") }
                let length = field.flatMap { Int($0.dropFirst(15).drop { $0 == " " }) } ?? 0
                if bytes.count >= end.upperBound + length {
                    let line = lines.first.map { $0.split(separator: " ").prefix(2).joined(separator: " ") } ?? ""
                    return Request(
                        line: line, body: Array(bytes[end.upperBound..<end.upperBound + length]),
                        head: lines.joined(separator: "\n"))
                }
            }
            let count = recv(client, &buffer, buffer.count, 0)
            guard count > 0 else { return nil }
            bytes += buffer[..<count]
        }
    }
}
