import Foundation
import Glibc
import IOLoop
import Logging
import ParleyRedis
import Synchronization

/// A redis-server of a test's own on a free loopback port, in a folder of its own, stopped when the object goes.
final class PrivateRedis: @unchecked Sendable {
    // Proof of @unchecked Sendable: `process` is only touched inside `state`'s lock; the rest is immutable.
    static let executable = ["/usr/bin", "/usr/local/bin", "/usr/sbin", "/opt/homebrew/bin"]
        .map { $0 + "/redis-server" }.first { access($0, X_OK) == 0 }
    static var isAvailable: Bool { executable != nil }

    let port: Int
    let folder: URL
    private let arguments: [String]
    private let state = Mutex<Process?>(nil)

    /// - Parameter options: as on redis-server's command line (`--requirepass`, `secret`).
    init(options: [String] = []) async throws {
        port = try freePort()
        folder = try Self.newFolder()
        arguments =
            ["--port", "\(port)", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder.path]
            + options
        try await start()
    }

    /// A Sentinel, which keeps its configuration in a file that it rewrites.
    init(sentinel lines: [String]) async throws {
        port = try freePort()
        folder = try Self.newFolder()
        let file = folder.appendingPathComponent("sentinel.conf")
        let text = ["port \(port)", "bind 127.0.0.1", "dir \(folder.path)"] + lines
        try Data(text.map { $0 + "\n" }.joined().utf8).write(to: file)
        arguments = [file.path, "--sentinel"]
        try await start()
    }

    private static func newFolder() throws -> URL {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("private-redis-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        return folder
    }

    deinit {
        state.withLock { if let process = $0, process.isRunning { kill(process.processIdentifier, SIGKILL) } }
        try? FileManager.default.removeItem(at: folder)
    }

    func url(_ credentials: String = "", database: Int = 0) -> String {
        "redis://\(credentials)127.0.0.1:\(port)/\(database)"
    }

    func start() async throws {
        var starts = 0
        try await eventually("redis-server listens on \(port)") {
            guard self.isRunning else {
                guard starts < 5 else { throw Overdue(description: "redis-server ends at once: check its options") }
                starts += 1
                try self.launch()
                return false
            }
            return canConnect(to: self.port)
        }
    }

    private var isRunning: Bool { state.withLock { $0?.isRunning == true } }

    private func launch() throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: Self.executable ?? "/usr/bin/redis-server")
        process.arguments = arguments
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        state.withLock { $0 = process }
    }

    func signal(_ number: Int32) {
        state.withLock { if let process = $0 { kill(process.processIdentifier, number) } }
    }

    func stop() async throws {
        signal(SIGCONT)
        signal(SIGKILL)
        try await eventually("redis-server ends") { !self.isRunning }
    }
}

struct Overdue: Error, CustomStringConvertible {
    let description: String
}

/// Waits until `condition` holds.
func eventually(
    _ what: String, within limit: Duration = .seconds(20), _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + limit
    while try await !condition() {
        guard ContinuousClock.now < deadline else { throw Overdue(description: "not within \(limit): \(what)") }
        try await Task.sleep(for: .milliseconds(5))
    }
}

/// Close-on-exec: a redis-server started by another test at this moment must not inherit the socket. Between fork and
/// exec it does all the same, so a port found free may be taken for a moment more: bind again, or take another.
private let streamType = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)

private let drawn = Atomic(Int.random(in: 0..<10_000))

/// A loopback port that nobody listens on at this moment, each only once, and below the range from which the kernel
/// gives ports to those who name none.
func freePort() throws -> Int {
    let (descriptor, port) = try boundSocket()
    close(descriptor)
    return port
}

func boundSocket() throws -> (descriptor: Int32, port: Int) {
    for _ in 0..<200 {
        let port = 20_000 + drawn.wrappingAdd(1, ordering: .relaxed).newValue % 10_000
        let descriptor = socket(AF_INET, streamType, 0)
        var address = loopback(port)
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        if bound { return (descriptor, port) }
        close(descriptor)
    }
    throw Overdue(description: "no free port among 200")
}

private func canConnect(to port: Int) -> Bool {
    let descriptor = socket(AF_INET, streamType, 0)
    defer { close(descriptor) }
    var address = loopback(port)
    return withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
        }
    }
}

private func loopback(_ port: Int) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(clamping: port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    return address
}

/// What a client reported.
final class EventLog: Sendable {
    private let events = Mutex<[RedisEvent]>([])
    func note(_ event: RedisEvent) { events.withLock { $0.append(event) } }
    var connections: Int {
        events.withLock { $0.count { if case .connected = $0 { true } else { false } } }
    }
    var failedWaits: [Duration] {
        events.withLock {
            $0.compactMap { if case .attemptFailed(_, let wait) = $0 { wait } else { nil } }
        }
    }
}

/// Runs `body` with a client, then closes the client and stops its loop. Its patience is a slow machine's, unless `adjust`
/// says otherwise.
func withClient<T: Sendable>(
    _ url: String, events: EventLog? = nil, adjust: (inout RedisConfiguration) -> Void = { _ in },
    _ body: (RedisClient) async throws -> T
) async throws -> T {
    var configuration = try RedisConfiguration(url: url)
    configuration.connectTimeout = .seconds(60)
    configuration.commandTimeout = .seconds(60)
    adjust(&configuration)
    let loop = try IOLoop(name: "redis-test")
    defer { loop.stop() }
    var logger = Logger(label: "redis-test")
    logger.logLevel = .critical
    let client = RedisClient(
        configuration: configuration, loop: loop, onEvent: { events?.note($0) }, logger: logger)
    do {
        let result = try await body(client)
        await client.close()
        return result
    } catch {
        await client.close()
        throw error
    }
}
