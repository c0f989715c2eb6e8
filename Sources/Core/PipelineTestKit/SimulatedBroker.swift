import ChatJobs
import Pipeline

/// RabbitMQ, as the pipeline sees it: a priority queue with prefetch, connections that can be cut, publishes whose
/// confirm can be lost, and a dead-letter queue.
package actor SimulatedBroker {
    nonisolated let executor: SimulatedExecutor
    package nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    struct Queued {
        var message: SimulatedMessage
        var redelivered = false
    }

    struct Connection {
        var epoch: UInt64 = 1
        var isUp = true
        /// When it was last cut.
        var cut: Duration?
        var isStopped = false
        var isPaused = false
        let prefetch: Int
        let life: ProcessLife
        var nextTag: UInt64 = 0
        /// Delivered and not settled at the broker.
        var unsettled: [UInt64: Queued] = [:]
        /// Of those, what the worker has not taken yet, in order.
        var buffer: [UInt64] = []
        /// Of those, what the worker has settled, on its way to the broker.
        var settling: Set<UInt64> = []
        var waiter: CheckedContinuation<Void, Never>?
    }

    let ledger: Ledger
    let latencies: Latencies
    /// Give a worker everything that has arrived; otherwise a random part of it, after a random while.
    private let givesAll: Bool
    var queue: [Queued] = []
    /// Messages in the delay queues.
    private var delayed = 0
    var connections: [Int: Connection] = [:]
    private var expected = 0
    private var drainWaiters: [CheckedContinuation<Void, Never>] = []
    var outboxDownUntil: Duration = .zero
    var outboxOutages = 0
    /// Reply queues are full until then.
    private var repliesRefusedUntil: Duration = .zero
    var areRepliesRefused: Bool { executor.now < repliesRefusedUntil }

    package init(executor: SimulatedExecutor, ledger: Ledger, latencies: Latencies, givesAll: Bool = true) {
        self.executor = executor
        self.ledger = ledger
        self.latencies = latencies
        self.givesAll = givesAll
    }

    // MARK: - The scenario's side

    /// Puts messages into the job queue, all at once.
    package func publish(_ messages: [SimulatedMessage]) {
        for message in messages {
            ledger.published(message)
            queue.append(Queued(message: message))
        }
        pump()
    }

    /// Opens a worker's consumer.
    package func connect(worker: Int, prefetch: Int, life: ProcessLife) {
        connections[worker] = Connection(prefetch: prefetch, life: life)
        pump()
    }

    /// The network between the broker and the worker fails: everything unsettled goes back, receipts become void.
    package func cut(worker: Int, for duration: Duration) {
        guard connections[worker]?.isUp == true else { return }
        takeBack(worker)
        connections[worker]?.isUp = false
        connections[worker]?.cut = executor.now
        pump()
        Task(executorPreference: executor) { await self.restore(worker, after: duration) }
    }

    /// The worker's process is gone. Settlements that it had sent may still arrive.
    package func kill(worker: Int) {
        guard let connection = connections[worker] else { return }
        for tag in connection.settling.sorted() where executor.chance(50) { settled(worker, connection.epoch, tag) }
        takeBack(worker)
        let waiter = connections.removeValue(forKey: worker)?.waiter
        waiter?.resume()
        pump()
    }

    /// The worker takes no more: what it has not taken yet goes back, its ``Intake/nextWindow(atMost:)`` gives nil.
    package func stop(worker: Int) {
        returnBuffered(worker)
        guard var connection = connections[worker] else { return }
        connection.isStopped = true
        let waiter = connection.waiter
        connection.waiter = nil
        connections[worker] = connection
        waiter?.resume()
        pump()
    }

    func pause(worker: Int) {
        returnBuffered(worker)
        connections[worker]?.isPaused = true
        pump()
    }

    func resume(worker: Int) {
        connections[worker]?.isPaused = false
        pump()
    }

    private func returnBuffered(_ worker: Int) {
        guard var connection = connections[worker] else { return }
        for tag in connection.buffer {
            if let queued = connection.unsettled.removeValue(forKey: tag) { requeue(queued) }
        }
        connection.buffer = []
        connections[worker] = connection
    }

    /// Takes a copy of the message into the delay queues.
    func delay(_ message: SimulatedMessage, for duration: Duration) {
        ledger.postponed(message.number)
        delayed += 1
        Task(executorPreference: executor) { await self.due(message, after: duration) }
    }

    private func due(_ message: SimulatedMessage, after duration: Duration) async {
        await pause(duration)
        delayed -= 1
        queue.append(Queued(message: message))
        pump()
    }

    /// Publishes fail for `duration` from now; those under way have arrived or not.
    package func loseOutbox(for duration: Duration) {
        outboxDownUntil = max(outboxDownUntil, executor.now + duration)
        outboxOutages += 1
    }

    /// Reply queues refuse what is published to them for `duration` from now.
    package func refuseReplies(for duration: Duration) {
        repliesRefusedUntil = max(repliesRefusedUntil, executor.now + duration)
    }

    /// Returns when the queue is empty and nothing is unsettled.
    package func untilDrained() async {
        while !isDrained { await withCheckedContinuation { drainWaiters.append($0) } }
    }

    /// How many deliveries the worker holds.
    package func unsettled(worker: Int) -> Int { connections[worker]?.unsettled.count ?? 0 }

    /// The numbers of the messages in the queue.
    package var waiting: [Int] { queue.map(\.message.number) }

    var isDrained: Bool { queue.isEmpty && delayed == 0 && connections.values.allSatisfy(\.unsettled.isEmpty) }

    // MARK: - Deliveries

    func nextWindow(_ worker: Int, atMost limit: Int) async -> [Incoming]? {
        while true {
            if !givesAll { await pause(executor.draw(.zero ... .milliseconds(2))) }
            guard let connection = connections[worker], !connection.isStopped else { return nil }
            guard connection.buffer.isEmpty else { return take(worker, atMost: limit) }
            await withCheckedContinuation { continuation in
                connections[worker]?.waiter = continuation
            }
        }
    }

    private func take(_ worker: Int, atMost limit: Int) -> [Incoming] {
        guard var connection = connections[worker] else { return [] }
        let most = min(limit, connection.buffer.count)
        let tags = connection.buffer.prefix(givesAll ? most : executor.draw(1...most))
        connection.buffer.removeFirst(tags.count)
        connections[worker] = connection
        return tags.compactMap { tag in
            connection.unsettled[tag].map {
                Incoming(
                    receipt: Receipt(epoch: connection.epoch, number: tag), envelope: $0.message.envelope,
                    body: $0.message.body, queue: "chat.jobs", redelivered: $0.redelivered, arrived: executor.now,
                    original: $0.message)
            }
        }
    }

    func acknowledge(_ worker: Int, _ receipt: Receipt) {
        guard let number = beginSettling(worker, receipt) else { return }
        ledger.acknowledging(number)
        Task(executorPreference: executor) { await self.settleLater(worker, receipt) }
    }

    func handBack(_ worker: Int, _ receipt: Receipt) {
        guard let number = beginSettling(worker, receipt) else { return }
        ledger.handedBack(number)
        connections[worker]?.settling.remove(receipt.number)
        if let queued = connections[worker]?.unsettled.removeValue(forKey: receipt.number) { requeue(queued) }
        pump()
    }

    func isVoid(_ worker: Int, _ receipt: Receipt) -> Bool { connections[worker]?.epoch != receipt.epoch }

    /// The message's number; nil when the receipt is void.
    private func beginSettling(_ worker: Int, _ receipt: Receipt) -> Int? {
        guard var connection = connections[worker], connection.life.isAlive, connection.epoch == receipt.epoch else {
            return nil
        }
        guard let queued = connection.unsettled[receipt.number], !connection.buffer.contains(receipt.number),
            connection.settling.insert(receipt.number).inserted
        else {
            ledger.violation("delivery \(receipt.number) of epoch \(receipt.epoch) was settled twice or never made")
            return nil
        }
        connections[worker] = connection
        return queued.message.number
    }

    private func settled(_ worker: Int, _ epoch: UInt64, _ tag: UInt64) {
        guard connections[worker]?.epoch == epoch,
            let queued = connections[worker]?.unsettled.removeValue(forKey: tag)
        else { return }
        connections[worker]?.settling.remove(tag)
        ledger.left(queued.message.number)
        pump()
    }

    private func takeBack(_ worker: Int) {
        guard var connection = connections[worker] else { return }
        for queued in connection.unsettled.sorted(by: { $0.key < $1.key }) { requeue(queued.value) }
        connection.unsettled = [:]
        connection.buffer = []
        connection.settling = []
        connection.epoch += 1
        connection.nextTag = 0
        connections[worker] = connection
    }

    private func requeue(_ queued: Queued) {
        ledger.redelivered(queued.message.number)
        queue.append(Queued(message: queued.message, redelivered: true))
    }

    /// Pushes messages to workers that have room, the highest priority first, then the oldest.
    private func pump() {
        queue.sort {
            ($1.message.envelope.effectivePriority, $0.message.number)
                < ($0.message.envelope.effectivePriority, $1.message.number)
        }
        while let first = queue.first {
            let ready = connections.filter {
                $0.value.isUp && !$0.value.isStopped && !$0.value.isPaused
                    && $0.value.unsettled.count < $0.value.prefetch
            }.keys.sorted()
            guard !ready.isEmpty else { break }
            let worker = ready[executor.draw(0...(ready.count - 1))]
            queue.removeFirst()
            guard var connection = connections[worker] else { break }
            connection.nextTag += 1
            connection.unsettled[connection.nextTag] = first
            connection.buffer.append(connection.nextTag)
            connections[worker] = connection
        }
        for worker in connections.keys.sorted() where connections[worker]?.buffer.isEmpty == false {
            let waiter = connections[worker]?.waiter
            connections[worker]?.waiter = nil
            waiter?.resume()
        }
        guard isDrained else { return }
        let waiters = drainWaiters
        drainWaiters = []
        for waiter in waiters { waiter.resume() }
    }

    private func restore(_ worker: Int, after duration: Duration) async {
        await pause(duration)
        connections[worker]?.isUp = true
        pump()
    }

    private func settleLater(_ worker: Int, _ receipt: Receipt) async {
        await pause(executor.draw(latencies.broker))
        settled(worker, receipt.epoch, receipt.number)
    }

    func pause(_ duration: Duration) async { await executor.sleep(duration) }
}
