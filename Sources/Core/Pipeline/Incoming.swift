import ChatJobs

/// Names one delivery for its settlement. `epoch` is the life of the connection that delivered it: a receipt of an
/// earlier epoch is void, since the broker has taken the delivery back.
package struct Receipt: Sendable, Hashable {
    package let epoch: UInt64
    package let number: UInt64

    package init(epoch: UInt64, number: UInt64) {
        self.epoch = epoch
        self.number = number
    }
}

/// A message as it came from the job queue, not yet decoded.
///
/// A class, because it is handed from stage to stage: a struct of its many strings would be counted up and down at each.
package final class Incoming: Sendable {
    package let receipt: Receipt
    package let envelope: Envelope
    package let body: [UInt8]
    /// The queue it was consumed from.
    package let queue: String
    /// The broker has delivered it before.
    package let redelivered: Bool
    /// Monotonic time of its arrival, from the pipeline's clock.
    package let arrived: Duration
    /// The transport's own message, for dead letters and retries, which must carry everything the producer sent.
    package let original: any Sendable
    /// Its body is not the message's own, but the one that the message named.
    let isFetched: Bool

    package init(
        receipt: Receipt, envelope: Envelope, body: [UInt8], queue: String, redelivered: Bool, arrived: Duration,
        original: any Sendable
    ) {
        self.receipt = receipt
        self.envelope = envelope
        self.body = body
        self.queue = queue
        self.redelivered = redelivered
        self.arrived = arrived
        self.original = original
        isFetched = false
    }

    /// The message, with the body that it named.
    init(_ incoming: Incoming, id: JobID, body: [UInt8]) {
        receipt = incoming.receipt
        var envelope = incoming.envelope
        envelope.messageID = id.text
        envelope.contentType = nil
        envelope.contentEncoding = nil
        self.envelope = envelope
        self.body = body
        queue = incoming.queue
        redelivered = incoming.redelivered
        arrived = incoming.arrived
        original = incoming.original
        isFetched = true
    }
}
