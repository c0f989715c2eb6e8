import Glibc

/// The file of a Unix socket that is its owner's alone from its first moment on.
///
/// The socket is bound inside a folder that only this user may enter, gets its mode there, and is then moved to its place: at no
/// time may another user connect, and what is stale is replaced in one step.
struct SocketFile: Sendable {
    let path: String

    init(_ path: String) { self.path = path }

    /// Of a path: the kernel takes 107 bytes, and the folder in which the socket is bound needs some.
    static let longest = 107 - (template.utf8.count + 2)
    private static let template = ".parley-XXXXXX"
    var isShortEnough: Bool { path.utf8.count <= Self.longest }

    /// A place to bind at, for ``publish(from:)``.
    /// - Throws: when another process listens at the path, or something else is there that is no socket.
    func place(for address: AdminAddress) throws(AdminError) -> String {
        var status = stat()
        if lstat(path, &status) == 0 {
            guard status.st_mode & S_IFMT == S_IFSOCK else {
                throw .cannotListen(address, reason: "there is something else, which is left alone")
            }
            if isListenedTo { throw .addressInUse(address) }
        }
        let slash = path.lastIndex(of: "/") ?? path.startIndex
        var folder = Array((path[...slash] + Self.template).utf8CString)
        guard mkdtemp(&folder) != nil else { throw .cannotListen(address, reason: String(cString: strerror(errno))) }
        return String(decoding: folder.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self) + "/s"
    }

    /// Moves the socket from where it was bound to its path.
    /// - Returns: by which it is known again; nil when it cannot be moved.
    func publish(from place: String) -> Identity? {
        defer { abandon(place) }
        guard chmod(place, 0o600) == 0, let identity = Identity(place), rename(place, path) == 0 else { return nil }
        return identity
    }

    /// Removes what ``place(for:)`` made.
    func abandon(_ place: String) {
        unlink(place)
        rmdir(String(place.dropLast(2)))
    }

    /// Removes the socket, unless another process has put its own there meanwhile.
    func remove(_ own: Identity) {
        if Identity(path) == own { unlink(path) }
    }

    /// Which file it is.
    struct Identity: Sendable, Equatable {
        private let device: UInt
        private let number: UInt

        init?(_ path: String) {
            var status = stat()
            guard lstat(path, &status) == 0 else { return nil }
            device = UInt(status.st_dev)
            number = UInt(status.st_ino)
        }
    }

    private var isListenedTo: Bool {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { return false }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        // A full backlog (EAGAIN) is somebody's, too.
        return result == 0 || errno == EAGAIN || errno == EINPROGRESS
    }
}
