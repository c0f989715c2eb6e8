import Glibc
import Synchronization

/// Close-on-exec: a server started by another test at this moment must not inherit the socket. Between fork and exec it
/// does all the same, so a port found free may be taken for a moment more: bind again, or take another.
private let streamType = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)

private let drawn = Atomic(Int.random(in: 0..<10_000))

package func loopback(_ port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return address
}

package func newSocket() -> Int32 { socket(AF_INET, streamType, 0) }

/// A loopback port that nobody listens on at this moment, each only once, and below the range from which the kernel
/// gives ports to those who name none.
package func freePort() throws -> UInt16 {
    let (descriptor, port) = try boundSocket()
    close(descriptor)
    return port
}

/// A socket on a port as ``freePort()`` finds it.
package func boundSocket() throws -> (descriptor: Int32, port: UInt16) {
    for _ in 0..<200 {
        let port = UInt16(20_000 + drawn.wrappingAdd(1, ordering: .relaxed).newValue % 10_000)
        let descriptor = newSocket()
        if (try? bindToLoopback(descriptor, port)) != nil { return (descriptor, port) }
        close(descriptor)
    }
    throw Failure("no free port among 200")
}

/// Binds to a port, 0 for one that is free; it is returned.
@discardableResult
package func bindToLoopback(_ descriptor: Int32, _ port: UInt16 = 0) throws -> UInt16 {
    var reuse: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &reuse, socklen_t(MemoryLayout<Int32>.size))
    var address = loopback(port)
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let done = withUnsafeMutablePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
        }
    }
    guard done else { throw Failure("port \(port) is taken") }
    return UInt16(bigEndian: address.sin_port)
}

package func isListening(_ port: UInt16) -> Bool { exchange([], with: port) != nil }

/// Connects and sends; nil when nobody accepts, else the first bytes of an answer (none when nothing was sent).
package func exchange(_ bytes: [UInt8], with port: UInt16) -> [UInt8]? {
    let descriptor = newSocket()
    defer { close(descriptor) }
    var limit = timeval(tv_sec: 2, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    var address = loopback(port)
    let connected = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
    guard connected == 0 else { return nil }
    guard !bytes.isEmpty else { return [] }
    var answer = [UInt8](repeating: 0, count: 64)
    guard send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count,
        case let count = recv(descriptor, &answer, answer.count, 0), count > 0
    else { return [] }
    return Array(answer[..<count])
}
