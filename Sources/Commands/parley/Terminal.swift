import Glibc
import Telemetry

/// Writes a line to standard output at once, so that a reader of a pipe sees it; a reader that has gone ends the command.
func printLine(_ bytes: some Collection<UInt8>) {
    if !writeAll(Array(bytes) + [UInt8(ascii: "\n")], to: STDOUT_FILENO) { _exit(ExitStatus.failed.rawValue) }
}

/// On a terminal without control characters: what producers send could write anywhere on it, or type.
func printLine(_ text: String) {
    guard isTerminal else { return printLine(text.utf8) }
    var clean = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
        let isKept = scalar.properties.generalCategory != .control || scalar == "\n" || scalar == "\t"
        clean.append(isKept ? scalar : "\u{FFFD}")
    }
    printLine(String(clean).utf8)
}

/// Writes a line to standard error, behind what was logged before.
func printError(_ text: String) {
    flushLog()
    _ = writeAll(Array((text + "\n").utf8), to: STDERR_FILENO)
}

private func writeAll(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
    var written = 0
    while written < bytes.count {
        let count = bytes[written...].withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        if count < 0, errno != EINTR { return false }
        written += max(0, count)
    }
    return true
}

/// Whether people look at standard output.
var isTerminal: Bool { isatty(STDOUT_FILENO) != 0 }

/// A line that rewrites itself on a terminal, and is silent in a pipe.
struct ProgressLine {
    private let isShown = isatty(STDERR_FILENO) != 0
    private var last = ContinuousClock.now - .seconds(1)

    /// Shows at most ten times a second.
    mutating func show(_ done: Int, of total: Int?, _ what: String, rate: Double? = nil) {
        guard isShown, ContinuousClock.now - last > .milliseconds(100) || done == total else { return }
        last = .now
        var text = "\r"
        if let total, total > 0 {
            let filled = min(24, 24 * done / total)
            text +=
                "[" + String(repeating: "#", count: filled) + String(repeating: ".", count: 24 - filled)
                + "] \(done)/\(total)"
        } else {
            text += "\(done)"
        }
        text += " \(what)"
        if let rate { text += ", \(Int(rate))/s" }
        _ = writeAll(Array((text + "\u{1B}[K").utf8), to: STDERR_FILENO)
    }

    func end() {
        if isShown { _ = writeAll(Array("\r\u{1B}[K".utf8), to: STDERR_FILENO) }
    }
}
