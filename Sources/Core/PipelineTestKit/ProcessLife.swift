import Synchronization

/// Whether a simulated worker process lives. What a dead one asks of a port has no effect.
package final class ProcessLife: Sendable {
    private let ended = Mutex<Duration?>(nil)

    private let left = Mutex(false)

    package init() {}

    package var isAlive: Bool { ended.withLock { $0 == nil } }
    /// When it ended, in virtual time.
    package var endedAt: Duration? { ended.withLock { $0 } }

    /// It has said goodbye: nobody takes it for dead.
    package var hasLeft: Bool { left.withLock { $0 } }
    func leave() { left.withLock { $0 = true } }

    /// It has left, or died so long ago that others have noticed.
    func isOver(at now: Duration, noticedAfter delay: Duration) -> Bool {
        hasLeft || endedAt.map { $0 + delay <= now } ?? false
    }

    package func end(at now: Duration) { ended.withLock { $0 = $0 ?? now } }
}
