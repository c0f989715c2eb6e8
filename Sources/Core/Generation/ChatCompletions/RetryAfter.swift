import ChatJobs
import Glibc
import ParleyHTTP
import ParleyJSON

/// When a service wants to be asked again.
enum RetryAfter {
    /// The longest wait that is believed.
    static let longest = Duration.seconds(24 * 3600)

    /// `retry-after-ms` (OpenAI, Azure), else `Retry-After` (RFC 9110 §10.2.3: seconds or a date), else, when the
    /// status speaks of a limit, the latest of the fields that say when it is reset: `x-ratelimit-reset-tokens: 1m30s`
    /// (OpenAI), `X-RateLimit-Reset: 1741305600000` (OpenRouter), `anthropic-ratelimit-requests-reset: 2026-…Z`.
    static func read(_ headers: [HTTPHeader], isLimit: Bool, now: Int = time(nil)) -> Duration? {
        if let text = headers.first(named: "retry-after-ms"), let value = Double(text.trimmed) {
            return bounded(value / 1000)
        }
        if let wait = headers.first(named: "retry-after").flatMap({ seconds($0.trimmed, now) }) { return bounded(wait) }
        guard isLimit else { return nil }
        return headers.filter { isReset($0.name.lowercased()) }
            .compactMap { instant($0.value.trimmed, now).flatMap(bounded) }.max()
    }

    private static func isReset(_ name: String) -> Bool {
        name.hasPrefix("x-ratelimit-reset") || name == "ratelimit-reset"
            || name.hasPrefix("anthropic-ratelimit-") && name.hasSuffix("-reset")
    }

    /// A member of an error that speaks of a wait: Google's `retryDelay`, Hugging Face's `estimated_time` and others.
    static func member(_ name: String, _ value: JSONElement, now: Int = time(nil)) -> Duration? {
        let isMilliseconds = name.lowercased().hasSuffix("ms")
        if let number = value.double { return bounded(isMilliseconds ? number / 1000 : number) }
        if let text = value.string?.trimmed {
            if isMilliseconds { return Double(text).flatMap { bounded($0 / 1000) } }
            return seconds(text, now).flatMap(bounded)
        }
        // protobuf's Duration as an object.
        return value["seconds"].flatMap { $0.double ?? $0.string.flatMap(Double.init) }.flatMap(bounded)
    }

    /// A wait that a server's sentence names: "Please try again in 20s", "retry after 7 seconds", "retry in 39.5s".
    static func sentence(_ text: String) -> Duration? {
        let text = text.lowercased()
        for phrase in ["try again in ", "try again after ", "retry after ", "retry in ", "retry again in "] {
            guard let start = text.firstRange(of: phrase)?.upperBound else { continue }
            let rest = text[start...]
            let word = rest.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == ".") }
            let span = word.hasSuffix(".") ? word.dropLast() : word
            if let wait = Self.span(String(span)) { return bounded(wait) }
            guard let number = Double(span) else { continue }
            let unit = rest[word.endIndex...].drop { $0 == " " }
            let factor =
                if unit.hasPrefix("ms") || unit.hasPrefix("millisecond") {
                    0.001
                } else if unit.hasPrefix("m") {
                    60.0
                } else if unit.hasPrefix("h") {
                    3600.0
                } else {
                    1.0
                }
            return bounded(number * factor)
        }
        return nil
    }

    private static func bounded(_ seconds: Double) -> Duration? {
        guard seconds.isFinite else { return nil }
        return min(longest, .milliseconds(Int((min(max(0, seconds), 1e6) * 1000).rounded(.up))))
    }

    /// Seconds from now: a number, a span or a date.
    private static func seconds(_ text: String, _ now: Int) -> Double? {
        if let seconds = Double(text) { return seconds }
        return span(text) ?? date(text).map { Double($0 - now) }
    }

    /// As ``seconds(_:_:)``, where a number that large is an instant: since 1970, in seconds or milliseconds.
    private static func instant(_ text: String, _ now: Int) -> Double? {
        guard let number = Double(text), number > 1e9 else { return seconds(text, now) }
        return (number > 1e11 ? number / 1000 : number) - Double(now)
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

    /// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7, the form that is sent today) or of
    /// `1994-11-06T08:49:37Z` (RFC 3339).
    static func date(_ text: String) -> Int? {
        if let instant = Timestamp(text) { return Int(instant.milliseconds / 1000) }
        let parts = text.split { $0 == " " || $0 == "," || $0 == ":" || $0 == "-" }
        let months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
        guard parts.count == 8, parts[7] == "GMT" || parts[7] == "UTC", let day = Int(parts[1]),
            (1...31).contains(day),
            let month = months.firstIndex(of: String(parts[2].lowercased())), let year = Int(parts[3]),
            (1970...9999).contains(year),
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
