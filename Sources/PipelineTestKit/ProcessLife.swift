import Synchronization

/// Whether a simulated worker process lives. What a dead one asks of a port has no effect.
public final class ProcessLife: Sendable {
    private let alive = Mutex(true)

    public init() {}

    public var isAlive: Bool { alive.withLock { $0 } }
    public func end() { alive.withLock { $0 = false } }
}
