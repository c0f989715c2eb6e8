import ParleyRabbitMQ
import Synchronization
import Topology

/// How often jobs of quorum queues may be returned before the broker drops them, learnt when the first one comes back.
///
/// Pauses, lost connections and shutdowns return what a worker holds, and each return counts. A job that has half of them
/// behind it is not returned any more: it is put aside as a fresh message.
package final class DeliveryLimits: Sendable {
    /// By queue: so many returns are half of what it allows; nil where any number is allowed.
    private let halves = Mutex<[String: Int?]>([:])

    package init() {}

    /// Whether the delivery must not be returned again; to be on the safe side as long as nothing is known of its queue.
    package func isWorn(_ delivery: Delivery) -> Bool {
        guard let returns = delivery.returns, returns > 0 else { return false }
        return halves.withLock { halves in
            guard let known = halves[delivery.queue] else { return true }
            return known.map { returns >= $0 } ?? false
        }
    }

    func isKnown(_ queue: String) -> Bool { halves.withLock { $0[queue] != nil } }

    func learn(_ queue: String, _ limit: JobQueues.DeliveryLimit) {
        halves.withLock { $0[queue] = .some(limit.half) }
    }
}
