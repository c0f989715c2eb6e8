import DequeModule
import IOLoop

/// A message between `publish` and its outcome.
///
/// Its parts are constants of their own: to read one copies nothing else.
final class PendingPublish {
    let exchange: String
    let routingKey: String
    let properties: MessageProperties
    let mandatory: Bool
    private(set) var body: [UInt8]
    let bodySize: Int
    let deadline: ContinuousClock.Instant
    var returned: PublishOutcome?
    /// Taken when called, so that the outcome is told once.
    var completion: ((Result<PublishOutcome, RabbitMQError>) -> Void)?

    init(
        _ message: consuming OutgoingMessage, deadline: ContinuousClock.Instant,
        completion: @escaping (Result<PublishOutcome, RabbitMQError>) -> Void
    ) {
        exchange = message.exchange
        routingKey = message.routingKey
        properties = message.properties
        mandatory = message.mandatory
        body = message.body
        bodySize = message.body.count
        self.deadline = deadline
        self.completion = completion
    }

    /// The body has been written.
    func dropBody() { body = [] }

    func finish(_ result: Result<PublishOutcome, RabbitMQError>) {
        let completion = self.completion
        self.completion = nil
        completion?(result)
    }
}

/// The messages of one confirming channel: those not yet written, and those written and not yet confirmed.
///
/// Confirms name a sequence number, so the written ones are a deque indexed by it. What is not yet written may outlive
/// the connection. Lives on the loop.
final class PublishLine: @unchecked Sendable {
    // Proof of @unchecked Sendable: used by actors that have `loop` as executor and by sessions on it, nowhere else.
    private let loop: IOLoop
    private let survivesConnection: Bool
    private weak var session: Session?
    private var channel: UInt16 = 0
    private var outbox = Deque<PendingPublish>()
    /// `nil` is one that is confirmed before its predecessors.
    private var unconfirmed = Deque<PendingPublish?>()
    private var firstSequence: UInt64 = 1
    private var nextReturn: UInt64 = 1
    private var timer: IOTimer?
    private var timerDue: ContinuousClock.Instant?
    private var onIdle: [() -> Void] = []
    private var refusals = Refusals()
    /// How many messages were under way when the broker ended a connection because of one of them, less those that have
    /// been confirmed since. Until all are, messages go one at a time: whoever is alone when it happens again is to blame.
    private var suspects = 0
    private var hasVerdict = false
    private(set) var inFlight = 0

    init(loop: IOLoop, survivesConnection: Bool) {
        self.loop = loop
        self.survivesConnection = survivesConnection
    }

    /// Uses `channel`, which has been put into confirm mode and has published nothing.
    func attach(_ session: Session, _ channel: Channel) {
        self.session = session
        self.channel = channel.number
        firstSequence = 1
        nextReturn = 1
        refusals.startOver()
        channel.line = self
        session.writers.append { [weak self, weak channel] session in
            guard let self, let channel, channel.isOpen else { return false }
            return write(session)
        }
        if !outbox.isEmpty { session.scheduleFlush() }
    }

    func submit(
        _ message: consuming OutgoingMessage, deadline: ContinuousClock.Instant,
        completion: @escaping (Result<PublishOutcome, RabbitMQError>) -> Void
    ) {
        inFlight += 1
        outbox.append(PendingPublish(message, deadline: deadline, completion: completion))
        arm(deadline)
        session?.scheduleFlush()
    }

    /// Calls `body` when nothing is in flight; at once when that is so.
    func whenIdle(_ body: @escaping () -> Void) {
        if inFlight == 0 { body() } else { onIdle.append(body) }
    }

    private func finish(_ pending: PendingPublish, _ result: Result<PublishOutcome, RabbitMQError>) {
        guard pending.completion != nil else { return }
        inFlight -= 1
        pending.finish(result)
        guard inFlight == 0, !onIdle.isEmpty else { return }
        let bodies = onIdle
        onIdle = []
        for body in bodies { body() }
    }

    private func write(_ session: Session) -> Bool {
        guard session.blockedReason == nil else { return false }
        while let pending = outbox.first {
            guard session.budget > 0, session.partial == nil else { return true }
            if suspects > 0, !unconfirmed.isEmpty { return false }
            outbox.removeFirst()
            guard pending.completion != nil else { continue }
            do throws(RabbitMQError) {
                unconfirmed.append(pending)
                try session.publish(pending, on: channel)
                pending.dropBody()
            } catch {
                unconfirmed.removeLast()
                finish(pending, .failure(error))
            }
            if session.ended != nil { return false }
        }
        return false
    }

    // MARK: - What the broker says

    func confirm(_ number: UInt64, multiple: Bool, accepted: Bool) {
        guard !unconfirmed.isEmpty else { return }
        let last = firstSequence + UInt64(unconfirmed.count) - 1
        // Zero with `multiple` means all (AMQP 0-9-1, basic.ack.delivery-tag).
        let number = number == 0 && multiple ? last : number
        guard number >= firstSequence, number <= last else { return }
        let index = Int(number - firstSequence)
        for position in (multiple ? 0 : index)..<index + 1 {
            guard let pending = unconfirmed[position] else { continue }
            unconfirmed[position] = nil
            if suspects > 0 {
                suspects -= 1
                session?.scheduleFlush()
            }
            guard accepted else {
                let text = "the broker refused a message for '\(pending.routingKey)' (basic.nack)"
                finish(pending, .failure(RabbitMQError(.nacked, text)))
                refused(pending)
                continue
            }
            refusals.accepted(exchange: pending.exchange, routingKey: pending.routingKey)
            finish(pending, .success(pending.returned ?? .confirmed))
        }
        while let first = unconfirmed.first, first == nil {
            unconfirmed.removeFirst()
            firstSequence += 1
        }
    }

    /// Who has no other channel to try is told of each refusal, and that is all.
    private func refused(_ message: PendingPublish) {
        guard survivesConnection,
            let time = refusals.refused(exchange: message.exchange, routingKey: message.routingKey, at: .now)
        else { return }
        let text =
            "the broker has refused every message for '\(message.routingKey)' for \(time.components.seconds) seconds"
        session?.close(RabbitMQError(.nacked, text))
    }

    /// A return names no sequence number, but returns come in the order of publishing, before the message's confirm:
    /// the first candidate after the last one returned is the message.
    func returned(_ message: Delivery, bodySize: Int, code: UInt16, reason: String) {
        nextReturn = max(nextReturn, firstSequence)
        let start = Int(nextReturn - firstSequence)
        guard start < unconfirmed.count else { return }
        for index in start..<unconfirmed.count {
            guard let pending = unconfirmed[index], pending.mandatory,
                pending.routingKey == message.routingKey, pending.exchange == message.exchange,
                pending.bodySize == bodySize,
                pending.properties.messageID == message.properties.messageID,
                pending.properties.correlationID == message.properties.correlationID
            else { continue }
            pending.returned = .returned(code: code, reason: reason)
            nextReturn = firstSequence + UInt64(index) + 1
            return
        }
    }

    /// The channel is gone: what was written has an unknown fate; what was not may wait for the next channel.
    func detach(_ error: RabbitMQError) {
        session = nil
        let written = unconfirmed
        unconfirmed = []
        let suspected = error.blamesAMessage ? written.count { $0 != nil } : 0
        if suspected == 1, suspects > 0, case let culprit?? = written.first(where: { $0 != nil }) {
            suspects -= 1
            hasVerdict = true
            let text =
                "the broker ends the connection for a message to '\(culprit.routingKey)': \(error.message)"
            finish(culprit, .failure(RabbitMQError(.unacceptable, text, replyCode: error.replyCode)))
        } else {
            suspects = max(suspects, suspected)
        }
        for case let pending? in written {
            // A missing exchange closes the channel; only its own messages are told so.
            let isCulprit =
                error.replyCode != nil && !pending.exchange.isEmpty
                && error.message.contains("'\(pending.exchange)'")
            let reason =
                isCulprit || error.code == .closed
                ? error
                : RabbitMQError(
                    error.code == .connectionLost || error.replyCode == nil ? .connectionLost : .channelClosed,
                    "sent but not confirmed when the connection ended, so it may or may not be queued: "
                        + error.message, replyCode: error.replyCode)
            finish(pending, .failure(reason))
        }
        if !survivesConnection { abandon(error) }
    }

    /// Whether a message was found to blame since this was last asked.
    func takeVerdict() -> Bool {
        defer { hasVerdict = false }
        return hasVerdict
    }

    /// Fails what is not yet written.
    func abandon(_ error: RabbitMQError) {
        let waiting = outbox
        outbox = []
        for pending in waiting { finish(pending, .failure(error)) }
    }

    // MARK: - Deadlines

    /// One timer for all: it fires at the earliest deadline and then looks through the line.
    private func arm(_ deadline: ContinuousClock.Instant) {
        if let timerDue, timerDue <= deadline { return }
        if let timer { loop.cancel(timer) }
        timerDue = deadline
        timer = loop.schedule(after: deadline - .now) { [weak self] in self?.expire() }
    }

    private func expire() {
        timer = nil
        timerDue = nil
        let now = ContinuousClock.now
        var next: ContinuousClock.Instant?
        var hasLate = false
        for case let pending? in unconfirmed where pending.completion != nil {
            if pending.deadline > now {
                next = min(next ?? pending.deadline, pending.deadline)
            } else {
                finish(pending, .failure(late("sent, but not confirmed in time")))
            }
        }
        for pending in outbox {
            if pending.deadline > now {
                next = min(next ?? pending.deadline, pending.deadline)
            } else {
                hasLate = true
                finish(
                    pending,
                    .failure(late(session == nil ? "not sent: not connected in time" : "not sent: no room in time")))
            }
        }
        if hasLate { outbox.removeAll { $0.completion == nil } }
        if let next { arm(next) }
    }

    private func late(_ text: String) -> RabbitMQError {
        guard let reason = session?.blockedReason else { return RabbitMQError(.timedOut, text) }
        return RabbitMQError(.blocked, "the broker takes no messages (\(reason)); \(text)")
    }
}
