import DequeModule
import IOLoop

/// A channel in confirm mode, in the hands of a ``PublishLine``. Lives on the loop.
final class PublishingChannel {
    let channel: Channel
    private(set) weak var session: Session?
    /// Strong: a line that is nobody else's lives as long as its channel, which ends this.
    let line: PublishLine
    var window = ConfirmWindow()
    /// Another has taken its place: it only waits for its confirms.
    var isRetired = false

    init(_ line: PublishLine, _ session: Session, _ channel: Channel) {
        self.line = line
        self.session = session
        self.channel = channel
    }

    /// The next message to write, which the session then says what became of.
    func next() -> PendingPublish? { isRetired ? nil : line.next(after: window) }
    func wrote(_ message: PendingPublish) {
        window.wrote(message)
        line.wrote(message)
    }
    func putBack(_ message: PendingPublish) { line.putBack(message) }
    func refused(_ message: PendingPublish, _ error: RabbitMQError) { line.refused(message, error) }

    func confirm(_ number: UInt64, multiple: Bool, accepted: Bool) {
        if !line.confirm(number, multiple: multiple, accepted: accepted, on: self) {
            session?.complain("it has confirmed a message that was not published")
        }
    }

    func returned(_ message: Delivery, bodySize: Int, code: UInt16, reason: String) {
        window.returned(message, bodySize: bodySize, .returned(code: code, reason: reason))
    }

    func ended(_ error: RabbitMQError) { line.ended(self, error) }
}

/// Who decides what becomes of a line's messages.
protocol PublishLineOwner: AnyObject {
    /// A message has its outcome; it is told of it after this.
    func finished(_ message: PendingPublish, _ result: Result<PublishOutcome, RabbitMQError>, on line: PublishLine)
    /// The broker ended a channel because of one of these, which are all that were under way on it.
    func suspect(_ messages: [PendingPublish])
    /// The line's channel is gone; it may have been one that only waited for confirms.
    func lostChannel(_ line: PublishLine)
    /// Whether the broker answers for others, so that silence is this address's own.
    var isAnswering: Bool { get }
    /// There is something to send, and no channel.
    func needsChannel(_ line: PublishLine)
}

/// Messages in one order: those not yet written, and those written to a channel and not yet confirmed.
///
/// What is not yet written may outlive the connection. A channel may be replaced without any message's coming to harm: the
/// old one goes on waiting for its confirms. Lives on the loop.
final class PublishLine: @unchecked Sendable {
    // Proof of @unchecked Sendable: used by actors that have `loop` as executor and by sessions on it, nowhere else.
    private let loop: IOLoop
    private let survivesConnection: Bool
    /// One message at a time: the next is written when the last one is confirmed.
    private let isSerial: Bool
    /// What was under way when the broker ended a channel because of a message is written again.
    private let writesAgain: Bool
    weak var owner: (any PublishLineOwner)?

    private var outbox = Deque<PendingPublish>()
    /// Written only when nothing else is there.
    private var last = Deque<PendingPublish>()
    private var current: PublishingChannel?
    private var retired: [PublishingChannel] = []
    private var timer: (id: IOTimer, due: ContinuousClock.Instant)?
    private var hasVerdict = false
    /// The broker's, when it has told it by refusing a larger message.
    private var largestMessage: Int?
    /// Grows with each confirm and each message found to blame: as long as it does, a new channel is worth the while.
    private(set) var progress = 0
    /// How many channels it has had.
    private(set) var channels = 0

    /// How often a message is written before it is given up.
    private static let mostAttempts = 3

    init(loop: IOLoop, survivesConnection: Bool, isSerial: Bool = false, writesAgain: Bool = false) {
        self.loop = loop
        self.survivesConnection = survivesConnection
        self.isSerial = isSerial
        self.writesAgain = writesAgain
    }

    /// Whether nothing waits, neither to be written nor to be confirmed.
    var isIdle: Bool { outbox.isEmpty && last.isEmpty && windows.allSatisfy(\.window.isEmpty) }

    /// Whether there is a channel to write to.
    var hasChannel: Bool { current != nil }

    private var windows: [PublishingChannel] { (current.map { [$0] } ?? []) + retired }

    // MARK: - Channels

    /// Uses `channel`, which has been put into confirm mode and has published nothing, from now on.
    func attach(_ session: Session, _ channel: Channel) {
        if let current {
            current.isRetired = true
            retired.append(current)
        }
        let publishing = PublishingChannel(self, session, channel)
        current = publishing
        channel.publishing = publishing
        channels += 1
        retired.forEach(closeWhenDone)
        if !outbox.isEmpty || !last.isEmpty { session.scheduleFlush() }
    }

    /// Uses its channel no more.
    func letGo() {
        current?.isRetired = true
        if let current { retired.append(current) }
        current = nil
    }

    private func closeWhenDone(_ publishing: PublishingChannel) {
        guard publishing.isRetired, publishing.window.isEmpty, let session = publishing.session else { return }
        retired.removeAll { $0 === publishing }
        session.call(.channelClose, on: publishing.channel.number) { _ in }
    }

    /// The channel is gone: what was written to it has an unknown fate, unless the broker says whose doing it was.
    func ended(_ publishing: PublishingChannel, _ error: RabbitMQError) {
        if current === publishing { current = nil }
        retired.removeAll { $0 === publishing }
        let written = publishing.window.drain()
        let verdict = verdict(on: written, error)
        if verdict.isSuspicion { owner?.suspect(written) }
        var again: [PendingPublish] = []
        for message in written {
            message.returned = nil
            if let reason = verdict.guilty(message) {
                finish(message, .failure(reason))
            } else if verdict.sparesOthers, writesAgain, message.attempts < Self.mostAttempts {
                again.append(message)
            } else {
                finish(message, .failure(error.code == .closed ? error : .unknownFate(error)))
            }
        }
        outbox.prepend(contentsOf: again)
        if !survivesConnection { abandon(error) }
        owner?.lostChannel(self)
    }

    private struct Verdict {
        /// Why this message is to blame; nil when it is not, or nobody knows.
        var guilty: (PendingPublish) -> RabbitMQError? = { _ in nil }
        /// The others have done nothing: they may be written again.
        var sparesOthers = false
        /// It was one of them.
        var isSuspicion = false
    }

    private func verdict(on written: [PendingPublish], _ error: RabbitMQError) -> Verdict {
        guard error.code != .closed, error.replyCode != nil else { return Verdict() }
        if let most = error.largestMessage {
            largestMessage = most
            convict()
            return Verdict(guilty: { $0.bodySize > most ? .tooLarge($0, most) : nil }, sparesOthers: true)
        }
        if error.code == .notFound {
            // Only default-exchange messages can do nothing for a missing exchange.
            return Verdict(
                guilty: { !$0.exchange.isEmpty && error.message.contains("'\($0.exchange)'") ? error : nil },
                sparesOthers: true)
        }
        guard error.blamesAMessage, !written.isEmpty else { return Verdict() }
        guard isSerial, written.count == 1 else { return Verdict(sparesOthers: true, isSuspicion: true) }
        convict()
        return Verdict(guilty: { message in
            RabbitMQError(
                .unacceptable,
                "the broker ends the connection for a message to '\(message.routingKey)': \(error.message)",
                replyCode: error.replyCode)
        })
    }

    private func convict() {
        hasVerdict = true
        progress += 1
    }

    /// Whether a message was found to blame since this was last asked.
    func takeVerdict() -> Bool {
        defer { hasVerdict = false }
        return hasVerdict
    }

    // MARK: - Messages

    /// - Parameter last: it is written when nothing else waits.
    func submit(_ message: PendingPublish, last isLast: Bool = false) {
        if let largestMessage, message.bodySize > largestMessage {
            return finish(message, .failure(.tooLarge(message, largestMessage)))
        }
        if isLast { last.append(message) } else { outbox.append(message) }
        arm(message.deadline)
        if let session = current?.session { session.scheduleFlush() } else { owner?.needsChannel(self) }
    }

    /// Takes out those of the messages not yet written that `isMeant` names, in order.
    func take(where isMeant: (PendingPublish) -> Bool) -> [PendingPublish] {
        let taken = outbox.filter(isMeant) + last.filter(isMeant)
        guard !taken.isEmpty else { return [] }
        outbox.removeAll(where: isMeant)
        last.removeAll(where: isMeant)
        return Array(taken)
    }

    private func finish(_ message: PendingPublish, _ result: Result<PublishOutcome, RabbitMQError>) {
        guard message.isOpen else { return }
        owner?.finished(message, result, on: self)
        message.finish(result)
    }

    /// The next message to write, for whoever has written the others of the window.
    func next(after window: ConfirmWindow) -> PendingPublish? {
        if isSerial, !window.isEmpty { return nil }
        while let message = outbox.popFirst() ?? last.popFirst() {
            if message.isOpen { return message }
        }
        return nil
    }

    func wrote(_ message: PendingPublish) {
        message.attempts += 1
        if !writesAgain { message.dropBody() }
    }

    /// There was no room for it.
    func putBack(_ message: PendingPublish) { outbox.prepend(message) }

    /// It cannot be expressed; nothing was sent.
    func refused(_ message: PendingPublish, _ error: RabbitMQError) { finish(message, .failure(error)) }

    /// False when the broker settles what was not published.
    func confirm(_ number: UInt64, multiple: Bool, accepted: Bool, on publishing: PublishingChannel) -> Bool {
        let isKnown = publishing.window.confirm(number, multiple: multiple) { message in
            progress += 1
            guard accepted else {
                let text = "the broker refused a message for '\(message.routingKey)' (basic.nack)"
                return finish(message, .failure(RabbitMQError(.nacked, text)))
            }
            finish(message, .success(message.returned ?? .confirmed))
        }
        if publishing.isRetired { closeWhenDone(publishing) }
        if isSerial, !outbox.isEmpty || !last.isEmpty { publishing.session?.scheduleFlush() }
        return isKnown
    }

    /// Fails what is not yet written.
    func abandon(_ error: RabbitMQError) {
        for message in take(where: { _ in true }) { finish(message, .failure(error)) }
    }

    // MARK: - Deadlines

    /// One timer for all: it fires at the earliest deadline and then looks through the line.
    private func arm(_ deadline: ContinuousClock.Instant) {
        if let timer, timer.due <= deadline { return }
        if let timer { loop.cancel(timer.id) }
        let id = loop.schedule(after: deadline - .now) { [weak self] in self?.expire() }
        timer = (id, deadline)
    }

    private func expire() {
        timer = nil
        let now = ContinuousClock.now
        let windows = self.windows
        for publishing in windows {
            publishing.window.expire(at: now) { message in
                finish(message, .failure(late("sent, but not confirmed in time", wasSent: true)))
            }
            closeWhenDone(publishing)
        }
        let text = current == nil ? "not sent: not connected in time" : "not sent: no room in time"
        for message in take(where: { $0.deadline <= now }) { finish(message, .failure(late(text, wasSent: false))) }
        let open = windows.compactMap(\.window.deadline) + outbox.map(\.deadline) + last.map(\.deadline)
        if let next = open.min() { arm(next) }
    }

    private func late(_ text: String, wasSent: Bool) -> RabbitMQError {
        if let reason = current?.session?.blockedReason {
            return RabbitMQError(.blocked, "the broker takes no messages (\(reason)); \(text)")
        }
        guard wasSent, owner?.isAnswering == true else { return RabbitMQError(.timedOut, text) }
        return RabbitMQError(.unanswered, "\(text), while others were")
    }
}

extension RabbitMQError {
    fileprivate static func unknownFate(_ error: RabbitMQError) -> RabbitMQError {
        let isLost = error.code == .connectionLost || error.replyCode == nil
        return RabbitMQError(
            isLost ? .connectionLost : error.code == .accessRefused ? .accessRefused : .channelClosed,
            "sent but not confirmed when the connection ended, so it may or may not be queued: \(error.message)",
            replyCode: error.replyCode)
    }

    fileprivate static func tooLarge(_ message: PendingPublish, _ most: Int) -> RabbitMQError {
        RabbitMQError(
            .invalidMessage,
            "the body has \(message.bodySize) bytes; the broker takes at most \(most) (max_message_size)")
    }
}
