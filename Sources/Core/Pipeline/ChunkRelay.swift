import Answering
import ChatJobs

/// Sends the pieces of one streamed answer to the reply queue.
///
/// While one chunk waits for its confirm, what the model says meanwhile becomes the next chunk: a slow broker makes
/// fewer, larger chunks. So does a tenant whose streams make more chunks a second than they may, and `stream.flush`: nothing is
/// dropped.
actor ChunkRelay {
    private nonisolated let executor: any SerialExecutor & TaskExecutor
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    private let outbox: any Outbox
    private let delivery: JobDelivery
    private let replyTo: String
    private let streams: ChunkStreams
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
    private var lastSent: Duration?
    private var keeping: Task<Void, Never>?

    init(
        _ delivery: JobDelivery, replyTo: String, outbox: any Outbox, streams: ChunkStreams,
        clock: any PipelineClock, metrics: PipelineMetrics, executor: any SerialExecutor & TaskExecutor
    ) {
        self.delivery = delivery
        self.replyTo = replyTo
        self.outbox = outbox
        self.streams = streams
        self.clock = clock
        self.metrics = metrics
        self.executor = executor
    }

    func take(_ delta: String) {
        guard !isClosed || streams.log != nil, !delta.isEmpty else { return }
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
        if let lastSent, !isEnding { await rest(for: streams.flush - (clock.now - lastSent)) }
        while let wait = streams.pace.take(delivery.job.tenant, now: clock.now, mustPass: isEnding) {
            await rest(for: wait)
        }
    }

    private func rest(for wait: Duration) async {
        guard wait > .zero else { return }
        let rest = Task(executorPreference: executor) { [clock] in await clock.sleep(for: wait) }
        self.rest = rest
        await rest.value
    }

    private func send() async {
        while !pending.isEmpty, !isClosed || streams.log != nil {
            await untilAllowed()
            let chunk = Chunk(id: delivery.job.id.text, seq: seq, delta: pending, attempt: delivery.attempt)
            pending = ""
            hasBegun = true
            keep(chunk)
            if !isClosed { await publish(chunk) }
            seq += 1
            lastSent = clock.now
        }
        pump = nil
    }

    private func publish(_ chunk: Chunk) async {
        let message = OutgoingReply(
            .chunk, to: replyTo, answering: delivery.incoming, id: delivery.job.id, body: chunk.encoded(),
            messageID: "\(chunk.id):\(chunk.attempt):\(chunk.seq)")
        do throws(Outage) {
            let fate = try await outbox.publish(message)
            if fate != .confirmed { isClosed = true }
            // What no queue took, nobody has seen.
            if fate == .unroutable, seq == 0, streams.log == nil { hasBegun = false }
            metrics.chunks.increment()
        } catch {
            // A gap must not be seen: the rest of this attempt's chunks is dropped, the reply holds the whole answer.
            isClosed = true
        }
    }

    /// One after the other, and beside what is published.
    private func keep(_ chunk: Chunk) {
        guard let log = streams.log else { return }
        keeping = Task(executorPreference: executor) { [keeping, key = delivery.key] in
            await keeping?.value
            await log.keep(chunk, of: key)
        }
    }
}
