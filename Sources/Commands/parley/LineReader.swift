import Glibc

/// Reads a file or standard input line by line, of any size, without holding it.
final class LineReader {
    private let path: String
    private let descriptor: Int32
    private var buffer: [UInt8] = []
    /// Where in the buffer the next line begins.
    private var start = 0
    private var isAtEnd = false
    private var isFirst = true

    private static let chunk = 256 << 10
    /// How often a wait for input looks whether it was interrupted.
    private static let patience: Int32 = 100

    /// - Parameter path: `-` is standard input.
    /// - Throws: ``CommandFailure`` naming the file when it cannot be opened.
    init(path: String) throws {
        self.path = path
        guard path != "-" else {
            descriptor = STDIN_FILENO
            return
        }
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw unreadable(errno) }
    }

    deinit {
        if descriptor > STDIN_FILENO { close(descriptor) }
    }

    /// Whether the next line is there already, so that ``next()`` need not wait for it.
    var hasLine: Bool { lineEnd != nil }

    /// The next line without its end; nil at the end of the file, and after an interruption.
    func next() throws -> [UInt8]? {
        while true {
            if let end = lineEnd {
                defer { start = end + 1 }
                return line(upTo: end)
            }
            guard !isAtEnd else {
                guard start < buffer.count else { return nil }
                defer { start = buffer.count }
                return line(upTo: buffer.count)
            }
            try fill()
        }
    }

    private var lineEnd: Int? { buffer[start...].firstIndex(of: UInt8(ascii: "\n")) }

    private func line(upTo end: Int) -> [UInt8] {
        var line = buffer[start..<end]
        // A byte order mark, as editors put it in front of a file.
        if isFirst, line.starts(with: [0xEF, 0xBB, 0xBF]) { line = line.dropFirst(3) }
        isFirst = false
        while line.last == UInt8(ascii: "\r") { line.removeLast() }
        return Array(line)
    }

    /// Waits for more, and appends it.
    private func fill() throws {
        var ready = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        while poll(&ready, 1, Self.patience) <= 0 {
            if Interruption.isRequested {
                isAtEnd = true
                return
            }
        }
        buffer.removeFirst(start)
        start = 0
        let held = buffer.count
        buffer.append(contentsOf: repeatElement(0, count: Self.chunk))
        var count = 0
        repeat {
            count = buffer.withUnsafeMutableBytes { read(descriptor, $0.baseAddress.map { $0 + held }, Self.chunk) }
        } while count < 0 && errno == EINTR
        let reason = errno
        buffer.removeLast(Self.chunk - max(0, count))
        guard count >= 0 else { throw unreadable(reason) }
        isAtEnd = count == 0
    }

    private func unreadable(_ reason: Int32) -> CommandFailure {
        CommandFailure(.wrong, "\(path) cannot be read: \(String(cString: strerror(reason)))")
    }
}
