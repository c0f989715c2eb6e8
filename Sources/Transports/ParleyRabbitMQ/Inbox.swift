import DequeModule

/// What one consumer has received and not yet handed out, and what it has settled and not yet sent.
///
/// Lives on the loop: the session fills it, the consumer's actor empties it.
final class Inbox: @unchecked Sendable {
    // Proof of @unchecked Sendable: used by the session and by the actor that share one loop, nowhere else.
    private struct Waiter {
        let id: UInt64
        let atMost: Int
        let continuation: CheckedContinuation<[Delivery]?, Never>
    }

    private var buffer = Deque<Delivery>()
    private var waiters = Deque<Waiter>()
    private var book = SettlementBook()
    private var nextWaiter: UInt64 = 0
    private weak var session: Session?
    private var channel: UInt16 = 0
    private let noAck: Bool
    /// Deliveries that must not be returned: they wait until they are taken.
    private let keeps: @Sendable (Delivery) -> Bool
    private(set) var epoch: UInt64 = 0
    private(set) var dropped = 0
    private(set) var isFinished = false
    /// Set while consuming is paused or stopped: what still arrives goes straight back.
    var isReturning = false
    /// Called after a settlement while it is set.
    var onSettled: (() -> Void)?

    init(noAck: Bool, keeps: @escaping @Sendable (Delivery) -> Bool = { _ in false }) {
        self.noAck = noAck
        self.keeps = keeps
    }

    var buffered: Int { buffer.count }
    var unsettled: Int { book.outstanding }
    /// Deliveries of consumers that are no more.
    var unsettledBefore: Int { book.outstandingBefore }

    func closeRound() { book.closeRound() }

    /// Begins a new life; what the old one left behind is gone, the broker delivers it again.
    func attach(_ session: Session, _ channel: Channel) {
        self.session = session
        self.channel = channel.number
        epoch = channel.epoch
        book = SettlementBook()
        buffer.removeAll(keepingCapacity: true)
        channel.inbox = self
    }

    /// Whether the broker has taken the delivery back: the channel that brought it has ended.
    func isVoid(_ tag: DeliveryTag) -> Bool { !noAck && tag.epoch != epoch }

    /// Deliveries without acknowledgement stay good when the connection ends; the others are the broker's again.
    func detach() {
        session = nil
        epoch = 0
        book = SettlementBook()
        if !noAck { buffer.removeAll() }
        wake()
    }

    func receive(_ delivery: Delivery) {
        if !noAck, !take(note: book.delivered(delivery.tag.number)) { return }
        if isReturning, !noAck, !keeps(delivery) {
            settle(delivery.tag, requeue: true)
        } else {
            buffer.append(delivery)
        }
    }

    /// False when the delivery is none.
    private func take(note arrival: SettlementBook.Arrival) -> Bool {
        switch arrival {
        case .expected: return true
        case .afterGap:
            session?.complain("it has left out delivery tags, which stay unsettled")
            return true
        case .repeated:
            session?.complain("it has given a delivery tag twice; what came second is left out")
            return false
        case .beyondBounds:
            session?.end(RabbitMQError(.protocolViolation, "the broker has left out too many delivery tags"))
            return false
        }
    }

    // MARK: - Handing out

    /// `nil` when the caller has to wait.
    func take(_ atMost: Int) -> [Delivery]?? {
        if buffer.isEmpty { return isFinished ? .some(nil) : nil }
        let count = min(max(1, atMost), buffer.count)
        defer { buffer.removeFirst(count) }
        return .some(Array(buffer.prefix(count)))
    }

    func newWaiter() -> UInt64 {
        nextWaiter += 1
        return nextWaiter
    }

    func wait(_ id: UInt64, _ atMost: Int, _ continuation: CheckedContinuation<[Delivery]?, Never>) {
        if let result = take(atMost) { return continuation.resume(returning: result) }
        waiters.append(Waiter(id: id, atMost: atMost, continuation: continuation))
    }

    func cancelWaiter(_ id: UInt64) {
        guard let index = waiters.firstIndex(where: { $0.id == id }) else { return }
        waiters.remove(at: index).continuation.resume(returning: nil)
    }

    /// Hands out what has arrived: once for all of a batch of frames.
    func wake() {
        while let waiter = waiters.first, let result = take(waiter.atMost) {
            waiters.removeFirst()
            waiter.continuation.resume(returning: result)
        }
    }

    /// No more deliveries will come: waiters get what is there, then `nil`.
    func finish() {
        isFinished = true
        wake()
    }

    /// Hands back what nobody has taken.
    func returnBuffered() {
        isReturning = true
        guard !noAck else { return }
        let deliveries = buffer
        buffer.removeAll()
        for delivery in deliveries {
            if keeps(delivery) { buffer.append(delivery) } else { settle(delivery.tag, requeue: true) }
        }
    }

    // MARK: - Settling

    /// Acknowledges, or rejects when `requeue` says how.
    func settle(_ tag: DeliveryTag, requeue: Bool?) {
        if noAck { return }
        guard tag.epoch == epoch, let session else {
            dropped += 1
            return
        }
        let isNew = requeue.map { book.reject(tag.number, requeue: $0) } ?? book.acknowledge(tag.number)
        guard isNew else {
            dropped += 1
            return
        }
        session.scheduleFlush()
        onSettled?()
    }

    /// What is to be sent next; it counts as sent.
    func nextSettlement() -> SettlementBook.Settlement? { book.next() }
}
