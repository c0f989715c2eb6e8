import Glibc
import ParleyPrimitives
import Telemetry

// What commands print goes through these, since nearly all of it holds what others sent: no byte of that reaches a terminal
// raw. Each line is written at once, so that a reader of a pipe sees it; a reader that has gone ends the command.

/// Writes JSON: to programs as it is, on a terminal with JSON's escapes for what would steer it.
func printLine(_ json: [UInt8]) { writeLine(isTerminal ? VisibleText.ofJSON(json) : json) }

/// Writes text for people.
func printLine(_ text: String) { writeLine(Array(VisibleText.of(text).utf8)) }

/// Writes the parts of a line without its end.
func printPiece(_ text: String) { writeOut(Array(VisibleText.of(text).utf8)) }

/// Foreign text that belongs on one line, and cannot make a second.
func oneLine(_ text: String) -> String { VisibleText.of(text, lines: false) }

/// Rewrites a terminal from its top with lines of text: home, the text, and away with what was longer before; a full clear
/// would flicker.
func rewriteScreen(_ lines: [String]) {
    writeOut(Array(("\u{1B}[H" + lines.map { oneLine($0) + "\u{1B}[K\n" }.joined() + "\u{1B}[J").utf8))
}

/// Writes a line to standard error, behind what was logged before.
func printError(_ text: String) {
    flushLog()
    _ = writeAll(Array((VisibleText.of(text) + "\n").utf8), to: STDERR_FILENO)
}

private func writeLine(_ bytes: [UInt8]) { writeOut(bytes + [UInt8(ascii: "\n")]) }

private func writeOut(_ bytes: [UInt8]) {
    if !writeAll(bytes, to: STDOUT_FILENO) { _exit(ExitStatus.failed.rawValue) }
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
        if let rate { text += ", \(Int(exactly: rate.rounded()) ?? 0)/s" }
        _ = writeAll(Array((text + "\u{1B}[K").utf8), to: STDERR_FILENO)
    }

    func end() {
        if isShown { _ = writeAll(Array("\r\u{1B}[K".utf8), to: STDERR_FILENO) }
    }
}
