import Answering
import ChatJobs

/// Sends the pieces of one streamed answer to the reply queue.
///
/// While one chunk waits for its confirm, what the model says meanwhile becomes the next chunk: a slow broker makes
/// fewer, larger chunks. So does a tenant whose streams make more chunks a second than they may: nothing is dropped.
actor ChunkRelay {
    private nonisolated let executor: any SerialExecutor & TaskExecutor
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    private let outbox: any Outbox
    private let delivery: JobDelivery
    private let replyTo: String
    private let pace: ChunkPace
    private let clock: any PipelineClock
    private let metrics: PipelineMetrics
    private var pending = ""
    private var seq = 0
    private var pump: Task<Void, Never>?
    private var rest: Task<Void, Never>?
    /// The model has said all.
    private var isEnding = false
    /// Nobody takes the chunks any more: the reply queue is gone, or one was lost.
    private var isClosed = false
    /// A chunk may have reached a subscriber.
    private var hasBegun = false

    init(
        _ delivery: JobDelivery, replyTo: String, outbox: any Outbox, pace: ChunkPace, clock: any PipelineClock,
        metrics: PipelineMetrics, executor: any SerialExecutor & TaskExecutor
    ) {
        self.delivery = delivery
        self.replyTo = replyTo
        self.outbox = outbox
        self.pace = pace
        self.clock = clock
        self.metrics = metrics
        self.executor = executor
    }

    func take(_ delta: String) {
        guard !isClosed, !delta.isEmpty else { return }
        pending += delta
        if pump == nil { pump = Task(executorPreference: executor) { await self.send() } }
    }

    /// Returns when every chunk has been published, so that the reply is the last message.
    /// - Returns: whether any may have reached a subscriber.
    func finish() async -> Bool {
        isEnding = true
        rest?.cancel()
        while let pump { await pump.value }
        return hasBegun
    }

    /// Above the tenant's rate what the model says meanwhile is gathered. What is left at the end waits for nothing: the reply is
    /// behind it.
    private func untilAllowed() async {
        while let wait = pace.take(delivery.job.tenant, now: clock.now, mustPass: isEnding) {
            let rest = Task(executorPreference: executor) { [clock] in await clock.sleep(for: wait) }
            self.rest = rest
            await rest.value
        }
    }

    private func send() async {
        while !pending.isEmpty, !isClosed {
            await untilAllowed()
            let chunk = Chunk(id: delivery.job.id.text, seq: seq, delta: pending, attempt: delivery.attempt)
            pending = ""
            hasBegun = true
            let message = OutgoingReply(
                .chunk, to: replyTo, answering: delivery.incoming, id: delivery.job.id, body: chunk.encoded(),
                messageID: "\(delivery.job.id.text):\(delivery.attempt):\(seq)")
            do throws(Outage) {
                let fate = try await outbox.publish(message)
                seq += 1
                if fate != .confirmed { isClosed = true }
                // What no queue took, nobody has seen.
                if fate == .unroutable, seq == 1 { hasBegun = false }
                metrics.chunks.increment()
            } catch {
                // A gap must not be seen: the rest of this attempt's chunks is dropped, the reply holds the whole answer.
                isClosed = true
            }
        }
        pump = nil
    }
}
