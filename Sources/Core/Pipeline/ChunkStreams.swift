import ChatJobs

/// Keeps the chunks of streamed answers for whoever comes back for them (`stream.keep`). What it cannot do is no error, and no
/// stream waits for it.
package protocol ChunkLog: Sendable {
    func keep(_ chunk: Chunk, of key: JobKey) async
}

/// How a worker's streams are sent.
struct ChunkStreams: Sendable {
    let pace: ChunkPace
    /// `stream.flush`: the least time between two chunks of a stream; 0: as they come.
    let flush: Duration
    /// Nil: they are not kept.
    let log: (any ChunkLog)?
}
