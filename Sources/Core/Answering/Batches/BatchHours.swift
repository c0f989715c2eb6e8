import ChatJobs

/// `model.batch_hours`: the hours of the day, in UTC, in which batches are made.
package struct BatchHours: Sendable, Equatable {
    /// 0 … 23.
    package let start: Int
    /// The first hour that is none of them; a lower one than ``start`` is the next day's.
    package let end: Int

    private static let hour: Int64 = 3_600_000

    /// - Parameters: hours, 0 … 24.
    package init(start: Int, end: Int) {
        self.start = start % 24
        self.end = end % 24
    }

    /// How long it is until they begin; nil when it is one of them.
    package func wait(at now: Timestamp) -> Duration? {
        let day = 24 * Self.hour
        let time = now.milliseconds % day
        let since = (time - Int64(start) * Self.hour + day) % day
        let length = (Int64(end - start) * Self.hour + day) % day
        // From an hour to the same is all day.
        return length == 0 || since < length ? nil : .milliseconds(day - since)
    }
}
