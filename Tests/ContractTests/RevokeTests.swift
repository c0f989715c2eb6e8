import ParleyJSON
import ParleyRabbitMQ
import ParleyRedis
import TestSupport
import Testing

/// Section 6: `parley revoke`.
extension ContractTests {
    @Test func revokedJobsAreMarkedForAsLongAsTheyMayWait() async throws {
        try await Producer.with { producer in
            let (queued, answered, failed) = (unique(), unique(), unique())
            _ = try await producer.redis.send([
                RedisCommand("SET", "chat:result:\(answered)", #"{"status":"succeeded"}"#, "PX", 60_000),
                RedisCommand("SET", "chat:result:\(failed)", #"{"status":"failed"}"#, "PX", 60_000),
            ])
            let before = try await producer.redis.send(RedisCommand("GET", "chat:revocations")).int ?? 0
            for _ in 0..<2 {
                let revoked = try await parley(
                    "revoke", queued, answered, failed, "--json",
                    settings: ["results.ttl": "10m", "limits.not_before": "1h"])
                #expect(revoked.status == 0)
                let lines = try revoked.lines
                #expect(lines.map { $0["id"]?.string } == [queued, answered, failed])
                #expect(lines.map { $0["state"]?.string } == ["revoked", "answered", "revoked"])
                #expect(lines.map { $0["status"]?.string } == [nil, "succeeded", "failed"])
                #expect(revoked.errors.contains(#""action":"revoke""#))
            }
            let ttl = try await producer.redis.send(RedisCommand("PTTL", "chat:revoked:\(queued)")).int ?? 0
            #expect(ttl > 3_500_000 && ttl <= 3_600_000)
            #expect(try await producer.redis.send(RedisCommand("EXISTS", "chat:revoked:\(answered)")).int == 0)
            #expect(try await producer.redis.send(RedisCommand("EXISTS", "chat:revoked:\(failed)")).int == 1)
            #expect(try await producer.redis.send(RedisCommand("GET", "chat:revocations")).int ?? 0 >= before + 2)
            let text = try await parley("revoke", queued, answered, failed)
            #expect(
                text.output
                    == "\(queued)  revoked\n\(answered)  already answered (succeeded)\n\(failed)  revoked (failed)\n")
        }
    }

    @Test func whoAsksForTheResultOfARevokedJobIsToldSo() async throws {
        try await Producer.with { producer in
            let id = unique()
            _ = try await parley("revoke", id)
            let result = try await parley("result", id)
            #expect(result.status == 1 && result.output.isEmpty && result.errors.contains("it is revoked"), "\(result)")
            _ = try await parley("revoke", "--undo", id)
            let other = try await parley("result", id)
            #expect(other.status == 1 && other.errors.contains("not answered yet"), "\(other)")
        }
    }

    @Test func oneInvalidIdRevokesNone() async throws {
        try await Producer.with { producer in
            let id = unique()
            let process = try await parley("revoke", id, "not an id")
            #expect(process.status == 2 && process.errors.contains("not an id"))
            #expect(try await producer.redis.send(RedisCommand("EXISTS", "chat:revoked:\(id)")).int == 0)
        }
    }
}
