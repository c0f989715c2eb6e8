import Foundation
import Glibc
import Synchronization

/// A peer that speaks AMQP 0-9-1 on loopback by a test's script: a broker that misbehaves as the test wants it to.
///
/// Each connection runs the script on a thread of its own. No wait of a script is for ever.
package final class ScriptedBroker: Sendable {
    package typealias Script = @Sendable (PeerConnection) throws -> Void

    package let port: Int
    private let listener: Int32
    private let state = Mutex(State())

    private struct State {
        var isClosed = false
        var accepted = 0
        var sockets: Set<Int32> = []
        var problems: [String] = []
    }

    package init(_ script: @escaping Script) throws {
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let listener = listener
        let status = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, length) == 0 && listen(listener, 64) == 0 ? getsockname(listener, $0, &length) : -1
            }
        }
        guard status == 0 else { throw PeerProblem("no port to listen on: \(String(cString: strerror(errno)))") }
        port = Int(UInt16(bigEndian: address.sin_port))
        Thread.detachNewThread { [weak self] in
            while true {
                let socket = accept(listener, nil, nil)
                guard socket >= 0 else { break }
                guard let self else {
                    Glibc.close(socket)
                    break
                }
                attend(socket, script)
            }
            Glibc.close(listener)
        }
    }

    deinit { close() }

    /// Lets nobody in any more and hangs up on everybody.
    package func close() {
        let sockets = state.withLock { state in
            defer { state.isClosed = true }
            return state.isClosed ? nil : state.sockets
        }
        guard let sockets else { return }
        shutdown(listener, Int32(SHUT_RDWR))
        for socket in sockets { shutdown(socket, Int32(SHUT_RDWR)) }
    }

    package func url(_ rest: String = "") -> String { "amqp://guest:guest@127.0.0.1:\(port)\(rest)" }

    /// How many connections there have been.
    package var accepted: Int { state.withLock { $0.accepted } }
    /// Where scripts went wrong.
    package var problems: [String] { state.withLock { $0.problems } }

    private func attend(_ socket: Int32, _ script: @escaping Script) {
        var limit = timeval(tv_sec: PeerConnection.patience, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(socket, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
        }
        var one: Int32 = 1
        setsockopt(socket, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
        let number: Int? = state.withLock { state in
            guard !state.isClosed else { return nil }
            state.accepted += 1
            state.sockets.insert(socket)
            return state.accepted
        }
        guard let number else {
            Glibc.close(socket)
            return
        }
        Thread.detachNewThread { [weak self] in
            do { try script(PeerConnection(number: number, socket: socket)) } catch {
                self?.state.withLock { if !$0.isClosed { $0.problems.append("connection \(number): \(error)") } }
            }
            // Closed inside the lock, so that `close` shuts no stranger's socket that has got the number.
            if let self {
                state.withLock {
                    $0.sockets.remove(socket)
                    Glibc.close(socket)
                }
            } else {
                Glibc.close(socket)
            }
        }
    }
}

/// Where a script waits until the test lets it go on, or the other way round.
package final class Gate: Sendable {
    private let state = Mutex(false)

    package init() {}
    package func open() { state.withLock { $0 = true } }
    package var isOpen: Bool { state.withLock { $0 } }

    /// For scripts: blocks their thread.
    package func wait() throws {
        for _ in 0..<PeerConnection.patience * 200 {
            if isOpen { return }
            usleep(5000)
        }
        throw PeerProblem("the test has not opened the gate")
    }
}
