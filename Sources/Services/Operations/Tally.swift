import Synchronization

/// A summary that several tasks add to.
final class Tally: Sendable {
    private let state: Mutex<(summary: LetterSummary, outage: OperationError?)>

    init(_ summary: LetterSummary) { state = Mutex((summary, nil)) }

    var summary: LetterSummary { state.withLock { $0.summary } }
    /// Set when going on makes no sense.
    var outage: OperationError? { state.withLock { $0.outage } }

    func update(_ body: (inout LetterSummary) -> Void) { state.withLock { body(&$0.summary) } }

    func failed(_ error: OperationError, isOutage: Bool) {
        state.withLock { state in
            state.summary.failed += 1
            state.summary.problem = state.summary.problem ?? error
            if isOutage { state.outage = state.outage ?? error }
        }
    }
}

/// Spreads work evenly over time.
struct Pace {
    private let rate: Double?
    private var due = ContinuousClock.now

    init(rate: Double?) { self.rate = rate }

    mutating func wait(after count: Int, isInterrupted: () -> Bool) async {
        guard let rate else { return }
        // No credit is saved up while there was nothing to do.
        due = max(due, .now) + .seconds(Double(count) / rate)
        while !isInterrupted(), case let rest = due - .now, rest > .zero {
            try? await Task.sleep(for: min(rest, .milliseconds(100)))
        }
    }
}
