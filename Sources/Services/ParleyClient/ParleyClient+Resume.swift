import ChatJobs
import ParleyRedis

extension ParleyClient {
    /// Gives a streamed answer once more from its beginning, and goes on with it: for whoever lost its connection, or asks from
    /// another place. The last event is the reply.
    ///
    /// Workers have to keep chunks for it (`stream.keep`); without, or when they are kept no longer, it is the reply alone.
    /// - Parameter timeout: for the reply.
    /// - Throws: ``ParleyClientError``: `invalid` without a Redis; from the sequence `timedOut` when there is no reply in
    ///   `timeout`, `unreachable`, `refused`.
    public func resume(
        _ id: JobID, timeout: Duration = .seconds(120)
    ) throws(ParleyClientError) -> AsyncThrowingStream<AnswerEvent, any Error> {
        guard !isClosed else { throw .isClosed }
        guard let redis else { throw ParleyClientError(.invalid, "no redis.url: kept chunks cannot be read") }
        let key = configuration.keys.job(id)
        let (events, continuation) = AsyncThrowingStream.makeStream(of: AnswerEvent.self)
        let reader = ChunkReader(
            redis: redis, stream: configuration.keys.stream(key), result: configuration.keys.result(key), id: id)
        // Unstructured: it ends with whoever reads.
        let task = Task {
            do throws(ParleyClientError) {
                try await reader.read(until: .now + timeout) { continuation.yield($0) }
                continuation.finish()
            } catch {
                continuation.finish(throwing: error)
            }
        }
        continuation.onTermination = { _ in task.cancel() }
        return events
    }
}

/// Reads the chunks that are kept of an answer, and its reply when that is there.
private struct ChunkReader: Sendable {
    let redis: RedisClient
    let stream: String
    let result: String
    let id: JobID

    /// So often it is looked for more.
    private static let rest = Duration.milliseconds(100)
    private static let atOnce = 1000

    func read(
        until end: ContinuousClock.Instant, _ yield: (AnswerEvent) -> Void
    ) async throws(ParleyClientError) {
        var order = ChunkOrder()
        var last = "-"
        while !Task.isCancelled {
            let (reply, chunks) = try await look(after: last)
            for (place, chunk) in chunks {
                last = "(" + place
                if let chunk { order.take(chunk).forEach(yield) }
            }
            if chunks.count == Self.atOnce { continue }
            if let reply { return yield(.reply(reply)) }
            guard ContinuousClock.now < end else {
                throw ParleyClientError(.timedOut, "there is no reply to \(id) yet; look with: parley result \(id)")
            }
            try? await Task.sleep(for: Self.rest)
        }
    }

    /// The reply is looked for first: all chunks were sent before it.
    private func look(
        after place: String
    ) async throws(ParleyClientError) -> (reply: Reply?, chunks: [(place: String, chunk: Chunk?)]) {
        do throws(RedisError) {
            try await redis.connect()
            let values = try await redis.send([
                RedisCommand("GET", result), RedisCommand("XRANGE", stream, place, "+", "COUNT", Self.atOnce),
            ])
            let reply = try values[0].get().bytes
            let chunks = try values[1].get().array ?? []
            return (
                reply.flatMap { try? Reply(decoding: $0) },
                chunks.compactMap { entry in
                    guard let parts = entry.array, parts.count == 2, let place = parts[0].string else { return nil }
                    return (place, parts[1].array?.last?.bytes.flatMap { try? Chunk(decoding: $0) })
                }
            )
        } catch {
            throw ParleyClientError(error)
        }
    }
}
