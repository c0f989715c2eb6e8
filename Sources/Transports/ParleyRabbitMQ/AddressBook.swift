/// What is known of the addresses that messages go to, so that one that makes trouble costs its own messages only.
///
/// Three kinds of trouble, each with its own remedy:
/// - The broker ends the connection because of a message. Which one is not said: whoever was under way is in *doubt* and
///   is sent again one at a time on a connection of its own, where it costs nobody else anything, until it is confirmed or
///   found guilty. A direct reply's address is in doubt from the start.
/// - The broker *refuses* an address's messages (`basic.nack`): its queue is full, or has lost its majority. Then others are
///   not sent at all for a while, but for one at a time that asks again.
/// - The broker does not answer: as when it refuses; and a budget bounds what may wait for it.
struct AddressBook {
    enum Ruling: Equatable {
        case send
        /// One at a time, on a connection of its own; those `last` that look as if they would end it.
        case sendAlone(last: Bool)
        case refuse(RabbitMQError)
    }

    /// The most messages that may be under way to one address. Nil: no budget, and nobody is refused beforehand: for
    /// publishers whose addresses are no strangers' choice.
    let budget: Int?

    private struct Record {
        /// Messages under way.
        var pending = 0
        /// How many more have to be confirmed alone.
        var doubts = 0
        /// A direct reply's address that the broker has read.
        var isProven = false
        var guiltyUntil: ContinuousClock.Instant?
        var refusal: Refusal?
        /// When a message was last confirmed, or the first one set out.
        var progress: ContinuousClock.Instant

        var isIdle: Bool { pending == 0 && doubts == 0 && guiltyUntil == nil && refusal == nil }
    }

    private struct Refusal {
        var wait = Duration.milliseconds(100)
        var askAgain: ContinuousClock.Instant
        /// Somebody is asking.
        var isAsking = false
    }

    /// The longest wait before an address that refuses is asked again.
    static let longestWait = Duration.seconds(1)
    /// How long a broker may take for an address while it confirms other messages, before that counts as a refusal.
    static let stall = Duration.seconds(5)
    /// How long an address on which the broker has ended a connection is not tried again.
    static let sentence = Duration.seconds(60)
    /// Producers choose addresses, so their number must have an end; what is forgotten begins anew.
    static let most = 4096

    private var records: [PublishAddress: Record] = [:]
    private var refusals = Refusals()
    /// When the broker last confirmed anything.
    private(set) var lastConfirm: ContinuousClock.Instant?

    /// How many addresses something is known of.
    var count: Int { records.count }

    init(budget: Int? = nil) { self.budget = budget }

    /// Nothing is to be looked up for this message, neither now nor when it is confirmed.
    private func isUnremarkable(_ address: PublishAddress) -> Bool {
        budget == nil && records.isEmpty && !address.isDirectReply
    }

    /// Whether the address's messages have to be sent alone.
    func isInDoubt(_ address: PublishAddress) -> Bool {
        guard let record = records[address] else { return address.isDirectReply }
        return record.doubts > 0 || (address.isDirectReply && !record.isProven)
    }

    /// Whether the broker is at the moment refusing what goes to the address.
    func isRefusing(_ address: PublishAddress) -> Bool { records[address]?.refusal != nil }

    /// Decides on a message that is to be sent now. Unless it is refused, one call of ``accepted(_:alone:at:)``,
    /// ``refused(_:at:)``, ``unanswered(_:at:)``, ``convicted(_:at:)`` or ``abandoned(_:)`` has to follow.
    mutating func admit(_ address: PublishAddress, at now: ContinuousClock.Instant) -> Ruling {
        if isUnremarkable(address) { return .send }
        var record = records[address] ?? Record(progress: now)
        if let error = refusal(of: address, &record, at: now) { return .refuse(error) }
        if record.pending == 0 { record.progress = now }
        record.pending += 1
        if records.count >= Self.most, records[address] == nil { forget() }
        records[address] = record
        guard isInDoubt(address) else { return .send }
        return .sendAlone(last: address.isDirectReply && !address.isPlausibleDirectReply)
    }

    private func refusal(
        of address: PublishAddress, _ record: inout Record, at now: ContinuousClock.Instant
    ) -> RabbitMQError? {
        if let until = record.guiltyUntil {
            if now < until {
                return RabbitMQError(.unacceptable, "the broker ends a connection for a message to '\(address.queue)'")
            }
            record.guiltyUntil = nil
        }
        guard let budget else { return nil }
        if var refusal = record.refusal {
            guard !refusal.isAsking, now >= refusal.askAgain else {
                return RabbitMQError(
                    .congested, "the broker has just refused a message for \(address): it is asked again in a moment")
            }
            refusal.isAsking = true
            record.refusal = refusal
        } else if record.pending >= budget {
            return RabbitMQError(.congested, "\(budget) messages for \(address) wait for the broker's confirm")
        } else if record.pending > 0, now - record.progress > Self.stall, let lastConfirm,
            lastConfirm > record.progress
        {
            return RabbitMQError(
                .congested,
                "the broker has confirmed no message for \(address) in \((now - record.progress).components.seconds) seconds"
            )
        }
        return nil
    }

    /// The broker took a message, or returned it: it has read the address and has answered.
    /// - Returns: whether the address's messages need not be sent alone any more.
    mutating func accepted(_ address: PublishAddress, alone: Bool, at now: ContinuousClock.Instant) -> Bool {
        lastConfirm = now
        refusals.accepted(exchange: address.exchange, routingKey: address.queue)
        guard !isUnremarkable(address), var record = records[address] else { return false }
        record.pending -= 1
        record.progress = now
        record.refusal = nil
        if alone {
            record.doubts = max(0, record.doubts - 1)
            record.isProven = true
        }
        update(address, record)
        return alone && !isInDoubt(address)
    }

    /// The broker refused a message.
    /// - Returns: how long it has been refusing all for this address, when that is long enough to try another channel.
    mutating func refused(_ address: PublishAddress, at now: ContinuousClock.Instant) -> Duration? {
        lastConfirm = now
        close(address, at: now)
        return refusals.refused(exchange: address.exchange, routingKey: address.queue, at: now)
    }

    /// The broker did not answer in time, though it answered for other addresses.
    mutating func unanswered(_ address: PublishAddress, at now: ContinuousClock.Instant) { close(address, at: now) }

    private mutating func close(_ address: PublishAddress, at now: ContinuousClock.Instant) {
        guard var record = records[address] else { return }
        record.pending -= 1
        if budget != nil {
            var refusal = record.refusal ?? Refusal(askAgain: now + .milliseconds(100))
            // Those that were under way with the first one refused say nothing new.
            if refusal.isAsking {
                refusal.isAsking = false
                refusal.wait = min(refusal.wait * 2, Self.longestWait)
                refusal.askAgain = now + refusal.wait
            }
            record.refusal = refusal
        }
        update(address, record)
    }

    /// The message ended without an answer of the broker's, or with one that says nothing of the address.
    mutating func abandoned(_ address: PublishAddress) {
        guard !isUnremarkable(address), var record = records[address] else { return }
        record.pending -= 1
        record.refusal?.isAsking = false
        update(address, record)
    }

    /// The broker ended a connection or a channel while these were under way, because of one of them.
    mutating func suspect(_ addresses: [PublishAddress], at now: ContinuousClock.Instant) {
        for address in addresses {
            // One whose messages are not counted is counted from here on.
            records[address, default: Record(pending: 1, progress: now)].doubts += 1
        }
    }

    /// The broker ended a connection or a channel when nothing but this message was under way.
    mutating func convicted(_ address: PublishAddress, at now: ContinuousClock.Instant) {
        guard var record = records[address] else { return }
        record.pending -= 1
        record.doubts = max(0, record.doubts - 1)
        // Elsewhere it is the message, not the address.
        if address.isDirectReply { record.guiltyUntil = now + Self.sentence }
        update(address, record)
    }

    /// A new channel has refused nobody yet.
    mutating func startOver() { refusals.startOver() }

    private mutating func update(_ address: PublishAddress, _ record: Record) {
        var record = record
        record.pending = max(0, record.pending)
        // A proven address is remembered: it would have to be sent alone again.
        records[address] = record.isIdle && !record.isProven && budget == nil ? nil : record
    }

    /// Makes room: first what is of no consequence, then whatever is not under way.
    private mutating func forget() {
        records = records.filter { !$0.value.isIdle }
        if records.count >= Self.most { records = records.filter { $0.value.pending > 0 } }
    }
}

extension PublishAddress: CustomStringConvertible {
    var description: String { exchange.isEmpty ? "'\(queue)'" : "the exchange '\(exchange)'" }
}
