import Glibc
import Testing

/// What `scripts/test` provides: the built program, and servers of its own.
enum Surroundings {
    static let binary = environment("PARLEY_TEST_BINARY")
    static let rabbitMQ = environment("PARLEY_TEST_RABBITMQ_URL")
    static let redis = environment("PARLEY_TEST_REDIS_URL")
    /// The program was built with a sanitizer.
    static let isSanitized = environment("PARLEY_TEST_SANITIZER") != nil
    static let areComplete = binary != nil && rabbitMQ != nil && redis != nil

    private static func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
}

/// The contract with other systems, from outside: the built program between a real broker and a real Redis.
///
/// Every test has its own job queue, reply queue, ids and admin port, so that several run at once.
@Suite(
    .enabled(if: Surroundings.areComplete, "PARLEY_TEST_BINARY, _RABBITMQ_URL and _REDIS_URL are not all set"),
    .atMost(6))
struct ContractTests {}

struct Failure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Asks again every few milliseconds until there is a value.
/// - Throws: when there is none within `limit`.
func eventually<T>(
    _ what: String, within limit: Duration = .seconds(20), _ body: () async throws -> T?
) async throws -> T {
    let deadline = ContinuousClock.now + limit
    while true {
        if let value = try await body() { return value }
        guard ContinuousClock.now < deadline else { throw Failure("\(what) did not come within \(limit)") }
        try await Task.sleep(for: .milliseconds(5))
    }
}

/// Letters and digits that no other test has.
func unique() -> String { String(UInt64.random(in: 1 << 60...UInt64.max), radix: 36) }

/// A folder that is removed when the value goes.
final class Folder: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/parley-contract-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Failure("no temporary folder") }
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    deinit { _ = system("rm -rf '\(path)'") }

    func write(_ name: String, _ text: String) throws {
        guard let file = fopen("\(path)/\(name)", "w") else { throw Failure("\(name) cannot be written") }
        defer { fclose(file) }
        guard fputs(text, file) >= 0 else { throw Failure("\(name) cannot be written") }
    }

    func remove(_ name: String) { unlink("\(path)/\(name)") }

    /// What the file holds so far; empty when there is none.
    func read(_ name: String) -> String {
        guard let file = fopen("\(path)/\(name)", "r") else { return "" }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { bytes += buffer[..<count] }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// A time as jobs write it, to the millisecond.
func rfc3339(secondsFromNow seconds: Int) -> String {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    var second = now.tv_sec + seconds
    var parts = tm()
    gmtime_r(&second, &parts)
    var text = [CChar](repeating: 0, count: 64)
    let count = strftime(&text, text.count, "%Y-%m-%dT%H:%M:%S", &parts)
    let milliseconds = String(1000 + now.tv_nsec / 1_000_000).dropFirst()
    return String(decoding: text.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self) + ".\(milliseconds)Z"
}
