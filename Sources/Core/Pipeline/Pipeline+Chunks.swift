import Answering
import ChatJobs

/// The pieces of one streamed answer on their way to the reply queue.
///
/// While one chunk waits for its confirm, what the model says meanwhile becomes the next chunk: a slow broker makes
/// fewer, larger chunks, and no timer is needed.
struct ChunkStream {
    var pending = ""
    var seq = 0
    var pump: Task<Void, Never>?
    /// Nobody takes the chunks any more: the reply queue is gone.
    var isUnroutable = false
    /// A chunk may have reached a subscriber.
    var hasBegun = false
}

extension Pipeline {
    /// Nil when the job does not stream.
    func deltaHandler(_ assignment: Assignment) -> DeltaSink? {
        guard assignment.job.stream, assignment.incoming.envelope.replyTo != nil else { return nil }
        chunkStreams[assignment.arrival] = ChunkStream()
        return { delta in await self.take(delta, assignment) }
    }

    private func take(_ delta: String, _ assignment: Assignment) {
        guard var stream = chunkStreams[assignment.arrival], !stream.isUnroutable, !delta.isEmpty else { return }
        stream.pending += delta
        if stream.pump == nil { stream.pump = Task(executorPreference: executor) { await self.pump(assignment) } }
        chunkStreams[assignment.arrival] = stream
    }

    private func pump(_ assignment: Assignment) async {
        let key = assignment.arrival
        while let stream = chunkStreams[key], !stream.pending.isEmpty, !stream.isUnroutable,
            let replyTo = assignment.incoming.envelope.replyTo
        {
            chunkStreams[key]?.pending = ""
            let chunk = Chunk(
                id: assignment.job.id.text, seq: stream.seq, delta: stream.pending, attempt: assignment.attempt)
            let message = outgoing(
                .chunk, to: replyTo, assignment.incoming, id: assignment.job.id, body: chunk.encoded(),
                messageID: "\(assignment.job.id.text):\(assignment.attempt):\(stream.seq)")
            chunkStreams[key]?.hasBegun = true
            do throws(Outage) {
                let fate = try await outbox.publish(message)
                chunkStreams[key]?.seq += 1
                if fate != .confirmed { chunkStreams[key]?.isUnroutable = true }
                metrics.chunks.increment()
            } catch {
                // A gap must not be seen: the rest of this attempt's chunks is dropped, the reply holds the whole answer.
                chunkStreams[key]?.isUnroutable = true
            }
        }
        chunkStreams[key]?.pump = nil
    }

    /// Returns when every chunk has been published, so that the reply is the last message.
    /// - Returns: whether any may have reached a subscriber.
    func endChunks(_ assignment: Assignment) async -> Bool {
        while let pump = chunkStreams[assignment.arrival]?.pump { await pump.value }
        guard let stream = chunkStreams.removeValue(forKey: assignment.arrival) else { return false }
        return stream.hasBegun
    }
}
