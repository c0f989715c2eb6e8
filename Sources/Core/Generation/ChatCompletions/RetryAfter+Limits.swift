import ChatJobs
import Glibc
import ParleyHTTP
import ParleyJSON

/// Where else services of models say when they want to be asked again.
extension RetryAfter {
    /// ``read(_:now:)``, else, when the status speaks of a limit, the latest of the fields that say when it is reset:
    /// `x-ratelimit-reset-tokens: 1m30s` (OpenAI), `X-RateLimit-Reset: 1741305600000` (OpenRouter),
    /// `anthropic-ratelimit-requests-reset: 2026-…Z`.
    static func read(_ headers: [HTTPHeader], isLimit: Bool, now: Int = time(nil)) -> Duration? {
        if let wait = read(headers, now: now) { return wait }
        let sent = HTTPDate.sent(headers) ?? now
        if let text = headers.first(named: "retry-after"), let instant = Timestamp(text.trimmed) {
            return wait(until: Int(instant.milliseconds / 1000), sent: sent)
        }
        guard isLimit else { return nil }
        return headers.filter { isReset($0.name.lowercased()) }.compactMap { reset($0.value.trimmed, sent) }.max()
    }

    private static func isReset(_ name: String) -> Bool {
        name.hasPrefix("x-ratelimit-reset") || name == "ratelimit-reset"
            || name.hasPrefix("anthropic-ratelimit-") && name.hasSuffix("-reset")
    }

    /// Of seconds, a span or a date; a number that large is an instant: since 1970, in seconds or milliseconds.
    private static func reset(_ text: String, _ now: Int) -> Duration? {
        guard let number = Double(text), number > 1e9 else { return span(orDate: text, now) }
        return wait(max(0, (number > 1e11 ? number / 1000 : number) - Double(now)))
    }

    private static func span(orDate text: String, _ now: Int) -> Duration? {
        if let seconds = seconds(text) { return wait(seconds) }
        let instant = Timestamp(text).map { Int($0.milliseconds / 1000) } ?? HTTPDate.seconds(text)
        return instant.flatMap { wait(until: $0, sent: now) }
    }

    /// A member of an error that speaks of a wait: Google's `retryDelay`, Hugging Face's `estimated_time` and others.
    static func member(_ name: String, _ value: JSONElement, now: Int = time(nil)) -> Duration? {
        let isMilliseconds = name.lowercased().hasSuffix("ms")
        if let number = value.double { return wait(isMilliseconds ? number / 1000 : number) }
        if let text = value.string?.trimmed {
            return isMilliseconds ? Double(text).flatMap { wait($0 / 1000) } : span(orDate: text, now)
        }
        // protobuf's Duration as an object.
        return value["seconds"].flatMap { $0.double ?? $0.string.flatMap(Double.init) }.flatMap(wait)
    }

    /// A wait that a server's sentence names: "Please try again in 20s", "retry after 7 seconds", "retry in 39.5s".
    static func sentence(_ text: String) -> Duration? {
        let text = text.lowercased()
        for phrase in ["try again in ", "try again after ", "retry after ", "retry in ", "retry again in "] {
            guard let start = text.firstRange(of: phrase)?.upperBound else { continue }
            let rest = text[start...]
            let word = rest.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == ".") }
            let span = word.hasSuffix(".") ? word.dropLast() : word
            if let seconds = Self.span(String(span)) { return wait(seconds) }
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
            return wait(number * factor)
        }
        return nil
    }
}
