/// Tells a service's illness from the failures of single jobs (the circuit breaker of Nygard, Release It!, 2007).
///
/// Closed until `threshold` failures in a row; then open, until a probe has been answered; then half-open: the next call
/// closes or opens it. Retries are failures only, so whoever reports failures leaves those of repeated attempts out.
struct Breaker: Sendable {
    enum State: Equatable { case closed, open, halfOpen }

    /// What a failed call shows.
    enum Failure: Equatable {
        /// Nobody was there.
        case absent
        /// Somebody answered, but with nothing of use, or not in time.
        case ill
    }

    /// Failures in a row that are no coincidence any more.
    let threshold: Int
    /// Between probes: doubling from the first to the last.
    static let firstRest = Duration.seconds(1)
    static let longestRest = Duration.seconds(8)

    private(set) var state = State.closed
    private var failures = 0
    private var openings = 0

    init(threshold: Int) { self.threshold = threshold }

    /// How long to leave the service alone before the next probe.
    var rest: Duration { min(Self.longestRest, Self.firstRest * (1 << min(max(0, openings - 1), 10))) }

    /// The service has answered with something of use.
    mutating func succeeded() {
        failures = 0
        guard state != .open else { return }
        state = .closed
        openings = 0
    }

    /// A call has failed. True when the breaker opens by it.
    ///
    /// A service that answers, but with nothing of use, may be right about single jobs: after a probe so many more of these
    /// are let through as opened it first, and it is probed no more rarely.
    mutating func failed(_ failure: Failure) -> Bool {
        failures += 1
        guard state != .open, failures >= threshold || (state == .halfOpen && failure == .absent) else { return false }
        state = .open
        failures = 0
        if failure == .absent || openings == 0 { openings += 1 }
        return true
    }

    /// Opens it: the service has asked for a pause.
    mutating func open() {
        state = .open
        failures = 0
        openings += 1
    }

    /// A probe has found nobody.
    mutating func probeFailed() { openings += 1 }

    /// A probe was answered, or the pause is over.
    mutating func recovered() {
        if state == .open { state = .halfOpen }
    }
}
