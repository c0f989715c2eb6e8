import ParleyJSON
import Synchronization
import TestSupport

/// A model's server with wishes of its own, on loopback: it refuses what the test says and remembers what it was asked.
final class ChoosyModel: Sendable {
    typealias Answer = (status: Int, body: String)

    private let peer: HTTPPeer
    private let asked = Mutex<[JSONElement]>([])
    private let refuse: @Sendable (JSONElement) -> Answer?

    var url: String { "http://127.0.0.1:\(peer.port)/v1" }
    /// The requests for an answer, in the order in which they came.
    var requests: [JSONElement] { asked.withLock { $0 } }

    /// - Parameter refuse: nil when a request is answered well: with `<think>hm</think>Tuesday.`, streamed when wanted.
    init(_ refuse: @escaping @Sendable (_ request: JSONElement) -> Answer?) async throws {
        self.refuse = refuse
        peer = try HTTPPeer()
        peer.serve { [weak self] request, client in self?.answer(request, client) ?? false }
    }

    /// Answers one request; false when the connection is over.
    private func answer(_ received: HTTPPeer.Request, _ client: Int32) -> Bool {
        guard received.isPost else { return HTTPPeer.respond(200, #"{"data":[]}"#, client) }
        guard let request = try? JSONDocument(received.body).root else { return false }
        asked.withLock { $0.append(request) }
        if let (status, body) = refuse(request) { return HTTPPeer.respond(status, body, client) }
        guard request["stream"]?.bool == true else {
            let body = #"{"choices":[{"message":{"content":"<think>hm</think>Tuesday."},"finish_reason":"stop"}]}"#
            return HTTPPeer.respond(200, body, client)
        }
        let events = ["<thi", "nk>hm</think>Tues", "day."]
            .map { "data: {\"choices\":[{\"delta\":{\"content\":\"\($0)\"}}]}\n\n" }.joined()
        return HTTPPeer.respond(200, events + "data: [DONE]\n\n", client)
    }
}
