import Glibc

/// When a server wants to be asked again, as its header fields say.
package enum RetryAfter {
    /// The longest wait that is believed.
    package static let longest = Duration.seconds(24 * 3600)

    /// `retry-after-ms` (OpenAI, Azure), else `Retry-After` (RFC 9110 §10.2.3): seconds, a span such as `1m30s`, or a date.
    ///
    /// A date is compared with the answer's own `Date`, because the two clocks may differ.
    package static func read(_ headers: [HTTPHeader], now: Int = time(nil)) -> Duration? {
        if let text = headers.first(named: "retry-after-ms"), let value = Double(trimmed(text)) {
            return wait(value / 1000)
        }
        guard let text = headers.first(named: "retry-after").map(trimmed) else { return nil }
        if let seconds = seconds(text) { return wait(seconds) }
        guard let until = HTTPDate.seconds(text) else { return nil }
        return wait(until: until, sent: HTTPDate.sent(headers) ?? now)
    }

    /// Seconds as a number or a span.
    package static func seconds(_ text: String) -> Double? { Double(text) ?? span(text) }

    /// Nil when nothing can be meant by it; more than ``longest`` is that.
    package static func wait(_ seconds: Double) -> Duration? {
        guard seconds.isFinite, seconds >= 0 else { return nil }
        return min(longest, .milliseconds(Int((min(seconds, 1e6) * 1000).rounded(.up))))
    }

    /// None when the time has come.
    package static func wait(until: Int, sent: Int) -> Duration? { wait(Double(max(0, until - sent))) }

    /// Seconds of `1h2m3.5s` or `20ms`.
    package static func span(_ text: String) -> Double? {
        var total = 0.0
        var rest = text[...]
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
            let unit = rest[digits.endIndex...].prefix { $0.isASCII && $0.isLetter }
            guard let value = Double(digits) else { return nil }
            switch unit {
            case "ms": total += value / 1000
            case "s": total += value
            case "m": total += value * 60
            case "h": total += value * 3600
            case "d": total += value * 86400
            default: return nil
            }
            rest = rest[unit.endIndex...]
        }
        return text.isEmpty ? nil : total
    }

    private static func trimmed(_ text: String) -> String {
        String(text.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
    }
}

/// Dates in header fields.
package enum HTTPDate {
    /// Seconds since 1970 of a date in one of the forms of RFC 9110 §5.6.7: `Sun, 06 Nov 1994 08:49:37 GMT`, which is sent
    /// today, `Sunday, 06-Nov-94 08:49:37 GMT` and `Sun Nov  6 08:49:37 1994`.
    package static func seconds(_ text: String) -> Int? {
        var parts = text.split { $0 == " " || $0 == "," || $0 == ":" || $0 == "-" }
        if parts.count == 7 {
            // C's asctime: the month before the day, the year last, no zone.
            parts = [parts[0], parts[2], parts[1], parts[6], parts[3], parts[4], parts[5], "GMT"]
        }
        guard parts.count == 8, parts[7] == "GMT" || parts[7] == "UTC" else { return nil }
        let months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
        guard let day = number(parts[1], 1...31), let month = months.firstIndex(of: parts[2].lowercased()),
            let year = year(parts[3]), let hour = number(parts[4], 0...23), let minute = number(parts[5], 0...59),
            let second = number(parts[6], 0...60)
        else { return nil }
        var fields = tm()
        fields.tm_year = Int32(year - 1900)
        fields.tm_mon = Int32(month)
        fields.tm_mday = Int32(day)
        fields.tm_hour = Int32(hour)
        fields.tm_min = Int32(minute)
        fields.tm_sec = Int32(second)
        return timegm(&fields)
    }

    /// When an answer was sent, as its `Date` says.
    package static func sent(_ headers: [HTTPHeader]) -> Int? { headers.first(named: "date").flatMap(seconds) }

    private static func number(_ text: Substring, _ allowed: ClosedRange<Int>) -> Int? {
        Int(text).flatMap { allowed.contains($0) ? $0 : nil }
    }

    /// Of two digits the century is guessed, as POSIX does.
    private static func year(_ text: Substring) -> Int? {
        guard text.utf8.count == 2 else { return number(text, 1970...9999) }
        return number(text, 0...99).map { $0 + ($0 < 69 ? 2000 : 1900) }.flatMap { $0 >= 1970 ? $0 : nil }
    }
}
