import ArgumentParser
import ChatJobs
import Glibc
import Logging
import Operations
import ParleyJSON
import ParleyRabbitMQ
import ParleyRedis
import ParleySettings
import Synchronization
import Telemetry
import Topology
import Worker

/// What an operator's command works with, made of the configuration.
struct OperatorContext {
    let servers: Servers
    var settings: Settings { servers.settings }
    var rabbitMQ: RabbitMQConfiguration { servers.rabbitMQ }
    var redis: RedisConfiguration { servers.redis }
    var queues: JobQueues { servers.queues }
    var keys: RedisKeys { servers.keys }
    let logger = Logger(label: "parley")

    var letters: DeadLetters { letters(settings.letterKey) }
    /// Sends back whoever's letters.
    var unsignedLetters: DeadLetters { letters(nil) }

    private func letters(_ key: String?) -> DeadLetters {
        DeadLetters(
            configuration: rabbitMQ, queues: queues, relay: Relay(settings, rabbitMQ), logger: logger, letterKey: key,
            isInterrupted: { Interruption.isRequested }, onConnected: { Interruption.watch() })
    }

    var delays: Delays { Delays(configuration: rabbitMQ, queues: queues, logger: logger) }

    /// Audit lines are for the record: they are written whatever `log.level` says.
    var audit: Audit {
        let style = LineStyle(LogFormat(settings.log.format.rawValue) ?? .auto)
        let logger = Logger(label: "parley.audit") { LineLogHandler(label: $0, level: .notice, style: style) }
        return Audit(redis: redis, keys: keys, queue: queues.names.base, logger: logger) {
            printError(oneLine("warning: \($0)"))
        }
    }
}

extension CommonOptions {
    /// - Throws: ``SettingsError`` naming the keys that are wrong.
    func operatorContext() async throws -> OperatorContext {
        var servers = try await servers()
        servers.rabbitMQ.connectionName = servers.rabbitMQ.connectionName ?? "parley operator"
        return OperatorContext(servers: servers)
    }
}

/// SIGINT and SIGTERM as a question that long work asks itself; a second one ends the process at once.
enum Interruption {
    private static let requested = Atomic<Bool>(false)

    static var isRequested: Bool { requested.load(ordering: .relaxed) }

    /// Back to where an interruption ends the process at once.
    static func endAtOnce() {
        for number in [SIGINT, SIGTERM] { signal(number) { _ in _exit(ExitStatus.interrupted.rawValue) } }
    }

    static func watch() {
        for number in [SIGINT, SIGTERM] {
            signal(number) { _ in
                if Interruption.requested.exchange(true, ordering: .relaxed) {
                    _exit(ExitStatus.interrupted.rawValue)
                }
            }
        }
    }
}

/// Asks on standard error, since standard output is for results; anything but `y` or `yes` is a no.
func confirmed(_ question: String) -> Bool {
    let bytes = Array(oneLine(question).utf8)
    guard write(STDERR_FILENO, bytes, bytes.count) == bytes.count else { return false }
    // An interrupted read would be begun again by the C library: here it is an answer.
    Interruption.endAtOnce()
    return ["y", "yes"].contains((readLine() ?? "").lowercased())
}

/// Which dead letters are meant.
struct FilterOptions: ParsableArguments {
    @Option(
        name: .customLong("id"), help: ArgumentHelp("Letters of this id. May be repeated.", valueName: "id"))
    var ids: [String] = []
    @Option(
        name: .customLong("error"),
        help: ArgumentHelp(
            "Letters with this error code. May be repeated. Codes: \(Self.codes).", valueName: "code"))
    var errors: [String] = []
    @Option(
        name: .customLong("digest"),
        help: ArgumentHelp(
            "Letters whose body has this digest, as dead list --each shows it: for those without an id. May be repeated.",
            valueName: "digest"))
    var digests: [String] = []
    @Option(help: "Letters whose job has this tenant.") var tenant: String?
    @Option(help: ArgumentHelp("Letters that died before this moment: \(Self.moment).", valueName: "when"))
    var before: String?
    @Option(help: ArgumentHelp("Letters that died at this moment or later: \(Self.moment).", valueName: "when"))
    var after: String?

    private static let codes = ErrorCode.allCases.map(\.rawValue).joined(separator: ", ")
    private static let moment = "RFC 3339 such as 2026-11-22T22:00:00Z, or a duration such as 2h for that long ago"

    /// - Throws: ``CommandFailure`` naming the flag, the value and what is allowed.
    func filter() throws -> LetterFilter {
        var filter = LetterFilter()
        for id in ids {
            guard !id.isEmpty else { throw CommandFailure(.wrong, "--id \"\": an id is needed") }
            filter.ids.insert(id)
        }
        for text in errors {
            guard let code = ErrorCode(rawValue: text) else {
                throw CommandFailure(.wrong, "--error \(text): allowed are \(Self.codes)")
            }
            filter.codes.insert(code)
        }
        for text in digests { filter.digests.insert(try Self.digest(text)) }
        if let tenant, tenant.isEmpty { throw CommandFailure(.wrong, "--tenant \"\": a tenant is needed") }
        filter.tenant = tenant
        filter.before = try before.map { try Self.timestamp("--before", $0) }
        filter.after = try after.map { try Self.timestamp("--after", $0) }
        if let before = filter.before, let after = filter.after, after >= before {
            throw CommandFailure(.wrong, "--after \(after.rfc3339) is not before --before \(before.rfc3339)")
        }
        return filter
    }

    static func digest(_ text: String) throws -> String {
        let digest = text.lowercased()
        guard (12...64).contains(digest.utf8.count), digest.utf8.allSatisfy({ "0123456789abcdef".utf8.contains($0) })
        else {
            throw CommandFailure(.wrong, "--digest \(text): 12 to 64 hexadecimal digits are needed")
        }
        return digest
    }

    private static func timestamp(_ flag: String, _ text: String) throws -> Timestamp {
        guard let timestamp = Moment.parse(text) else {
            throw CommandFailure(.wrong, "\(flag) \(text): \(moment) is needed")
        }
        return timestamp
    }
}

/// A progress line that tasks share.
final class SharedProgress: Sendable {
    private let line = Mutex(ProgressLine())
    private let what: String

    init(_ what: String) { self.what = what }

    func show(_ done: Int, of total: Int) { line.withLock { $0.show(done, of: total, what) } }
    func end() { line.withLock { $0.end() } }
}

extension DeadLetters {
    /// Where nothing was found, says so if there is not even a queue: `queue.name` may be misspelt.
    func explainNothing() async {
        do throws(OperationError) {
            guard try await count() == nil else { return }
        } catch {
            return
        }
        printError("there is no queue \(queue): no worker has run here yet, or queue.name is another")
    }
}

/// Others hold letters: what this command says is not all there is.
func tellOfCompany() {
    printError(
        "another command is looking at dead letters: those that it holds were not met; run this again after it")
}

/// How a requeue or a purge ends: its summary, and the contract's exit status.
func finish(_ summary: LetterSummary, json: Bool, text: String) throws {
    if json {
        var writer = JSONWriter()
        summary.write(to: &writer)
        printLine(writer.bytes)
    } else if summary.problem == nil || summary.scanned > 0 {
        printLine(text)
    }
    if summary.hadCompany { tellOfCompany() }
    // Sent and not confirmed is not the same as not sent.
    let failed =
        summary.failed > 0 && !summary.isDryRun
        ? "\(summary.failed) letters were not confirmed: they are dead letters still, and some may be jobs as well" : ""
    if summary.isInterrupted {
        let rest = failed.isEmpty ? "" : "; \(failed)"
        throw CommandFailure(.interrupted, "interrupted; what was not done is still there\(rest)")
    }
    if let problem = summary.problem {
        let reason = oneLine(problem.message)
        throw CommandFailure(CommandFailure.status(of: problem), failed.isEmpty ? reason : "\(failed): \(reason)")
    }
}

extension CommandFailure {
    static func status(of error: OperationError) -> ExitStatus {
        switch error.code {
        case .wrong: .wrong
        case .refused: .failed
        case .unreachable: .unreachable
        }
    }
}
