import Glibc
import IOLoop
import Logging
import ParleyHTTP
import Retrieval
import Synchronization
import Testing

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// One loop and client for all tests of the process.
let http: HTTPClient = {
    do {
        return HTTPClient(loop: try IOLoop(name: "http"), logger: quiet)
    } catch {
        fatalError("no loop: \(error)")
    }
}()

func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

/// A folder that is removed when the value goes.
final class TemporaryFolder: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/parley-retrieval-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw RetrievalError(.unreadable, "no temporary folder") }
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    deinit { _ = system("rm -rf '\(path)'") }

    func write(_ name: String, _ bytes: some Collection<UInt8>) throws {
        let parts = name.split(separator: "/").dropLast()
        var folder = path
        for part in parts {
            folder += "/\(part)"
            mkdir(folder, 0o755)
        }
        let file = try #require(fopen("\(path)/\(name)", "w"))
        let bytes = Array(bytes)
        #expect(fwrite(bytes, 1, bytes.count, file) == bytes.count)
        fclose(file)
    }

    func write(_ name: String, _ text: String) throws { try write(name, text.utf8) }

    func read(_ name: String) throws -> [UInt8] {
        let file = try #require(fopen("\(path)/\(name)", "r"))
        defer { fclose(file) }
        var result: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = fread(&buffer, 1, buffer.count, file)
            if count == 0 { return result }
            result += buffer[..<count]
        }
    }
}

/// Waits until `condition` holds, at most a minute.
func eventually(_ condition: () async throws -> Bool) async throws {
    let deadline = ContinuousClock.now + .seconds(60)
    while ContinuousClock.now < deadline {
        if try await condition() { return }
        try await Task.sleep(for: .milliseconds(20))
    }
    Issue.record("did not come true within a minute")
}

/// Vectors that are exactly known: one axis for each word, in a small space. Counts its calls.
final class AxisEmbedder: Embedder {
    let identity: String
    let size: Int
    private let axes: [String]
    private let asked = Mutex<[[String]]>([])
    var calls: [[String]] { asked.withLock { $0 } }
    func forget() { asked.withLock { $0 = [] } }

    init(identity: String = "axes", axes: [String]) {
        self.identity = identity
        self.axes = axes
        size = axes.count
    }

    var dimension: Int? { size }

    func embed(
        _ texts: [String], as role: TextRole, timeout: Duration
    ) async -> [Result<Embedding, RetrievalError>] {
        asked.withLock { $0.append(texts) }
        return texts.map { text in
            let hits = axes.map { text.contains($0) ? Float(1) : 0 }
            let length = hits.reduce(0, +).squareRoot()
            return .success(Embedding(hits.map { length == 0 ? 1 / Float(size).squareRoot() : $0 / length }))
        }
    }
}

/// Small deterministic random numbers (SplitMix64).
struct Seeded: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// A loopback HTTP/1.1 server on a thread of its own that answers each request as told, one connection at a time.
final class CannedServer: Sendable {
    struct Request: Sendable {
        var head: String
        var body: String
    }

    let port: Int
    private let listener: Int32
    private let received = Mutex<[Request]>([])
    var requests: [Request] { received.withLock { $0 } }

    /// - Parameter answer: status, extra header lines, body; nil keeps silent.
    init(_ answer: @escaping @Sendable (Request) -> (status: Int, headers: [String], body: String)?) throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, size) == 0 && listen(listener, 16) == 0 && getsockname(listener, $0, &size) == 0
            }
        }
        try #require(isBound)
        self.listener = listener
        port = Int(UInt16(bigEndian: address.sin_port))
        // Not by a task: tests that compute keep those waiting, and a request's time runs.
        try startThread(named: "canned") { [self] in serve(answer) }
    }

    var url: String { "http://127.0.0.1:\(port)" }

    func stop() { shutdown(listener, Int32(SHUT_RDWR)) }

    private func serve(_ answer: @Sendable (Request) -> (status: Int, headers: [String], body: String)?) {
        while true {
            let client = accept(listener, nil, nil)
            guard client >= 0 else {
                close(listener)
                return
            }
            if let request = Self.read(client) {
                received.withLock { $0.append(request) }
                if let (status, headers, body) = answer(request) {
                    let lines =
                        ["HTTP/1.1 \(status) X", "Connection: close", "Content-Length: \(body.utf8.count)"] + headers
                    let text = Array((lines.joined(separator: "\r\n") + "\r\n\r\n" + body).utf8)
                    _ = send(client, text, text.count, Int32(MSG_NOSIGNAL))
                    close(client)
                }
            }
        }
    }

    private static func read(_ client: Int32) -> Request? {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let text = String(decoding: bytes, as: UTF8.self)
            if let end = text.firstRange(of: "\r\n\r\n") {
                let head = String(text[..<end.lowerBound])
                let length = head.lowercased().firstRange(of: "content-length: ").flatMap {
                    Int(head.lowercased()[$0.upperBound...].prefix { $0.isNumber })
                }
                let body = String(text[end.upperBound...])
                if body.utf8.count >= length ?? 0 { return Request(head: head, body: body) }
            }
            let count = recv(client, &buffer, buffer.count, 0)
            guard count > 0 else { return nil }
            bytes += buffer[..<count]
        }
    }
}

/// Remembers what a progress callback was told.
final class Recorder: Sendable {
    private let seen = Mutex<[IngestProgress]>([])
    var all: [IngestProgress] { seen.withLock { $0 } }
    func add(_ progress: IngestProgress) { seen.withLock { $0.append(progress) } }
}
