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
