/// A moment of wall-clock time in UTC, as RFC 3339 writes it. Only for what other systems say and read; durations inside
/// Parley come from a monotonic clock.
public struct Timestamp: Sendable, Hashable, Comparable {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    public var milliseconds: Int64

    public init(milliseconds: Int64) { self.milliseconds = milliseconds }

    public static func < (a: Timestamp, b: Timestamp) -> Bool { a.milliseconds < b.milliseconds }

    /// How long from `other` to this; negative when this is earlier. The longest there is when it is longer.
    public func since(_ other: Timestamp) -> Duration {
        let (difference, isOver) = milliseconds.subtractingReportingOverflow(other.milliseconds)
        return .milliseconds(isOver ? milliseconds < other.milliseconds ? .min : .max : difference)
    }

    /// Parses RFC 3339 (section 5.6): `2026-11-22T22:00:30Z`, with fractions and offsets, and offsets without their
    /// colon, as many languages write them (`+0000`); nil for anything else, for dates that do not exist, and for years outside 1970…9999.
    public init?(_ text: String) {
        var scanner = Scanner(text.utf8)
        guard let year = scanner.digits(4), scanner.take("-"), let month = scanner.digits(2), scanner.take("-"),
            let day = scanner.digits(2), scanner.take("T") || scanner.take("t") || scanner.take(" "),
            let hour = scanner.digits(2), scanner.take(":"), let minute = scanner.digits(2), scanner.take(":"),
            let second = scanner.digits(2)
        else { return nil }
        var fraction: Int64 = 0
        if scanner.take(".") {
            guard let value = scanner.milliseconds() else { return nil }
            fraction = value
        }
        var offset: Int64 = 0
        if !(scanner.take("Z") || scanner.take("z")) {
            let sign: Int64
            if scanner.take("+") { sign = -1 } else if scanner.take("-") { sign = 1 } else { return nil }
            guard let hours = scanner.digits(2) else { return nil }
            _ = scanner.take(":")
            guard let minutes = scanner.digits(2), hours < 24, minutes < 60 else { return nil }
            offset = sign * (hours * 60 + minutes) * 60
        }
        guard scanner.isAtEnd, (1970...9999).contains(year), (1...12).contains(month), day >= 1,
            day <= Self.days(in: month, of: year), hour < 24, minute < 60, second <= 60
        else { return nil }
        let days = Self.daysSinceEpoch(year: year, month: month, day: day)
        milliseconds = ((days * 24 + hour) * 60 + minute) * 60_000 + second * 1000 + offset * 1000 + fraction
        // An offset may have carried it over the edge, to where ``rfc3339`` would write what nobody reads.
        guard (0..<253_402_300_800_000).contains(milliseconds) else { return nil }
    }

    /// RFC 3339 in UTC with milliseconds: `2026-11-22T22:00:30.000Z`.
    public var rfc3339: String {
        let days = milliseconds.flooredDivision(by: 86_400_000)
        let rest = milliseconds - days * 86_400_000
        let (year, month, day) = Self.civil(daysSinceEpoch: days)
        func pad(_ value: Int64, _ width: Int) -> String {
            let digits = String(value)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        return
            "\(pad(year, 4))-\(pad(month, 2))-\(pad(day, 2))T\(pad(rest / 3_600_000, 2)):\(pad(rest / 60_000 % 60, 2))"
            + ":\(pad(rest / 1000 % 60, 2)).\(pad(rest % 1000, 3))Z"
    }

    private static func days(in month: Int64, of year: Int64) -> Int64 {
        switch month {
        case 2: (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// Howard Hinnant, chrono-Compatible Low-Level Date Algorithms, days_from_civil.
    private static func daysSinceEpoch(year: Int64, month: Int64, day: Int64) -> Int64 {
        let y = month <= 2 ? year - 1 : year
        let era = y.flooredDivision(by: 400)
        let yearOfEra = y - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    /// The same source, civil_from_days.
    private static func civil(daysSinceEpoch days: Int64) -> (Int64, Int64, Int64) {
        let z = days + 719_468
        let era = z.flooredDivision(by: 146_097)
        let dayOfEra = z - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let mp = (5 * dayOfYear + 2) / 153
        let month = mp < 10 ? mp + 3 : mp - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * mp + 2) / 5 + 1)
    }

    private struct Scanner {
        var rest: Substring.UTF8View
        init(_ text: String.UTF8View) { rest = text[...] }
        var isAtEnd: Bool { rest.isEmpty }

        mutating func take(_ character: UnicodeScalar) -> Bool {
            guard let first = rest.first, UInt32(first) == character.value else { return false }
            rest.removeFirst()
            return true
        }

        mutating func digits(_ count: Int) -> Int64? {
            var value: Int64 = 0
            for _ in 0..<count {
                guard let byte = rest.first, byte &- 48 <= 9 else { return nil }
                rest.removeFirst()
                value = value * 10 + Int64(byte - 48)
            }
            return value
        }

        /// The digits of a fraction, cut to milliseconds.
        mutating func milliseconds() -> Int64? {
            var value: Int64 = 0
            var count = 0
            while let byte = rest.first, byte &- 48 <= 9 {
                rest.removeFirst()
                if count < 3 { value = value * 10 + Int64(byte - 48) }
                count += 1
            }
            guard count > 0 else { return nil }
            for _ in min(count, 3)..<3 { value *= 10 }
            return value
        }
    }
}

extension Int64 {
    fileprivate func flooredDivision(by divisor: Int64) -> Int64 {
        let quotient = self / divisor
        return self % divisor < 0 ? quotient - 1 : quotient
    }
}
