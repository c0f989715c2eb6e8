import ChatJobs
import Glibc
import ParleySettings

/// Moments as operators write them.
enum Moment {
    static var now: Timestamp {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return Timestamp(milliseconds: Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec / 1_000_000))
    }

    /// RFC 3339, or a duration for that long ago.
    static func parse(_ text: String) -> Timestamp? {
        if let timestamp = Timestamp(text) { return timestamp }
        guard let ago = Quantity.duration(text) else { return nil }
        return Timestamp(milliseconds: max(0, now.milliseconds - Int64(ago / .milliseconds(1))))
    }
}
