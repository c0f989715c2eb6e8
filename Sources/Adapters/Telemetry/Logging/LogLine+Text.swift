import Glibc
import Logging
import ParleyPrimitives

extension LogLine {
    /// Where metadata begin when the message leaves room for it.
    private static let messageColumns = 40

    /// Time of day, level, message, `key=value` and a line feed. Control characters are written as escapes: what a peer
    /// sent cannot steer the terminal, nor forge a second line.
    /// - Parameters:
    ///   - colours: whether to use ANSI colours.
    ///   - isTerminal: a terminal shows the local time of day; anything else that is read later gets the date and UTC.
    func text(colours: Bool, isTerminal: Bool) -> [UInt8] {
        func paint(_ text: String, _ colour: String) -> String {
            colours ? "\u{1B}[\(colour)m\(text)\u{1B}[0m" : text
        }
        let message = Self.printable(Self.fit(message, into: Self.maximumValueBytes))
        let name = level.rawValue.uppercased()
        var line = paint(isTerminal ? localTimeOfDay : utc, "2")
        line += " " + paint(name + String(repeating: " ", count: max(0, 8 - name.count)), level.colour)
        line += " " + message
        if !metadata.isEmpty, message.count < Self.messageColumns {
            line += String(repeating: " ", count: Self.messageColumns - message.count)
        }
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
            guard line.utf8.count < Self.maximumBytes - Self.maximumValueBytes - 512 else {
                line += " …"
                break
            }
            line += " " + paint(Self.printable(Self.fit(key, into: 256)) + "=", "2")
            line += Self.quoted(Self.fit(value.description, into: Self.maximumValueBytes / 2))
        }
        return Array((line + "\n").utf8)
    }

    private var localTimeOfDay: String {
        var seconds = time.tv_sec
        var parts = tm()
        localtime_r(&seconds, &parts)
        return "\(Self.pad(parts.tm_hour, 2)):\(Self.pad(parts.tm_min, 2)):\(Self.pad(parts.tm_sec, 2))"
            + ".\(Self.pad(time.tv_nsec / 1_000_000, 3))"
    }

    private static func quoted(_ value: String) -> String {
        let plain = value.unicodeScalars.allSatisfy {
            $0 != " " && $0 != "\"" && $0 != "=" && $0 != "\\" && !isControl($0)
        }
        if plain, !value.isEmpty { return value }
        return "\"\(printable(value, escapesQuotes: true))\""
    }

    private static func printable(_ text: String, escapesQuotes: Bool = false) -> String {
        guard text.unicodeScalars.contains(where: { isControl($0) || escapesQuotes && ($0 == "\"" || $0 == "\\") })
        else { return text }
        var escaped = ""
        for character in text.unicodeScalars {
            switch character {
            case "\n": escaped += "\\n"
            case "\r": escaped += "\\r"
            case "\t": escaped += "\\t"
            case "\"" where escapesQuotes, "\\" where escapesQuotes: escaped += "\\\(character)"
            case _ where isControl(character): escaped += "\\u{\(String(character.value, radix: 16))}"
            default: escaped.unicodeScalars.append(character)
            }
        }
        return escaped
    }

    private static func isControl(_ character: UnicodeScalar) -> Bool {
        character.value < 0x20 || character.value >= 0x7F && VisibleText.steers(character)
    }
}

extension Logger.Level {
    /// The parameters of an ANSI "select graphic rendition" sequence.
    fileprivate var colour: String {
        switch self {
        case .trace, .debug: "2"
        case .info: "32"
        case .notice: "36"
        case .warning: "33"
        case .error: "31"
        case .critical: "1;31"
        }
    }
}
