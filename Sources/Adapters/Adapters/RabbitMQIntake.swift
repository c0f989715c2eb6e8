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

    /// - Parameter relay: where the broker's users decide on tenants.
    package init(consumer: RabbitMQConsumer, clock: any PipelineClock, relay: Relay? = nil) {
        self.consumer = consumer
        self.relay = relay
        self.clock = clock
    }

    package func nextWindow(atMost limit: Int) async -> [Incoming]? {
        guard let deliveries = await consumer.next(atMost: limit) else { return nil }
        let now = clock.now
        return deliveries.map { incoming($0, arrived: now) }
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
