import ChatJobs
import ParleyPrimitives
import ParleyRedis
import Pipeline
import Topology

/// Chunks of streamed answers in Redis, for whoever comes back for them: a stream `chat:stream:ID`, an entry a chunk.
package struct RedisChunks: ChunkLog {
    /// Entries of one answer, about: a model says a token an entry at most.
    private static let most = 100_000

    let redis: RedisClient
    let keys: RedisKeys
    /// `stream.keep`
    let life: Duration

    package init(redis: RedisClient, keys: RedisKeys, life: Duration) {
        self.redis = redis
        self.keys = keys
        self.life = life
    }

    package func keep(_ chunk: Chunk, of key: JobKey) async {
        let name = keys.stream(key)
        _ = try? await redis.send([
            RedisCommand("XADD", name, "MAXLEN", "~", Self.most, "*", "chunk", chunk.encoded()),
            RedisCommand("PEXPIRE", name, max(1, life.wholeMilliseconds)),
        ])
    }
}
