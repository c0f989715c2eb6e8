import ParleyRabbitMQ
import Topology

extension MessageHeaders {
    /// A dead letter's properties for its way back to a job queue: the producer's own, persistent, a fresh attempt count,
    /// and one requeue more.
    ///
    /// The producer's `expiration` stays in its header: the time it gave is over, and a job that an operator sends back
    /// must not vanish in the queue.
    static func requeued(_ properties: MessageProperties) -> MessageProperties {
        var requeued = forwarded(properties)
        // A header is anybody's to write: a count that could wrap starts again.
        let requeues = properties.headers[requeues]?.int.flatMap { (0...1_000_000).contains($0) ? $0 : nil } ?? 0
        for key in [
            errorCode, error, attempts, deadAt, sourceQueue, earlierAttempts, deferrals, outages, refusals, signature,
        ] {
            requeued.headers[key] = nil
        }
        requeued.headers[Self.requeues] = .int(requeues + 1)
        return requeued
    }
}
