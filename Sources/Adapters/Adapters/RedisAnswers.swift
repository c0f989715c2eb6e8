import Answering
import ParleyGzip
import ParleyPrimitives
import ParleyRedis
import Topology

/// Kept answers in Redis, for all workers: `chat:cache:…`. As JSON, and compressed when they are large: to compress one of a
/// few kilobytes costs as much as a fifth of its whole job.
///
/// What Redis cannot do at the moment is a miss: claims and results, which cannot do without it, say so.
package struct RedisAnswers: AnswerStore {
    private static let longest = 16 << 20
    /// A larger one is compressed, and read and written off the loop; for one that is not, changing threads would cost more.
    private static let small = 16 << 10

    let redis: RedisClient
    let keys: RedisKeys

    package init(redis: RedisClient, keys: RedisKeys) {
        self.redis = redis
        self.keys = keys
    }

    package func answers(to sought: [AnswerKey]) async -> [AnswerKey: KeptAnswer] {
        var found: [AnswerKey: [UInt8]] = [:]
        for some in sought.chunked(by: RedisResults.keysAtOnce) {
            let names = some.map { RedisCommand.Argument.text(keys.answer($0.text)) }
            guard let values = try? await redis.send(RedisCommand(arguments: [.text("MGET")] + names)).array,
                values.count == some.count
            else { continue }
            for (key, value) in zip(some, values) { if let bytes = value.bytes { found[key] = bytes } }
        }
        guard !found.isEmpty else { return [:] }
        let kept = found
        return kept.values.allSatisfy { $0.count <= Self.small }
            ? kept.compactMapValues(Self.read) : await offTheLoop { kept.compactMapValues(Self.read) }
    }

    package func keep(_ answer: KeptAnswer, as key: AnswerKey, for life: Duration) async {
        let plain = answer.encoded()
        guard plain.count <= Self.longest,
            let bytes = plain.count <= Self.small ? plain : await offTheLoop({ try? gzip(plain) })
        else { return }
        _ = try? await redis.send(
            RedisCommand(
                arguments: [
                    .text("SET"), .text(keys.answer(key.text)), .bytes(bytes), .text("PX"),
                    .number(max(1, life.wholeMilliseconds)),
                ]))
    }

    @Sendable private static func read(_ bytes: [UInt8]) -> KeptAnswer? {
        if bytes.first == UInt8(ascii: "{") { return KeptAnswer(decoding: bytes) }
        return (try? gunzip(bytes, limit: longest)).flatMap(KeptAnswer.init(decoding:))
    }
}
