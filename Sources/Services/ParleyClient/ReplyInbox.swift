import ChatJobs
import IOLoop
import ParleyRabbitMQ

/// Who waits for which reply.
actor ReplyInbox {
    nonisolated let queue: String
    nonisolated let consumer: RabbitMQConsumer
    private nonisolated let loop: IOLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    private struct Listener {
        let events: AsyncThrowingStream<AnswerEvent, any Error>.Continuation
        var order = ChunkOrder()
    }

    private var listeners: [String: Listener] = [:]
    private var isReady = false
    private var readyWaiters: [Int: CheckedContinuation<Bool, Never>] = [:]
    private var lastWaiter = 0

    init(queue: String, consumer: RabbitMQConsumer, loop: IOLoop) {
        self.loop = loop
        self.queue = queue
        self.consumer = consumer
    }

    var waiting: [String] { Array(listeners.keys) }

    /// True the first time.
    func becameReady() -> Bool {
        defer { isReady = true }
        for waiter in readyWaiters.values { waiter.resume(returning: true) }
        readyWaiters = [:]
        return !isReady
    }

    /// Nothing may be published before: a reply that finds no queue is only stored.
    func untilReady(within limit: Duration) async throws(ParleyClientError) {
        guard !isReady else { return }
        let ready = await withCheckedContinuation { continuation in
            if isReady { return continuation.resume(returning: true) }
            lastWaiter += 1
            let waiter = lastWaiter
            readyWaiters[waiter] = continuation
            loop.schedule(after: limit) { self.assumeIsolated { $0.giveUpWaiting(waiter) } }
        }
        guard ready else {
            throw ParleyClientError(.unreachable, "the reply queue \(queue) could not be set up in time")
        }
    }

    private func giveUpWaiting(_ waiter: Int) {
        readyWaiters.removeValue(forKey: waiter)?.resume(returning: false)
    }

    func listen(for id: String, _ events: AsyncThrowingStream<AnswerEvent, any Error>.Continuation) {
        listeners[id] = Listener(events: events)
    }

    func forget(_ id: String) { listeners[id] = nil }

    func failAll(_ error: ParleyClientError) {
        for id in waiting { finish(id, .failure(error)) }
    }

    func finish(_ id: String, _ result: Result<Reply, ParleyClientError>) {
        guard let listener = listeners.removeValue(forKey: id) else { return }
        switch result {
        case .success(let reply):
            listener.events.yield(.reply(reply))
            listener.events.finish()
        case .failure(let error): listener.events.finish(throwing: error)
        }
    }

    /// Chunks of earlier attempts are dropped, as the contract asks of subscribers.
    func take(_ delivery: Delivery) {
        guard let id = delivery.properties.correlationID else { return }
        if delivery.properties.type == "chat.chunk" {
            guard let chunk = try? Chunk(decoding: delivery.body), let events = listeners[id]?.order.take(chunk) else {
                return
            }
            for event in events { listeners[id]?.events.yield(event) }
        } else if let reply = try? Reply(decoding: delivery.body) {
            finish(id, .success(reply))
        }
    }

}

/// Whose turn it is among the chunks of one answer.
struct ChunkOrder {
    private var attempt = 1
    private var nextSeq = 0

    /// What a chunk means for who listens; nothing when it is of an earlier attempt.
    mutating func take(_ chunk: Chunk) -> [AnswerEvent] {
        guard chunk.attempt >= attempt else { return [] }
        var events: [AnswerEvent] = []
        if chunk.attempt > attempt || chunk.seq < nextSeq {
            guard chunk.seq == 0 else { return [] }
            events.append(.restarted)
            attempt = chunk.attempt
        }
        nextSeq = chunk.seq + 1
        return events + [.delta(chunk.delta)]
    }
}
