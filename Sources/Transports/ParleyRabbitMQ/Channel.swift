import IOLoop
import Synchronization

/// A request whose answer is awaited. Lives on the loop.
final class Call {
    private let name: String
    private let loop: IOLoop
    private var timer: IOTimer?
    /// `nil` once timed out: the answer is then only counted off, so that later ones keep their place.
    private var completion: ((Result<Reply, RabbitMQError>) -> Void)?

    init(
        _ name: String, within limit: Duration, loop: IOLoop,
        completion: @escaping (Result<Reply, RabbitMQError>) -> Void
    ) {
        self.name = name
        self.loop = loop
        self.completion = completion
        timer = loop.schedule(after: limit) { [weak self] in
            self?.timer = nil
            self?.finish(.failure(RabbitMQError(.timedOut, "no answer to \(name) within \(limit)")))
        }
    }

    func finish(_ result: Result<Reply, RabbitMQError>) {
        if let timer { loop.cancel(timer) }
        let completion = self.completion
        self.completion = nil
        completion?(result)
    }
}

/// Who gets the deliveries of one consumer.
struct ConsumerHandler: Sendable {
    let deliver: @Sendable (Delivery) -> Void
    /// The broker has ended it, or the channel is gone.
    let ended: @Sendable (RabbitMQError) -> Void
}

/// One channel's life, as those see it who use it. Lives on the loop of its ``Session``.
final class Channel {
    let number: UInt16
    /// Unique in the process; what makes a delivery tag safe to keep.
    let epoch: UInt64
    private(set) var isOpen = true
    var hasConsumed = false
    /// In confirm mode.
    var publishing: PublishingChannel?
    /// Where the deliveries go of a consumer that stays connected, and where their settlements come from.
    var inbox: Inbox?
    var onClose: ((RabbitMQError) -> Void)?

    static func newEpoch() -> UInt64 { epochs.wrappingAdd(1, ordering: .relaxed).newValue }

    init(number: UInt16, epoch: UInt64) {
        self.number = number
        self.epoch = epoch
    }

    /// Tells everybody that it is over.
    func end(_ error: RabbitMQError) {
        guard isOpen else { return }
        isOpen = false
        let publishing = self.publishing
        self.publishing = nil
        inbox = nil
        publishing?.ended(error)
        let onClose = self.onClose
        self.onClose = nil
        onClose?(error)
    }
}

private let epochs = Atomic<UInt64>(0)
