import Glibc
import Logging

/// One event, ready to be written down.
struct LogLine {
    /// Bytes a line may have, more or less a closing bracket.
    static let maximumBytes = 16 * 1024
    /// Bytes one value may have, counted as they are written.
    static let maximumValueBytes = 4 * 1024

    var time: timespec
    var level: Logger.Level
    var label: String
    var message: String
    var metadata: Logger.Metadata

    /// What of `text` fits into `budget` bytes once it is escaped for JSON; what was cut ends in `…`.
    static func fit(_ text: String, into budget: Int) -> String {
        guard text.utf8.count > budget / 6 else { return text }
        var cost = 0
        for index in text.unicodeScalars.indices {
            let character = text.unicodeScalars[index]
            switch character {
            case "\"", "\\", "\n", "\r", "\t": cost += 2
            case _ where character.value < 0x20: cost += 6
            default: cost += UTF8.width(character)
            }
            if cost > budget { return String(text[..<index]) + "…" }
        }
        return text
    }

    static func pad(_ value: some BinaryInteger, _ width: Int) -> String {
        let digits = String(value)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}
