import Glibc

/// Whole units, rounded up, so that nothing is sooner than was asked for; what does not fit is the largest number that
/// does.
extension Duration {
    package var wholeNanoseconds: Int64 { count(of: 1_000_000_000) }
    package var wholeMilliseconds: Int64 { count(of: 1000) }
    package var wholeSeconds: Int64 { count(of: 1) }

    /// Not rounded, for what people read.
    package var milliseconds: Double { self / .milliseconds(1) }

    private func count(of unitsInASecond: Int64) -> Int64 {
        let (seconds, attoseconds) = components
        let (whole, fraction) = attoseconds.quotientAndRemainder(
            dividingBy: 1_000_000_000_000_000_000 / unitsInASecond)
        let (units, isBeyond) = seconds.multipliedReportingOverflow(by: unitsInASecond)
        let (sum, isBeyondToo) = units.addingReportingOverflow(fraction > 0 ? whole + 1 : whole)
        return isBeyond || isBeyondToo ? (seconds < 0 ? .min : .max) : sum
    }

    /// For system calls to which zero means "for ever": at least a microsecond, at most a day.
    package var timeval: timeval {
        let microseconds = max(1, min(86_400_000_000, count(of: 1_000_000)))
        return Glibc.timeval(tv_sec: Int(microseconds / 1_000_000), tv_usec: Int(microseconds % 1_000_000))
    }
}
