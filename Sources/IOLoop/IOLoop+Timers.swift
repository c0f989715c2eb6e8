import HeapModule

/// A timer of an ``IOLoop``, for ``IOLoop/cancel(_:)``.
public struct IOTimer: Sendable, Hashable {
    let id: UInt64
}

struct TimerEntry: Comparable {
    let due: ContinuousClock.Instant
    let id: UInt64
    let body: () -> Void

    static func < (a: TimerEntry, b: TimerEntry) -> Bool { (a.due, a.id) < (b.due, b.id) }
    static func == (a: TimerEntry, b: TimerEntry) -> Bool { a.id == b.id }
}

extension IOLoop {
    /// Calls `body` once on the loop, `delay` from now (never early, at most about a millisecond late on an idle loop).
    @discardableResult
    public func schedule(after delay: Duration, _ body: @escaping () -> Void) -> IOTimer {
        assertOnLoop()
        let id = nextToken
        nextToken += 1
        timers.insert(TimerEntry(due: .now + delay, id: id, body: body))
        liveTimers.insert(id)
        return IOTimer(id: id)
    }

    /// Prevents a timer from firing; one that has fired, or is unknown, is ignored.
    public func cancel(_ timer: IOTimer) {
        assertOnLoop()
        guard liveTimers.remove(timer.id) != nil else { return }
        // A cancelled entry keeps its closure until due; when most entries are such, rebuild.
        if timers.count > 64, liveTimers.count * 2 < timers.count {
            timers = Heap(timers.unordered.filter { liveTimers.contains($0.id) })
        }
    }

    func nextTimerDelay() -> Int32 {
        while let first = timers.min, !liveTimers.contains(first.id) { timers.removeMin() }
        guard let first = timers.min else { return -1 }
        let left = (first.due - .now).components
        guard left.seconds >= 0, left.attoseconds >= 0 else { return 0 }
        let milliseconds = left.seconds * 1000 + (left.attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
        return Int32(clamping: milliseconds)
    }

    func fireTimers() {
        guard !timers.isEmpty else { return }
        let now = ContinuousClock.now
        while let first = timers.min, first.due <= now {
            timers.removeMin()
            if liveTimers.remove(first.id) != nil { first.body() }
        }
    }
}
