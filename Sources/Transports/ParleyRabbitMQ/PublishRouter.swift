import IOLoop

/// Sends each message the way its address deserves: with the others, alone, or not at all for now.
///
/// Lives on the loop.
final class PublishRouter: PublishLineOwner, @unchecked Sendable {
    // Proof of @unchecked Sendable: used by actors that have `loop` as executor and by lines on it, nowhere else.
    /// Where the messages go of which nothing bad is known.
    let main: PublishLine
    /// One at a time, on a connection of its own.
    let alone: PublishLine
    private var book: AddressBook
    private(set) var inFlight = 0
    private var onIdle: [() -> Void] = []
    /// Opens another channel for ``main``, because of an address that refuses.
    var renew: (RabbitMQError) -> Void = { _ in }
    /// Connects ``alone``.
    var connectAlone: () -> Void = {}

    /// - Parameter budget: the most messages under way to one address; see ``AddressBook/budget``.
    init(loop: IOLoop, budget: Int?) {
        book = AddressBook(budget: budget)
        // Who has a budget for each address wants to hear of its own message's doings only. Others are told that a
        // message's fate is unknown, and decide for themselves whether it may come twice.
        main = PublishLine(loop: loop, survivesConnection: true, writesAgain: budget != nil)
        alone = PublishLine(loop: loop, survivesConnection: true, isSerial: true)
        main.owner = self
        alone.owner = self
    }

    func submit(
        _ message: consuming OutgoingMessage, timeout: Duration,
        completion: @escaping (Result<PublishOutcome, RabbitMQError>) -> Void
    ) {
        let now = ContinuousClock.now
        let pending = PendingPublish(message, deadline: now + timeout, completion: completion)
        inFlight += 1
        switch book.admit(pending.address, at: now) {
        case .send: main.submit(pending)
        case .sendAlone(let isLast): alone.submit(pending, last: isLast)
        case .refuse(let error):
            left()
            pending.finish(.failure(error))
        }
    }

    /// Calls `body` when nothing is in flight; at once when that is so.
    func whenIdle(_ body: @escaping () -> Void) {
        if inFlight == 0 { body() } else { onIdle.append(body) }
    }

    func abandon(_ error: RabbitMQError) {
        main.abandon(error)
        alone.abandon(error)
    }

    private func left() {
        inFlight -= 1
        guard inFlight == 0, !onIdle.isEmpty else { return }
        let bodies = onIdle
        onIdle = []
        for body in bodies { body() }
    }

    // MARK: - What the lines say

    func finished(_ message: PendingPublish, _ result: Result<PublishOutcome, RabbitMQError>, on line: PublishLine) {
        let now = ContinuousClock.now
        let address = message.address
        switch result {
        case .success:
            if book.accepted(address, alone: line === alone, at: now) {
                for message in alone.take(where: { $0.address == address }) { main.submit(message) }
            }
        case .failure(let error):
            switch error.code {
            case .nacked:
                if let time = book.refused(address, at: now) { tryAnotherChannel(address, time) }
            case .unanswered: book.unanswered(address, at: now)
            case .unacceptable: book.convicted(address, at: now)
            default: book.abandoned(address)
            }
        }
        left()
    }

    private func tryAnotherChannel(_ address: PublishAddress, _ time: Duration) {
        book.startOver()
        renew(
            RabbitMQError(
                .nacked, "the broker has refused every message for \(address) for \(time.components.seconds) seconds"))
    }

    func suspect(_ messages: [PendingPublish]) { book.suspect(messages.map(\.address), at: .now) }

    func lostChannel(_ line: PublishLine) {
        if line === main {
            for message in main.take(where: { book.isInDoubt($0.address) }) { alone.submit(message) }
        } else if !alone.isIdle {
            connectAlone()
        }
    }

    var isAnswering: Bool {
        guard book.budget != nil, let last = book.lastConfirm else { return false }
        return ContinuousClock.now - last < AddressBook.stall
    }

    func needsChannel(_ line: PublishLine) {
        if line === alone { connectAlone() }
    }
}
