/// How long the simulated services take, each time drawn anew.
package struct Latencies: Sendable {
    /// One way to Redis, and the same back.
    package var store: ClosedRange<Duration>
    /// To the broker, and the same for its confirm.
    package var broker: ClosedRange<Duration>
    /// One vector search.
    package var search: ClosedRange<Duration>
    /// One model call.
    package var model: ClosedRange<Duration>

    package init(
        store: ClosedRange<Duration>, broker: ClosedRange<Duration>, search: ClosedRange<Duration>,
        model: ClosedRange<Duration>
    ) {
        self.store = store
        self.broker = broker
        self.search = search
        self.model = model
    }

    /// Constant times: Redis 1 ms, broker 1 ms, search 10 ms, model 100 ms.
    package static let constant = Latencies(
        store: .milliseconds(1) ... .milliseconds(1), broker: .milliseconds(1) ... .milliseconds(1),
        search: .milliseconds(10) ... .milliseconds(10), model: .milliseconds(100) ... .milliseconds(100))

    /// Times that overlap each other's.
    package static let wild = Latencies(
        store: .microseconds(100) ... .milliseconds(20), broker: .microseconds(100) ... .milliseconds(40),
        search: .milliseconds(1) ... .milliseconds(60), model: .milliseconds(1) ... .milliseconds(400))
}
