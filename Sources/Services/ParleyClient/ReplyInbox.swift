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
        var attempt = 1
        var nextSeq = 0
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
            guard var listener = listeners[id], let chunk = try? Chunk(decoding: delivery.body),
                chunk.attempt >= listener.attempt
            else { return }
            if chunk.attempt > listener.attempt || chunk.seq < listener.nextSeq {
                guard chunk.seq == 0 else { return }
                listener.events.yield(.restarted)
                listener.attempt = chunk.attempt
            }
            listener.nextSeq = chunk.seq + 1
            listeners[id] = listener
            listener.events.yield(.delta(chunk.delta))
        } else if let reply = try? Reply(decoding: delivery.body) {
            finish(id, .success(reply))
        }
    }

}
