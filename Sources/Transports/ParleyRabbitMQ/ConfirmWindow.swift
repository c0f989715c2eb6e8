import DequeModule

/// The messages that one confirming channel has written and the broker has not confirmed.
///
/// Confirms name a sequence number that counts from 1, so they are a deque indexed by it.
struct ConfirmWindow {
    /// `nil` is one that is settled before its predecessors.
    private var written = Deque<PendingPublish?>()
    private var first: UInt64 = 1
    private var nextReturn: UInt64 = 1

    var isEmpty: Bool { written.isEmpty }

    mutating func wrote(_ message: PendingPublish) { written.append(message) }

    /// The message that was written last was not sent after all.
    mutating func retract() { _ = written.popLast() }

    /// Calls `body` for each message that the broker settles.
    /// - Returns: false when the broker settles what was not published.
    mutating func confirm(_ number: UInt64, multiple: Bool, _ body: (PendingPublish) -> Void) -> Bool {
        let last = first + UInt64(written.count) - 1
        // Zero with `multiple` means all (AMQP 0-9-1, basic.ack.delivery-tag).
        let number = number == 0 && multiple ? last : number
        guard number <= last, number > 0 || multiple else { return false }
        // Late: it was given up meanwhile.
        guard number >= first else { return true }
        let index = Int(number - first)
        for position in (multiple ? 0 : index)..<index + 1 {
            guard let message = written[position] else { continue }
            written[position] = nil
            body(message)
        }
        dropSettled()
        return true
    }

    /// A return names no sequence number, but returns come in the order of publishing, before the message's confirm:
    /// the first candidate after the last one returned is the message.
    mutating func returned(_ message: Delivery, bodySize: Int, _ outcome: PublishOutcome) {
        nextReturn = max(nextReturn, first)
        let start = Int(nextReturn - first)
        guard start < written.count else { return }
        for index in start..<written.count {
            guard let pending = written[index], pending.mandatory,
                pending.routingKey == message.routingKey, pending.exchange == message.exchange,
                pending.bodySize == bodySize,
                pending.properties.messageID == message.properties.messageID,
                pending.properties.correlationID == message.properties.correlationID
            else { continue }
            pending.returned = outcome
            nextReturn = first + UInt64(index) + 1
            return
        }
    }

    /// Lets go of those whose deadline has passed, a message that is never confirmed among them: it would hold up the
    /// deque for ever.
    mutating func expire(at now: ContinuousClock.Instant, _ body: (PendingPublish) -> Void) {
        for index in written.indices {
            guard let message = written[index], message.deadline <= now else { continue }
            written[index] = nil
            body(message)
        }
        dropSettled()
    }

    /// The earliest deadline.
    var deadline: ContinuousClock.Instant? { written.lazy.compactMap { $0?.deadline }.min() }

    /// All that are not settled, in order: the channel is no more.
    mutating func drain() -> [PendingPublish] {
        defer { self = ConfirmWindow() }
        return written.compactMap { $0 }
    }

    private mutating func dropSettled() {
        while let head = written.first, head == nil {
            written.removeFirst()
            first += 1
        }
    }
}
