import Answering
import ChatJobs
import Glibc
import Pipeline

/// The machine's clocks: `CLOCK_MONOTONIC` for durations, `CLOCK_REALTIME` for what producers wrote.
package struct SystemClock: PipelineClock {
    package init() {}

    package var now: Duration { read(CLOCK_MONOTONIC) }
    package var wall: Timestamp {
        let (seconds, attoseconds) = read(CLOCK_REALTIME).components
        return Timestamp(milliseconds: seconds * 1000 + attoseconds / 1_000_000_000_000_000)
    }

    package func sleep(for duration: Duration) async { try? await Task.sleep(for: duration) }
    package func random() -> Double { Double.random(in: 0..<1) }

    private func read(_ clock: clockid_t) -> Duration {
        var time = timespec()
        clock_gettime(clock, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }
}
