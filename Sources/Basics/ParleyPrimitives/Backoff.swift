/// Delays between attempts: each drawn between half and the whole of a ceiling that doubles, so that the many clients of a
/// server that comes back do not come in step.
package struct Backoff: Sendable {
    private let shortest: Duration
    private let longest: Duration
    private var failures = 0

    /// - Parameters:
    ///   - shortest: the first ceiling.
    ///   - longest: the highest.
    package init(from shortest: Duration, to longest: Duration) {
        self.shortest = shortest
        self.longest = longest
    }

    /// After a success.
    package mutating func reset() { failures = 0 }

    package mutating func next() -> Duration {
        failures += 1
        return Self.delay(after: failures, from: shortest, to: longest, share: .random(in: 0.5...1))
    }

    /// For who counts and draws elsewhere.
    /// - Parameter share: of the ceiling, 0.5…1.
    package static func delay(
        after failures: Int, from shortest: Duration, to longest: Duration, share: Double
    ) -> Duration {
        min(longest, shortest * (1 << min(max(failures - 1, 0), 20))) * share
    }
}
