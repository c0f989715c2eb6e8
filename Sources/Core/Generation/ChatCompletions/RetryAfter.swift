import Glibc
import ParleyHTTP

/// When a service wants to be asked again.
enum RetryAfter {
    /// The longest wait that is believed.
    static let longest = Duration.seconds(24 * 3600)

    /// `retry-after-ms` (OpenAI, Azure), else `Retry-After` (RFC 9110 §10.2.3: seconds or a date), else, when the
    /// status speaks of a limit, the later of `x-ratelimit-reset-requests` and `-tokens` (`20ms`, `1m30s`).
    static func read(_ headers: [HTTPHeader], isLimit: Bool, now: Int = time(nil)) -> Duration? {
        if let text = headers.first(named: "retry-after-ms"), let value = Double(text) { return bounded(value / 1000) }
        if let text = headers.first(named: "retry-after") {
            if let seconds = Double(text) { return bounded(seconds) }
            if let date = date(text) { return bounded(Double(date - now)) }
        }
        guard isLimit else { return nil }
        return ["x-ratelimit-reset-requests", "x-ratelimit-reset-tokens"]
            .compactMap { headers.first(named: $0).flatMap(span).flatMap(bounded) }.max()
    }

    private static func bounded(_ seconds: Double) -> Duration? {
        guard seconds.isFinite else { return nil }
        return min(longest, .milliseconds(Int((min(max(0, seconds), 1e6) * 1000).rounded(.up))))
    }

    /// Seconds of `1h2m3.5s` or `20ms`.
    static func span(_ text: String) -> Double? {
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

    /// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7, the form that is sent today).
    static func date(_ text: String) -> Int? {
        let parts = text.split { $0 == " " || $0 == "," || $0 == ":" }
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        guard parts.count == 8, parts[7] == "GMT", let day = Int(parts[1]), (1...31).contains(day),
            let month = months.firstIndex(of: String(parts[2])), let year = Int(parts[3]), (1970...9999).contains(year),
            let hour = Int(parts[4]), (0...23).contains(hour), let minute = Int(parts[5]), (0...59).contains(minute),
            let second = Int(parts[6]), (0...60).contains(second)
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
}
