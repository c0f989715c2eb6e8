import Glibc
import IOLoop
import ParleyJSON
import Synchronization

/// An OpenAI-compatible model on loopback, a thread a connection, that takes its time and remembers what it was asked.
final class ModelServer: Sendable {
    /// What becomes of a request.
    enum Reaction: Sendable {
        case answers
        /// An error status, with a `Retry-After` in seconds.
        case fails(Int, retryAfter: Int? = nil)
        /// 200 with something that is no answer.
        case garbage
        /// A streamed answer that breaks off after its first piece.
        case breaksOff
    }

    private struct State {
        var delay: Duration
        var questions: [String] = []
        var abandoned = 0
    }

    let port: UInt16
    private let listener: Int32
    private let state: Mutex<State>
    private let react: @Sendable (_ question: String, _ count: Int) -> Reaction

    var url: String { "http://127.0.0.1:\(port)/v1" }
    /// The last message of each request, in the order in which they came.
    var questions: [String] { state.withLock { $0.questions } }
    /// Requests that the worker gave up.
    var abandoned: Int { state.withLock { $0.abandoned } }

    /// - Parameters:
    ///   - delay: between a request and its answer; of a streamed answer, between its pieces.
    ///   - port: nil: one that is free.
    ///   - react: what becomes of a question that is asked for the count-th time, from 1.
    init(
        delay: Duration = .zero, port wanted: UInt16? = nil,
        react: @escaping @Sendable (_ question: String, _ count: Int) -> Reaction = { _, _ in .answers }
    ) async throws {
        self.react = react
        state = Mutex(State(delay: delay))
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        port = try bindToLoopback(listener, wanted ?? 0)
        guard listen(listener, 256) == 0 else { throw Failure("nobody can connect to the model") }
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

    /// Counts for calls under way, too.
    func answer(after delay: Duration) { state.withLock { $0.delay = delay } }

    /// Answers one request; false when the connection is over.
    private func answerOne(_ client: Int32) -> Bool {
        guard let (isQuestion, body) = Self.read(client) else { return false }
        guard isQuestion else { return Self.send(Self.response(200, #"{"data":[]}"#), client) }
        guard let request = try? JSONDocument(body).root else { return false }
        let question = request["messages"]?.elements.last?["content"]?.string ?? ""
        let count = state.withLock { state in
            state.questions.append(question)
            return state.questions.count { $0 == question }
        }
        let reaction = react(question, count)
        switch reaction {
        case .answers, .breaksOff: break
        case .garbage: return wait(client) && Self.send(Self.response(200, "<html>"), client)
        case .fails(let status, let retryAfter):
            let header = retryAfter.map { "retry-after: \($0)\r\n" } ?? ""
            return wait(client) && Self.send(Self.response(status, #"{"error":{"message":"no"}}"#, header), client)
        }
        guard request["stream"]?.bool == true else {
            return wait(client) && Self.send(Self.completion(question), client)
        }
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        guard Self.send(head, client) else { return false }
        for piece in ["one ", "two ", "three"] {
            let event = Self.event(#"{"choices":[{"index":0,"delta":{"content":"\#(piece)"}}]}"#)
            guard wait(client), Self.send(event, client) else { return false }
            if case .breaksOff = reaction { return false }
        }
        let usage = #"{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}"#
        return Self.send(Self.event(usage) + Self.event("[DONE]") + "0\r\n\r\n", client)
    }

    /// Waits as long as ``answer(after:)`` says by then; false when the client went away meanwhile.
    private func wait(_ client: Int32) -> Bool {
        let started = ContinuousClock.now
        while ContinuousClock.now - started < state.withLock({ $0.delay }) {
            var poll = pollfd(fd: client, events: Int16(POLLIN), revents: 0)
            guard Glibc.poll(&poll, 1, 5) == 0 else {
                state.withLock { $0.abandoned += 1 }
                return false
            }
        }
        return true
    }

    private static func completion(_ question: String) -> String {
        let body =
            #"{"model":"test-model","choices":[{"index":0,"message":{"role":"assistant","content":"\#(question.utf8.count) bytes"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}"#
        return response(200, body)
    }

    private static func response(_ status: Int, _ body: String, _ header: String = "") -> String {
        "HTTP/1.1 \(status) X\r\ncontent-type: application/json\r\n\(header)content-length: \(body.utf8.count)\r\n\r\n\(body)"
    }

    private static func event(_ data: String) -> String {
        let text = "data: \(data)\n\n"
        return "\(String(text.utf8.count, radix: 16))\r\n\(text)\r\n"
    }

    private static func send(_ text: String, _ client: Int32) -> Bool {
        let bytes = Array(text.utf8)
        return Glibc.send(client, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count
    }

    /// Whether it is a POST, and its body.
    private static func read(_ client: Int32) -> (Bool, [UInt8])? {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            if let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) {
                let head = String(decoding: bytes[..<end.lowerBound], as: UTF8.self).lowercased()
                let field = head.split(separator: "\r\n").first { $0.hasPrefix("content-length:") }
                let length = field.flatMap { Int($0.dropFirst(15).drop { $0 == " " }) } ?? 0
                if bytes.count >= end.upperBound + length {
                    return (head.hasPrefix("post "), Array(bytes[end.upperBound..<end.upperBound + length]))
                }
            }
            let count = recv(client, &buffer, buffer.count, 0)
            guard count > 0 else { return nil }
            bytes += buffer[..<count]
        }
    }
}

func detachThread(_ body: @escaping @Sendable () -> Void) {
    Task { try? await offload("model") { body() } }
}
