import Answering
import ChatJobs
import Logging
import ParleyPrimitives
import ParleyRabbitMQ
import Pipeline
import Topology

/// Reply queues and the dead-letter queue as the pipeline's outbox.
package struct RabbitMQOutbox: Outbox {
    let publisher: RabbitMQPublisher
    let queues: JobQueues
    let clock: any PipelineClock
    let logger: Logger
    private let signature: Shared<LetterSignature?>
    private let ladder = Ladder()
    private let relay: Relay?

    /// - Parameters:
    ///   - relay: where the broker's users decide on tenants.
    ///   - letterKey: `secrets.letter_key`: dead letters are signed with it.
    package init(
        publisher: RabbitMQPublisher, queues: JobQueues, clock: any PipelineClock, relay: Relay? = nil,
        letterKey: String? = nil, logger: Logger
    ) {
        self.relay = relay
        signature = Shared(letterKey.map { LetterSignature(key: $0) })
        self.publisher = publisher
        self.queues = queues
        self.clock = clock
        self.logger = logger
    }

    /// Signs with another key from the next dead letter on.
    package func useLetterKey(_ key: String) { signature.set(LetterSignature(key: key)) }

    package func publish(_ reply: OutgoingReply) async throws(Outage) -> ReplyFate {
        switch try await send(Self.message(reply)) {
        case .published(.confirmed): return .confirmed
        case .published(.returned), .inexpressible: return .unroutable
        case .refused: return .refused
        }
    }

    private static func message(_ reply: OutgoingReply) -> OutgoingMessage {
        var properties = MessageProperties(
            contentType: "application/json", deliveryMode: 2, priority: reply.priority,
            correlationID: reply.correlationID, messageID: reply.messageID, type: reply.kind.rawValue)
        if let bytes = reply.correlationBytes { properties.rawTexts[.correlationID] = bytes }
        if let traceparent = reply.traceparent { properties.headers[MessageHeaders.traceparent] = .string(traceparent) }
        return OutgoingMessage(routingKey: reply.replyTo, properties: properties, body: reply.body)
    }

    package func deadLetter(
        _ incoming: Incoming, _ failure: JobFailure, attempts: Int, id: JobID?
    ) async throws(Outage) {
        let delivery = try delivery(of: incoming)
        var properties = forwarded(delivery, incoming)
        properties.headers[MessageHeaders.earlierAttempts] = nil
        if incoming.envelope.requeues > 0 {
            properties.headers[MessageHeaders.requeues] = MessageHeaders.count(incoming.envelope.requeues)
        }
        properties.headers[MessageHeaders.errorCode] = .string(failure.code.rawValue)
        properties.headers[MessageHeaders.error] = .string(failure.message)
        properties.headers[MessageHeaders.attempts] = .int(Int64(attempts))
        properties.headers[MessageHeaders.deadAt] = .string(clock.wall.rfc3339)
        properties.headers[MessageHeaders.sourceQueue] = .string(incoming.queue)
        // What a producer wrote there must not make a stub of a letter that is whole.
        properties.headers[MessageHeaders.bodyBytes] = nil
        properties.headers[MessageHeaders.bodySHA256] = nil
        properties.headers[MessageHeaders.due] = nil
        // A producer's own would be taken for ours where no key is set.
        properties.headers[MessageHeaders.signature] = nil
        let body = delivery.discarded.map { Self.stub(of: $0, &properties) } ?? delivery.body
        signature.value?.sign(&properties, body: body)
        let message = OutgoingMessage(routingKey: queues.dead.name, properties: properties, body: body)
        let outcome = try await sendWhole(message, what: "a dead letter", id: id?.text)
        if case .returned = outcome {
            logger.error(
                "the dead-letter queue is missing: it is declared again",
                metadata: ["queue": "\(queues.dead.name)"])
            do throws(RabbitMQError) { _ = try await publisher.ensureQueue(queues.dead) } catch {
                logger.error("the dead-letter queue cannot be declared", metadata: ["error": "\(error)"])
            }
            throw Outage(.rabbitMQ, "the queue \(queues.dead.name) does not exist")
        }
    }

    private func forwarded(_ delivery: Delivery, _ incoming: Incoming) -> MessageProperties {
        var properties = MessageHeaders.forwarded(delivery.properties)
        // Without one the header is a producer's own.
        properties.headers[MessageHeaders.user] = nil
        relay?.sign(&properties, for: incoming.envelope.userID)
        return properties
    }

    /// What stands in a dead letter for a body that was too large to be read: enough to know it again.
    private static func stub(of body: DiscardedBody, _ properties: inout MessageProperties) -> [UInt8] {
        properties.contentType = "application/json"
        properties.contentEncoding = nil
        properties.headers[MessageHeaders.bodyBytes] = .int(Int64(body.bytes))
        properties.headers[MessageHeaders.bodySHA256] = body.sha256.map { .string($0) }
        let digest = body.sha256.map { #", "sha256": "\#($0)""# } ?? ""
        return Array(#"{"stub": true, "bytes": \#(body.bytes)\#(digest)}"#.utf8)
    }

    /// Publishes the message again, to come back to its queue after `delay` (125 ms to 388 days, rounded up to 125 ms),
    /// as its producer sent it but for the counts. It is the broker's when this returns; the delivery is not settled.
    ///
    /// From a queue that is none of the configuration's it comes back to the base queue, which a worker consumes.
    package func postpone(_ incoming: Incoming, _ postponement: Postponement) async throws(Outage) {
        let delivery = try delivery(of: incoming)
        guard delivery.discarded == nil else {
            throw Outage(.rabbitMQ, "a job from \(incoming.queue) cannot be put aside: its body was not kept")
        }
        var properties = forwarded(delivery, incoming)
        // A letter that was moved back is none any more: it would be one for ever, and its attempts never counted.
        for key in MessageHeaders.ofLetters { properties.headers[key] = nil }
        properties.headers[MessageHeaders.requeues] = MessageHeaders.count(incoming.envelope.requeues)
        properties.headers[MessageHeaders.earlierAttempts] = MessageHeaders.count(postponement.attempts)
        properties.headers[MessageHeaders.deferrals] = MessageHeaders.count(postponement.deferrals)
        properties.headers[MessageHeaders.outages] = MessageHeaders.count(postponement.outages)
        properties.headers[MessageHeaders.refusals] = MessageHeaders.count(postponement.refusals)
        let due = clock.wall.milliseconds + min(postponement.delay, DelayLadder.longest).wholeMilliseconds
        properties.headers[MessageHeaders.due] = .string(Timestamp(milliseconds: due).rfc3339)
        let queue = queues.jobNames.contains(incoming.queue) ? incoming.queue : queues.names.base
        let message = OutgoingMessage(
            exchange: queues.delays.entry, routingKey: queues.delays.routingKey(to: queue, after: postponement.delay),
            properties: properties, body: delivery.body)
        guard await publisher.canPublish else { throw Outage(.rabbitMQ, "no connection that takes messages") }
        let levels = DelayLadder.levels(for: postponement.delay)
        let areThere = await ladder.make(levels) { [publisher, queues, logger] in
            do throws(RabbitMQError) {
                try await publisher.withConnection { connection throws(RabbitMQError) in
                    for queue in queues.jobs { try await connection.ensureQueue(queue) }
                    try await queues.delays.ensure(on: connection, for: queues.jobNames, levels: levels)
                }
                return true
            } catch {
                logger.error("the delay queues cannot be declared", metadata: ["error": "\(error)"])
                return false
            }
        }
        guard areThere else { throw Outage(.rabbitMQ, "the delay queues of \(queue) cannot be declared") }
        let outcome = try await sendWhole(
            message, what: "a postponed job", id: JobID(delivery.properties.messageID ?? "")?.text)
        if case .returned = outcome {
            if await ladder.isMissing() {
                logger.error(
                    "a delay queue is missing: all are declared again", metadata: ["queue": "\(queues.names.base)"])
            }
            throw Outage(.rabbitMQ, "a delay queue of \(queues.names.base) does not exist")
        }
    }

    /// Puts a job aside that was returned so often that its queue may drop it the next time. Nothing counts as tried.
    /// - Returns: whether the message is in the delay queues now; the delivery is to be acknowledged then.
    func renew(_ incoming: Incoming) async -> Bool {
        let counts = incoming.envelope
        do throws(Outage) {
            try await postpone(
                incoming,
                Postponement(
                    delay: DelayLadder.step, attempts: counts.earlierAttempts, deferrals: counts.deferrals,
                    outages: counts.outages, refusals: counts.refusals))
            logger.info(
                "a job that came back often is put aside as a fresh message", metadata: ["queue": "\(incoming.queue)"])
            return true
        } catch {
            logger.warning(
                "a job that came back often cannot be put aside: its queue may drop it",
                metadata: ["queue": "\(incoming.queue)", "reason": "\(error.reason)"])
            return false
        }
    }

    /// Nil when the broker cannot be asked.
    func deliveryLimit(of queue: String) async -> JobQueues.DeliveryLimit? {
        do throws(RabbitMQError) {
            let limit = try await publisher.withConnection { connection throws(RabbitMQError) in
                await JobQueues.deliveryLimit(of: queue, on: connection)
            }
            if case .after(let most) = limit, most < 20 {
                logger.warning(
                    "the queue drops a job that comes back often; declare it with another x-delivery-limit",
                    metadata: ["queue": "\(queue)", "limit": "\(most)"])
            }
            return limit
        } catch {
            return nil
        }
    }

    package func untilAvailable() async {
        // Asks again instead of waiting to be told: this must end when the task is cancelled, or a worker that shuts down
        // while the broker is away would never leave.
        while !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(Int.random(in: 50...250)))
            if await publisher.canPublish { return }
        }
    }

    /// The message as RabbitMQ delivered it. One that another intake brought cannot be sent on from here: the job is then
    /// not to be acknowledged.
    private func delivery(of incoming: Incoming) throws(Outage) -> Delivery {
        if let delivery = incoming.original as? Delivery { return delivery }
        logger.critical(
            "a job was not delivered by RabbitMQ and cannot be sent on: it stays where it is",
            metadata: ["original": "\(type(of: incoming.original))", "queue": "\(incoming.queue)"])
        throw Outage(.rabbitMQ, "a job from \(incoming.queue) was not delivered by RabbitMQ")
    }

    /// Sends a message that has to go, without its producer's headers if with Parley's they fit no frame.
    private func sendWhole(
        _ message: OutgoingMessage, what: String, id: String?
    ) async throws(Outage) -> PublishOutcome {
        if let outcome = try await accepted(message) { return outcome }
        logger.warning(
            "a message loses its producer's headers: with Parley's they fit no frame",
            metadata: ["message": "\(what)", "id": "\(id ?? "none")"])
        var message = message
        let wasSigned = message.properties.headers[MessageHeaders.signature] != nil
        message.properties.headers = MessageHeaders.own(message.properties.headers)
        if wasSigned { signature.value?.sign(&message.properties, body: message.body) }
        if let outcome = try await accepted(message) { return outcome }
        throw Outage(.rabbitMQ, "\(what) cannot be expressed")
    }

    /// Nil when the message cannot be expressed. A queue of our own that refuses is an outage.
    private func accepted(_ message: OutgoingMessage) async throws(Outage) -> PublishOutcome? {
        switch try await send(message) {
        case .published(let outcome): outcome
        case .inexpressible: nil
        case .refused(let reason): throw Outage(.rabbitMQ, reason)
        }
    }

    private enum Sending {
        case published(PublishOutcome)
        /// Trying again would be for ever.
        case inexpressible
        /// By the queue, for now.
        case refused(String)
    }

    private func send(_ message: OutgoingMessage) async throws(Outage) -> Sending {
        do throws(RabbitMQError) {
            // The publisher would hold the message until its deadline, and a cancelled task could not take it back.
            return .published(try await publisher.publish(message, waits: false))
        } catch {
            return try sending(message, failed: error)
        }
    }

    private func sending(_ message: OutgoingMessage, failed error: RabbitMQError) throws(Outage) -> Sending {
        switch error.code {
        case .invalidMessage: return .inexpressible
        case .unacceptable:
            logger.error(
                "the broker fails on a message: it is not sent again",
                metadata: ["id": "\(message.properties.messageID ?? "none")", "reason": "\(error.message)"])
            return .inexpressible
        // None of these says anything of other queues: the others' replies go on.
        case .nacked, .congested, .unanswered: return .refused(error.message)
        // The exchange is missing: as good as returned. The default exchange is always there.
        case .notFound where !message.exchange.isEmpty:
            return .published(.returned(code: error.replyCode ?? 404, reason: error.message))
        default: throw Outage(.rabbitMQ, error.message)
        }
    }
}

/// How many levels of delay queues are known to be there. They are made when first needed, the longer ones when a job has to
/// wait for so long, once for all that need them at the same time.
private actor Ladder {
    private var known = 0
    private var making: Task<Bool, Never>?

    /// - Returns: whether `levels` are there.
    func make(_ levels: Int, _ body: @escaping @Sendable () async -> Bool) async -> Bool {
        while known < levels {
            if let making {
                guard await making.value else { return false }
            } else {
                making = Task {
                    let isDone = await body()
                    // Before anybody hears of the end: whoever does looks again at what is known.
                    self.made(isDone ? levels : 0)
                    return isDone
                }
            }
        }
        return true
    }

    private func made(_ levels: Int) {
        known = max(known, levels)
        making = nil
    }

    /// Somebody has found a part of it missing. True for the first who says so.
    func isMissing() -> Bool {
        defer { known = 0 }
        return known > 0
    }
}
