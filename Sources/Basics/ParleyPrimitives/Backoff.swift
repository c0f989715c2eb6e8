/// Delays between attempts: each drawn between half and the whole of a ceiling that doubles, so that the many clients of a
/// server that comes back do not come in step.
package struct Backoff: Sendable {
    private let shortest: Duration
    private let longest: Duration
    private var ceiling: Duration

    /// - Parameters:
    ///   - shortest: the first ceiling.
    ///   - longest: the highest.
    package init(from shortest: Duration, to longest: Duration) {
        self.shortest = shortest
        self.longest = longest
        ceiling = shortest
    }

    /// After a success.
    package mutating func reset() { ceiling = shortest }

    package mutating func next() -> Duration {
        defer { ceiling = min(longest, ceiling * 2) }
        return ceiling * Double.random(in: 0.5...1)
    }
}
