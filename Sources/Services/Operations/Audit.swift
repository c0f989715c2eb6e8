import ChatJobs
import Glibc
import IOLoop
import Logging
import ParleyJSON
import ParleyRedis
import Topology

/// Who did what: one line in the log, and an entry in a Redis list that everybody sees.
///
/// A list, because Redis' access rules tell commands apart and not their arguments: who may `RPUSH` can add an entry and change
/// none, while `XADD` would trim a stream as well. Workers drop what is old (``RedisResults/dropOldAudit(before:)``).
///
/// Filters are in it, and ids; never what users asked.
package struct Audit: Sendable {
    private var redis: RedisConfiguration
    let keys: RedisKeys
    let queue: String
    let logger: Logger
    /// Warnings that the operator is to see although nothing failed.
    let warn: @Sendable (String) -> Void

    /// - Parameters:
    ///   - queue: the job queue that the audited action is about.
    ///   - logger: lets notices through.
    ///   - warn: told when Redis cannot keep the entry.
    package init(
        redis: RedisConfiguration, keys: RedisKeys, queue: String, logger: Logger,
        warn: @escaping @Sendable (String) -> Void
    ) {
        self.redis = redis
        // An absent Redis must not hold up a requeue for long.
        self.redis.connectTimeout = min(redis.connectTimeout, .seconds(2))
        self.redis.commandTimeout = min(redis.commandTimeout, .seconds(2))
        self.keys = keys
        self.queue = queue
        self.logger = logger
        self.warn = warn
    }

    /// Writes the line, and the entry if Redis can be reached.
    /// - Parameters:
    ///   - action: `requeue`, `purge`, `revoke`, `remove delays`, `show`, `result` …
    ///   - state: `started`, `done`, `failed`, `interrupted`.
    ///   - isLook: nothing was changed, only shown: without the line, unless Redis cannot take the entry.
    package func record(
        _ action: String, _ state: String, filters: String, counts: [(name: String, value: Int)] = [],
        isLook: Bool = false
    ) async {
        let fields: [(name: String, value: String)] = [
            ("action", action), ("state", state), ("operator", Self.operatorName), ("queue", queue),
            ("filters", filters),
        ]
        var metadata: Logger.Metadata = [:]
        for (name, value) in fields { metadata[name] = .string(value) }
        for (name, value) in counts { metadata[name] = .string("\(value)") }
        if !isLook { logger.notice("audit", metadata: metadata) }
        do {
            let time = Timestamp(milliseconds: wallMilliseconds()).rfc3339
            var entry = JSONWriter()
            entry.object {
                $0.member("time", time)
                for (name, value) in fields {
                    $0.key(named: name)
                    $0.string(value)
                }
                for (name, value) in counts {
                    $0.key(named: name)
                    $0.int(value)
                }
            }
            let words = ["RPUSH".utf8, keys.audit.utf8].map(Array.init) + [entry.bytes]
            // A logger that is silent: what is wrong with Redis is told once, by the warning.
            let silent = Logger(label: "parley.audit") { _ in SwiftLogNoOpLogHandler() }
            _ = try await withRedis(redis, logger: silent) { client throws(RedisError) in
                try await client.send(RedisCommand(arguments: words)).get()
            }
        } catch {
            if isLook { logger.notice("audit", metadata: metadata) }
            warn("no audit entry in \(keys.audit): \(error.message)")
        }
    }

    /// `user@host`.
    static var operatorName: String {
        var name = "uid \(getuid())"
        if let entry = getpwuid(getuid()), let text = entry.pointee.pw_name { name = String(cString: text) }
        var host = [CChar](repeating: 0, count: 256)
        guard gethostname(&host, host.count - 1) == 0 else { return name }
        return "\(name)@" + String(decoding: host.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}

extension Audit {
    /// Records how a requeue or a purge ended.
    package func record(_ summary: LetterSummary, filters: String) async {
        let state = summary.isInterrupted ? "interrupted" : summary.problem == nil ? "done" : "failed"
        await record(
            summary.action.rawValue, state, filters: filters,
            counts: [
                ("matched", summary.matched), (summary.action == .requeue ? "requeued" : "purged", summary.done),
                ("failed", summary.failed), ("scanned", summary.scanned),
            ])
    }
}

func wallMilliseconds() -> Int64 {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    return Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec / 1_000_000)
}

/// Connects, runs `body`, and closes the connection.
func withRedis<T: Sendable>(
    _ configuration: RedisConfiguration, logger: Logger,
    _ body: (RedisClient) async throws(RedisError) -> T
) async throws(OperationError) -> T {
    let loop = try makeLoop()
    defer { loop.stop() }
    let client = RedisClient(configuration: configuration, loop: loop, logger: logger)
    do throws(RedisError) {
        let result: Result<T, RedisError>
        do throws(RedisError) {
            try await client.connect()
            result = .success(try await body(client))
        } catch {
            result = .failure(error)
        }
        await client.close()
        return try result.get()
    } catch {
        throw OperationError(error, at: configuration.redacted)
    }
}
