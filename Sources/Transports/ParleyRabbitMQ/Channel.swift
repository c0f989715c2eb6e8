import CRabbitMQ
import DequeModule
import IOLoop
import Synchronization

/// The broker's answer to one request.
enum Reply: Sendable {
    case ok
    case queue(QueueStatus)
    case count(UInt32)
    case message(Delivery, remaining: UInt32)
    case empty
}

/// A request on its way, or one whose answer is awaited.
struct Call {
    let id: UInt64
    let reply: UInt32
    let name: StaticString
    /// `nil` once timed out: the answer is then only counted off, so that later ones keep their place.
    var completion: ((Result<Reply, RabbitMQError>) -> Void)?
}

/// Who gets the deliveries of one consumer.
struct ConsumerEntry: Sendable {
    let tag: String
    let queue: String
    /// The most bytes of a body; a larger one is discarded while it is read.
    let maxBody: Int
    let deliver: @Sendable (Delivery) -> Void
    /// The broker has ended it, or the channel is gone.
    let ended: @Sendable (RabbitMQError) -> Void
}

/// One channel's life. Lives on the loop of its ``Session``.
final class Channel {
    let number: UInt16
    /// Unique in the process; what makes a delivery tag safe to keep.
    let epoch: UInt64
    var isOpen = true
    /// Its end is asked for; nothing else may follow.
    var isClosing = false
    var hasSentClose = false
    var calls = Deque<Call>()
    var consumers: [ConsumerEntry] = []
    var hasConsumed = false
    /// In confirm mode.
    var publishing: PublishingChannel?
    /// Where the deliveries go of a consumer that stays connected, and where their settlements come from.
    var inbox: Inbox?
    var onClose: ((RabbitMQError) -> Void)?

    /// Content that is arriving: what its method said, then properties, then body.
    var content: IncomingContent?
    var exchanges = TextMemory()
    var routingKeys = TextMemory()
    var consumerTags = TextMemory()
    var properties = PropertiesReader()

    init(number: UInt16) {
        self.number = number
        epoch = epochs.wrappingAdd(1, ordering: .relaxed).newValue
    }

    func answer(_ reply: UInt32, _ result: Reply) {
        guard let index = calls.firstIndex(where: { $0.reply == reply }) else { return }
        calls.remove(at: index).completion?(.success(result))
    }

    /// Ends everything that waits on this channel.
    func end(_ error: RabbitMQError) {
        guard isOpen else { return }
        isOpen = false
        let calls = self.calls
        self.calls = []
        for call in calls { call.completion?(.failure(error)) }
        let consumers = self.consumers
        self.consumers = []
        for consumer in consumers { consumer.ended(error) }
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
