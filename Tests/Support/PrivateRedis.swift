import Glibc
import Synchronization

/// A redis-server of a test's own on a free loopback port, in memory, stopped when the object goes.
package final class PrivateRedis: Sendable {
    /// `scripts/test --redis valkey` names another server's program.
    private static let server =
        (getenv("PARLEY_TEST_REDIS_SERVER").map { [String(cString: $0)] }
        ?? ["/usr/bin", "/usr/local/bin", "/usr/sbin", "/opt/homebrew/bin"].map { $0 + "/redis-server" })
        .first { access($0, X_OK) == 0 }
    package static let isAvailable = server != nil

    package let port: UInt16
    package let folder: Folder
    private let arguments: [String]
    private let kept: Folder?
    private let process = Mutex<pid_t?>(nil)

    /// - Parameters:
    ///   - options: as on redis-server's command line (`--requirepass`, `secret`).
    ///   - kept: a folder that lives as long.
    package init(options: [String] = [], keeping kept: Folder? = nil) async throws {
        self.kept = kept
        port = try freePort()
        folder = try Folder()
        arguments =
            ["--port", "\(port)", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder.path]
            + options
        try await start()
    }

    /// A Sentinel, which keeps its configuration in a file that it rewrites.
    package init(sentinel lines: [String]) async throws {
        kept = nil
        port = try freePort()
        folder = try Folder()
        let text = ["port \(port)", "bind 127.0.0.1", "dir \(folder.path)"] + lines
        try folder.write("sentinel.conf", text.map { $0 + "\n" }.joined())
        arguments = [folder.path + "/sentinel.conf", "--sentinel"]
        try await start()
    }

    deinit { process.withLock { if let process = $0 { end(process) } } }

    /// - Parameter credentials: `user:password@`.
    package func url(_ credentials: String = "", database: Int = 0) -> String {
        "redis://\(credentials)127.0.0.1:\(port)/\(database)"
    }

    package func start() async throws {
        guard let server = Self.server else { throw Failure("there is no redis-server") }
        var starts = 0
        try await waitUntil("redis-server listens on \(port)") {
            guard !isRunning() else { return isListening(port) }
            // Its port may be taken for a moment more.
            guard starts < 5 else { throw Failure("redis-server ends at once: \(folder.read("server.log"))") }
            starts += 1
            let started = try spawn([server] + arguments, ["PATH": "/usr/bin:/bin"], folder, "server.log")
            process.withLock { $0 = started }
            return false
        }
    }

    private func isRunning() -> Bool {
        process.withLock { process in
            guard let running = process else { return false }
            if waitpid(running, nil, WNOHANG) == 0 { return true }
            process = nil
            return false
        }
    }

    package func signal(_ number: Int32) { process.withLock { if let process = $0 { kill(process, number) } } }

    package func stop() async throws {
        signal(SIGKILL)
        try await waitUntil("redis-server ends") { !isRunning() }
    }
}
