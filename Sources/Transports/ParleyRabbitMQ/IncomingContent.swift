import ParleyDigest

/// One consumer of a channel, and who its deliveries are for.
struct ConsumerSlot<Context> {
    let tag: String
    let queue: String
    /// The most bytes of a body; a larger one is discarded while it is read.
    let maxBody: Int
    let context: Context
}

/// A message that is arriving: what its method said, then its properties, then its body, frame by frame.
///
/// A class, because it is large: a channel that holds one is looked at with each frame.
final class IncomingContent<Context> {
    enum Kind {
        /// Nil: the broker names a consumer that there is not.
        case delivery(ConsumerSlot<Context>?)
        case got(remaining: UInt32)
        case returned(code: UInt16, reason: String)
    }

    let kind: Kind
    private let tag: UInt64
    private let redelivered: Bool
    private let exchange: String
    private let routingKey: String
    private let consumerTag: String
    private var properties = MessageProperties()
    private var body: [UInt8] = []
    /// In place of the body, when that is not kept.
    private var digest: SHA256?
    private var isKept = true
    /// As announced; nil until then.
    private var size: UInt64?
    private var missing: UInt64 = 0

    init(
        _ kind: Kind, tag: UInt64 = 0, redelivered: Bool = false, exchange: String, routingKey: String,
        consumerTag: String = ""
    ) {
        self.kind = kind
        self.tag = tag
        self.redelivered = redelivered
        self.exchange = exchange
        self.routingKey = routingKey
        self.consumerTag = consumerTag
    }

    /// What has come of it so far.
    enum Progress { case partial, complete, violation }

    func header(_ properties: consuming MessageProperties, bodySize: UInt64) -> Progress {
        guard size == nil else { return .violation }
        self.properties = properties
        size = bodySize
        missing = bodySize
        switch kind {
        case .delivery(let consumer?):
            isKept = bodySize <= UInt64(consumer.maxBody)
            if !isKept { digest = SHA256() }
        case .got: break
        // What is returned is known here already, and what is nobody's is not handed out.
        case .returned, .delivery(nil): isKept = false
        }
        // A size is only a promise: memory is taken for what may honestly come in one go.
        if isKept { body.reserveCapacity(Int(min(bodySize, 1 << 20))) }
        return bodySize == 0 ? .complete : .partial
    }

    func append(_ fragment: UnsafeRawBufferPointer) -> Progress {
        guard size != nil, fragment.count <= missing else { return .violation }
        missing -= UInt64(fragment.count)
        if isKept { body.append(contentsOf: fragment) } else { digest?.update(fragment) }
        return missing == 0 ? .complete : .partial
    }

    /// How many bytes the body has.
    var bodySize: Int { Int(clamping: size ?? 0) }

    func delivery(epoch: UInt64, from queue: String = "") -> Delivery {
        let discarded =
            isKept ? nil : DiscardedBody(bytes: bodySize, sha256: digest?.finish().hex)
        return Delivery(
            tag: DeliveryTag(epoch: epoch, number: tag), redelivered: redelivered, exchange: exchange,
            routingKey: routingKey, consumerTag: consumerTag, queue: queue, properties: properties, body: body,
            discarded: discarded)
    }
}
