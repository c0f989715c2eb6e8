import Foundation
import Glibc

/// Passes connections on to a server on loopback, those from one on late.
package final class SlowDoor: Sendable {
    package let port: UInt16
    private let listener: Int32
    private let accepting = DispatchGroup()

    /// - Parameters:
    ///   - first: the first connection that has to wait, counted from 0.
    ///   - delay: in seconds, before anything of it reaches the server.
    package init(to server: UInt16, slowFrom first: Int, by delay: Double) throws {
        listener = newSocket()
        port = try bindToLoopback(listener)
        guard listen(listener, 64) == 0 else { throw Failure("nobody can connect to the door") }
        let (listener, accepting) = (listener, accepting)
        accepting.enter()
        Thread.detachNewThread {
            var count = 0
            while case let client = accept(listener, nil, nil), client >= 0 {
                _ = fcntl(client, F_SETFD, FD_CLOEXEC)
                let isSlow = count >= first
                count += 1
                Thread.detachNewThread {
                    if isSlow { Thread.sleep(forTimeInterval: delay) }
                    Self.join(client, server)
                }
            }
            accepting.leave()
        }
    }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
        // Else it could accept once more, for another that has got the descriptor's number.
        accepting.wait()
        close(listener)
    }

    private static func join(_ client: Int32, _ port: UInt16) {
        let server = newSocket()
        var address = loopback(port)
        let connected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(server, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        if connected == 0 {
            let back = DispatchGroup()
            DispatchQueue.global().async(group: back) { pass(server, client) }
            pass(client, server)
            back.wait()
        }
        close(server)
        close(client)
    }

    private static func pass(_ source: Int32, _ sink: Int32) {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while case let count = recv(source, &buffer, buffer.count, 0), count > 0 {
            guard send(sink, buffer, count, Int32(MSG_NOSIGNAL)) == count else { break }
        }
        shutdown(sink, Int32(SHUT_WR))
        shutdown(source, Int32(SHUT_RD))
    }
}
