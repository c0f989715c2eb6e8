import ParleyPrimitives

/// How far apart the starts of a busy model's calls are kept, so that calls that all take the same time do not all end at
/// the same moment: whoever comes next, however urgent, would have to wait for a whole round of them.
///
/// What is common to all calls' lengths is the smoothed length less twice its smoothed deviation (as RFC 6298, section 2,
/// has them for round trips). Calls whose lengths vary much end apart by themselves, and nothing is held back.
struct CallPace {
    /// Nine tenths of an even spread: a held-back start costs no throughput, since places come free more slowly.
    private static let share = 0.9
    /// Calls shorter than this are not worth it.
    private static let worthwhile = 0.02
    /// A timer that fires late is made up for by so much.
    private static let slack = Duration.milliseconds(10)

    /// Seconds.
    private var mean = 0.0
    private var deviation = 0.0
    /// All places were taken not long before this moment.
    private var busyUntil = Duration.zero
    /// The moment before which no call is to start while the model is busy.
    private var earliest = Duration.zero

    /// A call was answered, well or badly: fast failures make room as fast as they come.
    mutating func ended(after length: Duration) {
        let seconds = length.milliseconds / 1000
        guard mean > 0 else {
            mean = seconds
            return
        }
        deviation += (abs(seconds - mean) - deviation) / 4
        mean += (seconds - mean) / 8
    }

    /// How long the next start is to be held back; nil when it may be now.
    func hold(now: Duration) -> Duration? { now < busyUntil && now < earliest ? earliest - now : nil }

    /// A call has started.
    mutating func started(now: Duration, running: Int, limit: Int) {
        let common = mean - 2 * deviation
        guard common > Self.worthwhile else { return }
        if running >= limit { busyUntil = now + .seconds(2 * mean) }
        earliest = max(earliest, now - Self.slack) + .seconds(Self.share * common / Double(limit))
    }
}
