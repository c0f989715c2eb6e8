import ChatJobs
import Logging
import Pipeline
import RabbitMQ
import Topology

/// Reply queues and the dead-letter queue as the pipeline's outbox.
public struct RabbitMQOutbox: Outbox {
    let publisher: RabbitMQPublisher
    let queues: JobQueues
    let clock: any PipelineClock
    let logger: Logger

    public init(publisher: RabbitMQPublisher, queues: JobQueues, clock: any PipelineClock, logger: Logger) {
        self.publisher = publisher
        self.queues = queues
        self.clock = clock
        self.logger = logger
    }

    nonisolated(nonsending) public func publish(_ reply: OutgoingReply) async throws(Outage) -> Bool {
        var properties = MessageProperties()
        properties.contentType = "application/json"
        properties.deliveryMode = 2
        properties.priority = reply.priority
        properties.correlationID = reply.correlationID
        properties.messageID = reply.messageID
        properties.type = reply.kind.rawValue
        if let traceparent = reply.traceparent { properties.headers[MessageHeaders.traceparent] = .string(traceparent) }
        return try await send(
            OutgoingMessage(routingKey: reply.replyTo, properties: properties, body: reply.body)) == .confirmed
    }

    nonisolated(nonsending) public func deadLetter(
        _ incoming: Incoming, _ failure: JobFailure, attempts: Int, id: JobID?
    ) async throws(Outage) {
        guard let delivery = incoming.original as? Delivery else { return }
        var properties = MessageHeaders.forwarded(delivery.properties)
        properties.headers[MessageHeaders.earlierAttempts] = nil
        properties.headers[MessageHeaders.errorCode] = .string(failure.code.rawValue)
        properties.headers[MessageHeaders.error] = .string(failure.message)
        properties.headers[MessageHeaders.attempts] = .int(Int64(attempts))
        properties.headers[MessageHeaders.deadAt] = .string(clock.wall.rfc3339)
        properties.headers[MessageHeaders.sourceQueue] = .string(incoming.queue)
        var message = OutgoingMessage(routingKey: queues.dead.name, properties: properties, body: delivery.body)
        var outcome = try await send(message)
        if outcome == nil {
            logger.warning(
                "a dead letter's own headers are left out: with Parley's they fit no frame",
                metadata: ["id": "\(id?.text ?? "none")"])
            message.properties.headers = MessageHeaders.own(properties.headers)
            outcome = try await send(message)
        }
        guard outcome != nil else { throw Outage(service: "rabbitmq", reason: "the dead letter cannot be expressed") }
        if case .returned = outcome {
            logger.error(
                "the dead-letter queue is missing: it is declared again",
                metadata: ["queue": "\(queues.dead.name)"])
            do throws(RabbitMQError) { _ = try await publisher.ensureQueue(queues.dead) } catch {
                logger.error("the dead-letter queue cannot be declared", metadata: ["error": "\(error)"])
            }
            throw Outage(service: "rabbitmq", reason: "the queue \(queues.dead.name) does not exist")
        }
    }

    nonisolated(nonsending) public func untilAvailable() async {
        // Asks again instead of waiting to be told: this must end when the task is cancelled, or a worker that shuts down
        // while the broker is away would never leave.
        while !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(Int.random(in: 50...250)))
            if await publisher.canPublish { return }
        }
    }

    /// Nil when the message cannot be expressed: trying again would be for ever.
    nonisolated(nonsending) private func send(_ message: OutgoingMessage) async throws(Outage) -> PublishOutcome? {
        // The publisher would hold the message until its deadline, and a cancelled task could not take it back.
        guard await publisher.canPublish else {
            throw Outage(service: "rabbitmq", reason: "no connection that takes messages")
        }
        do throws(RabbitMQError) {
            return try await publisher.publish(message)
        } catch {
            if error.code == .invalidMessage { return nil }
            throw Outage(service: "rabbitmq", reason: error.message)
        }
    }
}
