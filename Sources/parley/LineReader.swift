import Glibc

/// Reads a file or standard input line by line, of any size, without holding it.
final class LineReader {
    private let path: String
    private let file: UnsafeMutablePointer<FILE>
    private let closes: Bool

    /// - Parameter path: `-` is standard input.
    /// - Throws: ``CommandFailure`` naming the file when it cannot be opened.
    init(path: String) throws {
        self.path = path
        if path == "-" {
            guard let input = fdopen(STDIN_FILENO, "rb") else {
                throw CommandFailure(.failed, "there is no standard input")
            }
            file = input
            closes = false
        } else {
            guard let opened = fopen(path, "rb") else {
                throw CommandFailure(.wrong, "\(path) cannot be read: \(String(cString: strerror(errno)))")
            }
            file = opened
            closes = true
        }
    }

    deinit {
        if closes { fclose(file) }
    }

    /// The next line without its end; nil at the end of the file.
    func next() throws -> [UInt8]? {
        var buffer: UnsafeMutablePointer<CChar>?
        var capacity = 0
        defer { free(buffer) }
        let count = getline(&buffer, &capacity, file)
        guard count >= 0, let buffer else {
            guard ferror(file) == 0 else {
                throw CommandFailure(.failed, "\(path) cannot be read: \(String(cString: strerror(errno)))")
            }
            return nil
        }
        var line = buffer.withMemoryRebound(to: UInt8.self, capacity: count) {
            Array(UnsafeBufferPointer(start: $0, count: count))
        }
        while let last = line.last, last == UInt8(ascii: "\n") || last == UInt8(ascii: "\r") { line.removeLast() }
        return line
    }
}
