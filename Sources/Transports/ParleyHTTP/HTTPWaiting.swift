import IOLoop

/// Told, on the loop, of requests that wait for a connection; for metrics.
package struct HTTPWaiting: Sendable {
    /// How many of the client's requests wait, whenever that has changed in a turn of the loop.
    package var changed: @Sendable (_ requests: Int) -> Void
    /// One that had to wait does so no longer: it has a connection or makes one.
    package var ended: @Sendable (_ after: Duration) -> Void

    package init(
        changed: @escaping @Sendable (_ requests: Int) -> Void, ended: @escaping @Sendable (_ after: Duration) -> Void
    ) {
        self.changed = changed
        self.ended = ended
    }
}

/// Adds up what the engines of a client say. Belongs to their loop.
final class WaitingTally {
    private var requests = 0
    private let observer: HTTPWaiting?

    init(_ observer: HTTPWaiting?) { self.observer = observer }

    func add(_ change: Int) {
        requests += change
        observer?.changed(requests)
    }

    func ended(_ transfer: Transfer) { observer?.ended(IOInstant.now - transfer.started) }
}
