import Synchronization
import TestSupport

/// An HTTP server on loopback that answers each request as it is told.
final class ScriptedServer: Sendable {
    typealias Answer = @Sendable (HTTPPeer.Request) -> (status: Int, body: String)

    private let peer: HTTPPeer
    private let received = Mutex<[HTTPPeer.Request]>([])

    var port: UInt16 { peer.port }
    var url: String { "http://127.0.0.1:\(port)" }
    var requests: [HTTPPeer.Request] { received.withLock { $0 } }

    init(_ answer: @escaping Answer) async throws {
        peer = try HTTPPeer()
        peer.serve { [weak self] request, client in
            guard let self else { return false }
            received.withLock { $0.append(request) }
            let (status, body) = answer(request)
            return HTTPPeer.respond(status, body, client)
        }
    }
}
