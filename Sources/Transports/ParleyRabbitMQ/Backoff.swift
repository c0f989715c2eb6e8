/// Delays between attempts: doubling from 100 ms to 10 s, each drawn between half and whole, so that many clients of a
/// restarted broker do not come back in step.
struct Backoff {
    private var attempt = 0

    mutating func reset() { attempt = 0 }

    mutating func next() -> Duration {
        let ceiling = min(10_000, 100 << min(attempt, 7))
        attempt += 1
        return .milliseconds(Int.random(in: ceiling / 2...ceiling))
    }
}
