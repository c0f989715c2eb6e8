import Foundation
import Glibc
import IOLoop
import Logging
import ParleyHTTP
import Synchronization

/// A client on a loop of its own; the loop ends with it.
final class TestClient: Sendable {
    let client: HTTPClient
    private let loop: IOLoop

    init(_ configuration: HTTPClientConfiguration = .init()) throws {
        loop = try IOLoop(name: "http-test")
        client = HTTPClient(configuration: configuration, loop: loop, logger: Logger(label: "http-test"))
    }

    func close() async {
        await client.close()
        loop.stop()
    }
}

func withClient<T>(
    _ configuration: HTTPClientConfiguration = .init(), _ body: (HTTPClient) async throws -> T
) async throws -> T {
    let test = try TestClient(configuration)
    do {
        let value = try await body(test.client)
        await test.close()
        return value
    } catch {
        await test.close()
        throw error
    }
}

/// The error of `body`, or `nil` when it throws none.
func failure<T>(of body: () async throws(HTTPError) -> T) async -> HTTPError? {
    do throws(HTTPError) {
        _ = try await body()
        return nil
    } catch {
        return error
    }
}

/// Waits until `condition` holds; false when it does not within `limit`.
func eventually(within limit: Duration = .seconds(10), _ condition: () async -> Bool) async -> Bool {
    let end = ContinuousClock.now + limit
    while ContinuousClock.now < end {
        if await condition() { return true }
        try? await Task.sleep(for: .milliseconds(5))
    }
    return false
}

final class Flag: Sendable {
    private let value = Mutex(0)
    var count: Int { value.withLock { $0 } }
    func raise(by amount: Int = 1) { value.withLock { $0 += amount } }
}

/// Holds the threads that wait at it until it is opened.
final class Gate: Sendable {
    private let condition = NSCondition()
    private let opened = Flag()

    func wait() {
        condition.lock()
        defer { condition.unlock() }
        while opened.count == 0 { condition.wait() }
    }

    func open() {
        condition.lock()
        defer { condition.unlock() }
        opened.raise()
        condition.broadcast()
    }
}

func openDescriptors() -> Int { (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? 0 }

/// A program run beside the test, ended with ``stop()``.
final class Program: Sendable {
    private let process: Process

    init(_ path: String, _ arguments: [String]) throws {
        process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
    }

    func wait() { process.waitUntilExit() }
    /// By SIGKILL: a server may take its time over SIGTERM, and the test would leave it behind.
    func stop() {
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    static func find(_ name: String) -> String? {
        let given = ProcessInfo.processInfo.environment["PARLEY_TEST_\(name.uppercased())"]
        return ([given] + ["/usr/bin/", "/usr/sbin/", "/usr/local/bin/"].map { $0 + name })
            .compactMap { $0 }.first { FileManager.default.isExecutableFile(atPath: $0) }
    }
}
