import ParleyPrimitives

typealias Backoff = ParleyPrimitives.Backoff

extension Backoff {
    /// Between attempts to reach a broker.
    init() { self.init(from: .milliseconds(100), to: .seconds(10)) }
}
