import Glibc
import IOLoop
import Logging
import Synchronization

/// Writes each event as one line to a descriptor.
///
/// Lines have at most about 16 KiB, values 4 KiB. Secrets are the caller's duty: what is logged is written.
package struct LineLogHandler: LogHandler {
    package var logLevel: Logger.Level
    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?
    private let label: String
    private let style: LineStyle

    /// - Parameters:
    ///   - label: the logger's label.
    ///   - level: events below it are left out.
    ///   - style: how lines look and where they go.
    package init(label: String, level: Logger.Level, style: LineStyle) {
        self.label = label
        logLevel = level
        self.style = style
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var all = metadata
        if let provided = metadataProvider?.get() { all.merge(provided) { $1 } }
        if let own = event.metadata { all.merge(own) { $1 } }
        if let error = event.error, all["error"] == nil { all["error"] = .string("\(error)") }
        style.write(
            LogLine(time: .now, level: event.level, label: label, message: event.message.description, metadata: all))
    }
}

/// How lines look and where they go, decided once.
package struct LineStyle: Sendable {
    private let descriptor: Int32
    private let isJSON: Bool
    private let isTerminal: Bool
    private let hasColours: Bool
    private var queue: LogQueue?

    /// - Parameters:
    ///   - format: `auto` asks whether `descriptor` is a terminal.
    ///   - descriptor: an open file descriptor; standard error by default. Whoever logs writes to it.
    ///
    /// Colours are for text on a terminal, unless `NO_COLOR` is set (https://no-color.org) or `TERM` is `dumb`.
    package init(_ format: LogFormat, descriptor: Int32 = STDERR_FILENO) {
        self.descriptor = descriptor
        isTerminal = isatty(descriptor) == 1
        isJSON = format == .json || format == .auto && !isTerminal
        hasColours = isTerminal && (Self.variable("NO_COLOR") ?? "").isEmpty && Self.variable("TERM") != "dumb"
    }

    /// The same lines, written by a thread of its own.
    /// - Throws: ``IOLoopError`` when the kernel gives none.
    func queued(capacity: Int = LogQueue.standardCapacity) throws(IOLoopError) -> LineStyle {
        var style = self
        style.queue = try LogQueue(descriptor: descriptor, capacity: capacity) { [self] in bytes(of: .lost($0)) }
        return style
    }

    /// Waits until what was logged is written, at most `limit`.
    func flush(within limit: Duration) { queue?.flush(within: limit) }

    /// No more is logged.
    func close() { queue?.close() }

    private static func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    /// A pipe splits writes longer than PIPE_BUF; in this process at least, lines do not mix.
    private static let turn = Mutex<Void>(())

    func write(_ line: LogLine) {
        let bytes = bytes(of: line)
        if let queue { return queue.append(bytes) }
        // What cannot be written is dropped: a log has nobody to complain to, and must not stop the program.
        Self.turn.withLock { _ in _ = bytes.withUnsafeBytes { writeAll($0, to: descriptor, patience: 20) } }
    }

    private func bytes(of line: LogLine) -> [UInt8] {
        isJSON ? line.json() : line.text(colours: hasColours, isTerminal: isTerminal)
    }
}

extension LogLine {
    /// Stands where so many others should.
    fileprivate static func lost(_ lines: Int) -> LogLine {
        LogLine(
            time: .now, level: .warning, label: "parley",
            message: "log lines were dropped: they were not read as fast as they came",
            metadata: ["lines": .stringConvertible(lines)])
    }
}

extension timespec {
    fileprivate static var now: timespec {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return now
    }
}

/// Where the process's log goes, once ``bootstrapLogging(level:format:writer:)`` has said so.
private let processLog = Mutex<LineStyle?>(nil)

/// How long the end of a process waits for a reader of its log.
private let patienceAtExit = Duration.seconds(2)

/// Waits until what was logged is written, so that what is printed next stands behind it.
package func flushLog() { processLog.withLock { $0 }?.flush(within: patienceAtExit) }

/// Who writes the log.
package enum LogWriter: Sendable {
    /// Whoever logs: lines stand where they belong among what a command prints.
    case caller
    /// A thread of its own, for a process that must not wait for who reads. exit(3) waits until all is written.
    case thread
}

/// Sends what swift-log's loggers say to standard error. Once per process: swift-log refuses a second time.
/// - Parameters:
///   - level: events below it are left out.
///   - format: how lines look.
///   - writer: who writes them.
package func bootstrapLogging(level: Logger.Level, format: LogFormat, writer: LogWriter = .caller) {
    var style = LineStyle(format)
    // Without a thread to spare lines are written by who logs.
    if writer == .thread, let queued = try? style.queued() {
        style = queued
        processLog.withLock { $0 = queued }
        atexit { flushLog() }
    }
    let lines = style
    LoggingSystem.bootstrap(
        { label, provider in
            var handler = LineLogHandler(label: label, level: level, style: lines)
            handler.metadataProvider = provider
            return handler
        }, metadataProvider: nil)
}
