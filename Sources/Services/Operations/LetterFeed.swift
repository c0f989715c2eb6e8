import ParleyRabbitMQ
import Synchronization

/// Deliveries between the connection's loop and the scan; holds no more than the consumer's prefetch allows.
final class LetterFeed: Sendable {
    fileprivate struct State {
        var buffer: [Delivery] = []
        var ended: RabbitMQError?
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    func receive(_ event: ConsumerEvent) {
        state.withLock { state in
            switch event {
            case .delivery(let delivery): state.buffer.append(delivery)
            case .ended(let error): state.ended = error
            }
            return state.take()
        }?.resume()
    }

    /// What has come, at most so much.
    func take(_ count: Int) -> [Delivery] {
        state.withLock { state in
            guard state.buffer.count > count else {
                defer { state.buffer = [] }
                return state.buffer
            }
            defer { state.buffer.removeFirst(count) }
            return Array(state.buffer.prefix(count))
        }
    }

    var ended: RabbitMQError? { state.withLock { $0.ended } }

    func clear() {
        state.withLock {
            $0.buffer = []
            $0.ended = nil
        }
    }

    /// Resumes when there is something to take, or at ``wake()``.
    func wait(_ continuation: CheckedContinuation<Void, Never>) {
        let isReady = state.withLock { state in
            guard state.buffer.isEmpty, state.ended == nil else { return true }
            state.waiter = continuation
            return false
        }
        if isReady { continuation.resume() }
    }

    func wake() { state.withLock { $0.take() }?.resume() }
}

extension LetterFeed.State {
    fileprivate mutating func take() -> CheckedContinuation<Void, Never>? {
        defer { waiter = nil }
        return waiter
    }
}
