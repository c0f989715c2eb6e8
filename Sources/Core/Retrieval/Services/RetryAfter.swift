import Glibc
import ParleyHTTP

/// When a service wants to be asked again.
enum RetryAfter {
    /// The longest wait that is believed, in seconds.
    private static let longest = 86_400.0

    /// `Retry-After-Ms` as some services send, else `Retry-After` (RFC 9110 §10.2.3): seconds, or a date, which is
    /// compared with the answer's own `Date` because the two clocks may differ.
    static func read(_ headers: [HTTPHeader], now: Int = time(nil)) -> Duration? {
        if let text = headers.first(named: "retry-after-ms"), let value = Double(text) { return wait(value / 1000) }
        guard let text = headers.first(named: "retry-after") else { return nil }
        if let seconds = Double(text) { return wait(seconds) }
        guard let until = date(text) else { return nil }
        let sent = headers.first(named: "date").flatMap(date) ?? now
        return wait(Double(max(0, until - sent)))
    }

    private static func wait(_ seconds: Double) -> Duration? {
        guard seconds.isFinite, seconds >= 0 else { return nil }
        return .milliseconds(Int((min(seconds, longest) * 1000).rounded(.up)))
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
