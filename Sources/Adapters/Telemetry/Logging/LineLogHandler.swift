import Glibc
import Logging
import Synchronization

/// Writes each event as one line, with one write(2), to a descriptor.
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
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        style.write(
            LogLine(time: now, level: event.level, label: label, message: event.message.description, metadata: all))
    }
}

/// How lines look and where they go, decided once.
package struct LineStyle: Sendable {
    private let descriptor: Int32
    private let isJSON: Bool
    private let isTerminal: Bool
    private let hasColours: Bool

    /// - Parameters:
    ///   - format: `auto` asks whether `descriptor` is a terminal.
    ///   - descriptor: an open file descriptor; standard error by default.
    ///
    /// Colours are for text on a terminal, unless `NO_COLOR` is set (https://no-color.org) or `TERM` is `dumb`.
    package init(_ format: LogFormat, descriptor: Int32 = STDERR_FILENO) {
        self.descriptor = descriptor
        isTerminal = isatty(descriptor) == 1
        isJSON = format == .json || format == .auto && !isTerminal
        hasColours = isTerminal && (Self.variable("NO_COLOR") ?? "").isEmpty && Self.variable("TERM") != "dumb"
    }

    private static func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    /// A pipe splits writes longer than PIPE_BUF; in this process at least, lines do not mix.
    private static let turn = Mutex<Void>(())

    func write(_ line: LogLine) {
        let bytes = isJSON ? line.json() : line.text(colours: hasColours, isTerminal: isTerminal)
        Self.turn.withLock { _ in bytes.withUnsafeBytes(writeAll) }
    }

    /// What cannot be written is dropped: a log has nobody to complain to, and must not stop the program.
    private func writeAll(_ bytes: UnsafeRawBufferPointer) {
        var rest = bytes
        while !rest.isEmpty {
            let written = Glibc.write(descriptor, rest.baseAddress, rest.count)
            if written >= 0 {
                rest = UnsafeRawBufferPointer(rebasing: rest[written...])
            } else if errno == EAGAIN {
                var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                guard poll(&wait, 1, 20) > 0 else { return }
            } else if errno != EINTR {
                return
            }
        }
    }
}

/// Sends what swift-log's loggers say to standard error. Once per process: swift-log refuses a second time.
/// - Parameters:
///   - level: events below it are left out.
///   - format: how lines look.
package func bootstrapLogging(level: Logger.Level, format: LogFormat) {
    let style = LineStyle(format)
    LoggingSystem.bootstrap(
        { label, provider in
            var handler = LineLogHandler(label: label, level: level, style: style)
            handler.metadataProvider = provider
            return handler
        }, metadataProvider: nil)
}
