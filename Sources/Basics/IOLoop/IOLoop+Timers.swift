import Glibc
import HeapModule
import ParleyPrimitives

/// A timer of an ``IOLoop``, for ``IOLoop/cancel(_:)``.
package struct IOTimer: Sendable, Hashable {
    let id: UInt64
}

/// A moment of the loop's clock: since the machine was started, the time it slept included.
///
/// Not `ContinuousClock.Instant`, whose size only the standard library knows: every copy of one that may be missing is a
/// call there.
package struct IOInstant: Sendable, Hashable, Comparable {
    let nanoseconds: Int64

    package static var now: IOInstant { IOInstant(nanoseconds: IOLoop.nanoseconds()) }

    package static func < (a: IOInstant, b: IOInstant) -> Bool { a.nanoseconds < b.nanoseconds }
    package static func - (a: IOInstant, b: IOInstant) -> Duration { .nanoseconds(a.nanoseconds - b.nanoseconds) }
    /// Never, when the delay is beyond all time.
    package static func + (start: IOInstant, delay: Duration) -> IOInstant {
        let (sum, isBeyond) = start.nanoseconds.addingReportingOverflow(delay.wholeNanoseconds)
        return IOInstant(nanoseconds: isBeyond ? .max : sum)
    }
}

/// When a timer is due. What it does is kept apart, by its id, until it fires or is cancelled: what the heap moves
/// about is two words.
struct TimerEntry: Comparable {
    /// Nanoseconds of the loop's clock.
    let due: Int64
    let id: UInt64

    static func < (a: TimerEntry, b: TimerEntry) -> Bool { a.due == b.due ? a.id < b.id : a.due < b.due }
}

extension IOLoop {
    /// Calls `body` once on the loop, `delay` from now (never early, at most about a millisecond late on an idle loop).
    @discardableResult
    package func schedule(after delay: Duration, _ body: @escaping () -> Void) -> IOTimer {
        schedule(at: .now + max(.zero, delay), body)
    }

    /// The same at a certain moment, at once when it is past.
    @discardableResult
    package func schedule(at due: IOInstant, _ body: @escaping () -> Void) -> IOTimer {
        assertOnLoop()
        let id = timerBodies.insert(body)
        timers.insert(TimerEntry(due: due.nanoseconds, id: id))
        return IOTimer(id: id)
    }

    /// Prevents a timer from firing; one that has fired, or is unknown, is ignored.
    package func cancel(_ timer: IOTimer) {
        assertOnLoop()
        guard timerBodies.remove(timer.id) != nil else { return }
        // A cancelled entry stays until due; when most entries are such, rebuild.
        if timers.count > 64, timerBodies.count * 2 < timers.count {
            timers = Heap(timers.unordered.filter { timerBodies[$0.id] != nil })
        }
    }

    /// Milliseconds, rounded up; −1 when there is no timer.
    func nextTimerDelay() -> Int32 {
        while let first = timers.min, timerBodies[first.id] == nil { timers.removeMin() }
        guard let first = timers.min else { return -1 }
        let left = first.due - Self.nanoseconds()
        return left <= 0 ? 0 : Int32(clamping: (left - 1) / 1_000_000 + 1)
    }

    func fireTimers() {
        guard !timers.isEmpty else { return }
        let now = Self.nanoseconds()
        while let first = timers.min, first.due <= now {
            timers.removeMin()
            timerBodies.remove(first.id)?()
        }
    }

    /// Of the loop's clock.
    static func nanoseconds() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
