import Glibc
import ParleyJSON
import Synchronization
import TestSupport

/// An OpenAI-compatible model on loopback that takes its time and remembers what it was asked.
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
        /// Pieces of a streamed answer from this one on are held back.
        var held = Int.max
        var questions: [String] = []
        var abandoned = 0
        var running = 0
        var mostAtOnce = 0
    }

    private let peer: HTTPPeer
    private let state: Mutex<State>
    private let react: @Sendable (_ question: String, _ count: Int) -> Reaction

    var port: UInt16 { peer.port }
    var url: String { "http://127.0.0.1:\(port)/v1" }
    /// The last message of each request, in the order in which they came.
    var questions: [String] { state.withLock { $0.questions } }
    /// Requests that were being answered at one time.
    var mostAtOnce: Int { state.withLock { $0.mostAtOnce } }
    /// Requests that the worker gave up.
    var abandoned: Int { state.withLock { $0.abandoned } }

    /// - Parameters:
    ///   - delay: between a request and its answer; of a streamed answer, between its pieces.
    ///   - port: 0: one that is free.
    ///   - react: what becomes of a question that is asked for the count-th time, from 1.
    init(
        delay: Duration = .zero, port wanted: UInt16 = 0,
        react: @escaping @Sendable (_ question: String, _ count: Int) -> Reaction = { _, _ in .answers }
    ) async throws {
        self.react = react
        state = Mutex(State(delay: delay))
        peer = try HTTPPeer(port: wanted)
        peer.serve { [weak self] request, client in self?.answer(request, client) ?? false }
    }

    /// Counts for calls under way, too.
    func answer(after delay: Duration) { state.withLock { $0.delay = delay } }

    /// Streamed answers stop after so many pieces, until more are let go.
    func say(pieces count: Int) { state.withLock { $0.held = count } }

    /// Answers one request; false when the connection is over.
    private func answer(_ asked: HTTPPeer.Request, _ client: Int32) -> Bool {
        guard asked.isPost else { return Self.respond(200, #"{"data":[]}"#, client) }
        guard let request = try? JSONDocument(asked.body).root else { return false }
        let question = request["messages"]?.elements.last?["content"]?.string ?? ""
        let count = state.withLock { state in
            state.questions.append(question)
            state.running += 1
            state.mostAtOnce = max(state.mostAtOnce, state.running)
            return state.questions.count { $0 == question }
        }
        defer { state.withLock { $0.running -= 1 } }
        let reaction = react(question, count)
        switch reaction {
        case .answers, .breaksOff: break
        case .garbage: return wait(client) && Self.respond(200, "<html>", client)
        case .fails(let status, let retryAfter):
            let header = retryAfter.map { "retry-after: \($0)\r\n" } ?? ""
            return wait(client) && Self.respond(status, #"{"error":{"message":"no"}}"#, header: header, client)
        }
        guard request["stream"]?.bool == true else {
            return wait(client) && Self.respond(200, Self.completion(question), client)
        }
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        guard HTTPPeer.send(head, client) else { return false }
        for (number, piece) in ["one ", "two ", "three"].enumerated() {
            let event = Self.event(#"{"choices":[{"index":0,"delta":{"content":"\#(piece)"}}]}"#)
            guard wait(client, forPiece: number), HTTPPeer.send(event, client) else { return false }
            if case .breaksOff = reaction { return false }
        }
        let usage = #"{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}"#
        return HTTPPeer.send(Self.event(usage) + Self.event("[DONE]") + "0\r\n\r\n", client)
    }

    /// Waits as long as ``answer(after:)`` says by then; false when the client went away meanwhile.
    private func wait(_ client: Int32, forPiece number: Int = 0) -> Bool {
        let started = ContinuousClock.now
        while state.withLock({ ContinuousClock.now - started < $0.delay || number >= $0.held }) {
            var poll = pollfd(fd: client, events: Int16(POLLIN), revents: 0)
            guard Glibc.poll(&poll, 1, 5) == 0 else {
                state.withLock { $0.abandoned += 1 }
                return false
            }
        }
        return true
    }

    private static func completion(_ question: String) -> String {
        #"{"model":"test-model","choices":[{"index":0,"message":{"role":"assistant","content":"\#(question.utf8.count) bytes"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}"#
    }

    private static func respond(_ status: Int, _ body: String, header: String = "", _ client: Int32) -> Bool {
        HTTPPeer.respond(status, body, header: "content-type: application/json\r\n" + header, client)
    }

    private static func event(_ data: String) -> String {
        let text = "data: \(data)\n\n"
        return "\(String(text.utf8.count, radix: 16))\r\n\(text)\r\n"
    }
}
