import Glibc
import IOLoop
import ParleyJSON
import Synchronization

/// A model's server with wishes of its own, on loopback: it refuses what the test says and remembers what it was asked.
final class ChoosyModel: Sendable {
    typealias Answer = (status: Int, body: String)

    let port: UInt16
    private let listener: Int32
    private let asked = Mutex<[JSONElement]>([])
    private let refuse: @Sendable (JSONElement) -> Answer?

    var url: String { "http://127.0.0.1:\(port)/v1" }
    /// The requests for an answer, in the order in which they came.
    var requests: [JSONElement] { asked.withLock { $0 } }

    /// - Parameter refuse: nil when a request is answered well: with `<think>hm</think>Tuesday.`, streamed when wanted.
    init(_ refuse: @escaping @Sendable (_ request: JSONElement) -> Answer?) async throws {
        self.refuse = refuse
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        port = try bindToLoopback(listener, 0)
        guard listen(listener, 64) == 0 else { throw Failure("nobody can connect to the model") }
        let listener = listener
        let serve: @Sendable (Int32) -> Void = { [weak self] client in
            while self?.answerOne(client) ?? false {}
            close(client)
        }
        Task {
            try? await offload("choosy") {
                while case let client = accept(listener, nil, nil), client >= 0 {
                    Task { try? await offload("choosy") { serve(client) } }
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
        guard let (head, body) = Self.read(client) else { return false }
        guard head.hasPrefix("post ") else { return Self.send(200, #"{"data":[]}"#, client) }
        guard let request = try? JSONDocument(body).root else { return false }
        asked.withLock { $0.append(request) }
        if let (status, body) = refuse(request) { return Self.send(status, body, client) }
        guard request["stream"]?.bool == true else {
            let body = #"{"choices":[{"message":{"content":"<think>hm</think>Tuesday."},"finish_reason":"stop"}]}"#
            return Self.send(200, body, client)
        }
        let events = ["<thi", "nk>hm</think>Tues", "day."]
            .map { "data: {\"choices\":[{\"delta\":{\"content\":\"\($0)\"}}]}\n\n" }.joined()
        return Self.send(200, events + "data: [DONE]\n\n", client)
    }

    private static func send(_ status: Int, _ body: String, _ client: Int32) -> Bool {
        let bytes = Array("HTTP/1.1 \(status) X\r\ncontent-length: \(body.utf8.count)\r\n\r\n\(body)".utf8)
        return Glibc.send(client, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count
    }

    private static func read(_ client: Int32) -> (head: String, body: [UInt8])? {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            if let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) {
                let head = String(decoding: bytes[..<end.lowerBound], as: UTF8.self).lowercased()
                let field = head.split(separator: "\r\n").first { $0.hasPrefix("content-length:") }
                let length = field.flatMap { Int($0.dropFirst(15).drop { $0 == " " }) } ?? 0
                if bytes.count >= end.upperBound + length {
                    return (head, Array(bytes[end.upperBound..<end.upperBound + length]))
                }
            }
            let count = recv(client, &buffer, buffer.count, 0)
            guard count > 0 else { return nil }
            bytes += buffer[..<count]
        }
    }
}
