import Glibc
import IOLoop
import Synchronization

/// An HTTP server on loopback that answers each request as it is told, a thread a connection.
final class ScriptedServer: Sendable {
    struct Request: Sendable {
        /// `POST /v1/embeddings`
        var line: String
        var body: [UInt8]
    }

    typealias Answer = @Sendable (Request) -> (status: Int, body: String)

    let port: UInt16
    private let listener: Int32
    private let answer: Answer
    private let received = Mutex<[Request]>([])

    var url: String { "http://127.0.0.1:\(port)" }
    var requests: [Request] { received.withLock { $0 } }

    init(_ answer: @escaping Answer) async throws {
        self.answer = answer
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        port = try bindToLoopback(listener, 0)
        guard listen(listener, 256) == 0 else { throw Failure("nobody can connect to the server") }
        let listener = listener
        let serve: @Sendable (Int32) -> Bool = { [weak self] client in self?.answerOne(client) ?? false }
        detachThread {
            while case let client = accept(listener, nil, nil), client >= 0 {
                _ = fcntl(client, F_SETFD, FD_CLOEXEC)
                detachThread {
                    while serve(client) {}
                    close(client)
                }
            }
        }
    }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
    }

    /// Answers one request; false when the connection is over.
    private func answerOne(_ client: Int32) -> Bool {
        guard let request = Self.read(client) else { return false }
        received.withLock { $0.append(request) }
        let (status, body) = answer(request)
        let text = "HTTP/1.1 \(status) X\r\ncontent-length: \(body.utf8.count)\r\n\r\n\(body)"
        let bytes = Array(text.utf8)
        return send(client, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count
    }

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
                    return Request(line: line, body: Array(bytes[end.upperBound..<end.upperBound + length]))
                }
            }
            let count = recv(client, &buffer, buffer.count, 0)
            guard count > 0 else { return nil }
            bytes += buffer[..<count]
        }
    }
}

private func detach(_ body: @escaping @Sendable () -> Void) {
    Task { try? await offload("scripted") { body() } }
}
