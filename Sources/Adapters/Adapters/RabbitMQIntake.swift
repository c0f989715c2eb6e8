import Answering
import ChatJobs
import ParleyRabbitMQ
import Pipeline
import Topology

/// The job queue as the pipeline's intake.
package struct RabbitMQIntake: Intake {
    let consumer: RabbitMQConsumer
    let clock: any PipelineClock
    private let relay: Relay?
    /// With what jobs that were returned often are put aside; nil leaves them to the broker.
    private let renewal: (outbox: RabbitMQOutbox, limits: DeliveryLimits)?

    /// - Parameter relay: where the broker's users decide on tenants.
    package init(consumer: RabbitMQConsumer, clock: any PipelineClock, relay: Relay? = nil) {
        self.consumer = consumer
        self.relay = relay
        self.clock = clock
        renewal = nil
    }

    /// - Parameters:
    ///   - outbox: takes jobs that are put aside.
    ///   - limits: the same that keep the consumer from returning a worn job.
    package init(
        consumer: RabbitMQConsumer, clock: any PipelineClock, relay: Relay? = nil, renewing outbox: RabbitMQOutbox,
        _ limits: DeliveryLimits
    ) {
        self.consumer = consumer
        self.relay = relay
        self.clock = clock
        renewal = (outbox, limits)
    }

    package func nextWindow(atMost limit: Int) async -> [Incoming]? {
        while let deliveries = await consumer.next(atMost: limit) {
            let now = clock.now
            let window = deliveries.map { incoming($0, arrived: now) }
            guard let renewal, deliveries.contains(where: { $0.returns != nil }) else { return window }
            let fresh = await rest(of: window, deliveries, renewal.outbox, renewal.limits)
            if !fresh.isEmpty { return fresh }
        }
        return nil
    }

    /// Puts worn jobs aside, as fresh messages that come back at once. One that cannot be is worked on like the others.
    private func rest(
        of window: [Incoming], _ deliveries: [Delivery], _ outbox: RabbitMQOutbox, _ limits: DeliveryLimits
    ) async -> [Incoming] {
        for queue in Set(deliveries.lazy.filter { $0.returns != nil }.map(\.queue)) where !limits.isKnown(queue) {
            if let limit = await outbox.deliveryLimit(of: queue) { limits.learn(queue, limit) }
        }
        var rest: [Incoming] = []
        for (incoming, delivery) in zip(window, deliveries) {
            guard limits.isWorn(delivery), await outbox.renew(incoming) else {
                rest.append(incoming)
                continue
            }
            await acknowledge(incoming.receipt)
        }
        return rest
    }

    package func acknowledge(_ receipt: Receipt) async {
        await consumer.acknowledge(DeliveryTag(epoch: receipt.epoch, number: receipt.number))
    }

    package func handBack(_ receipt: Receipt) async {
        await consumer.reject(DeliveryTag(epoch: receipt.epoch, number: receipt.number), requeue: true)
    }

    /// Whether the receipt's connection is over: the broker has taken the delivery back.
    package func isVoid(_ receipt: Receipt) async -> Bool {
        await consumer.isVoid(DeliveryTag(epoch: receipt.epoch, number: receipt.number))
    }

    /// Takes no more jobs; what the pipeline has not taken yet goes back to the broker.
    package func pause() async { await consumer.pause() }

    /// Takes jobs again.
    package func resume() async { await consumer.resume() }

    private func incoming(_ delivery: Delivery, arrived: Duration) -> Incoming {
        let properties = delivery.properties
        var envelope = Envelope(properties)
        if let relay { envelope.userID = relay.producer(of: properties) }
        envelope.discardedBytes = delivery.discarded?.bytes
        return Incoming(
            receipt: Receipt(epoch: delivery.tag.epoch, number: delivery.tag.number), envelope: envelope,
            body: delivery.body, queue: delivery.queue, redelivered: delivery.redelivered, arrived: arrived,
            original: delivery)
    }
}
