import ChatJobs
import Logging
import ParleyJSON
import ParleyPrimitives
import ParleyRedis
import Topology

/// What became of the revocation of one job.
package struct Revocation: Sendable, Equatable {
    package let id: JobID
    /// The status of the reply that is stored already, if any.
    package let status: String?

    /// It has its answer, which stays. Anything else is marked: a failure may be requeued.
    package var isAnswered: Bool { status == Reply.Status.succeeded.rawValue }

    /// One object: `id`, `state` (`revoked`, `answered`), `status` when a reply was stored before.
    package func write(to json: inout JSONWriter) {
        json.object {
            $0.member("id", id.text)
            $0.member("state", isAnswered ? "answered" : "revoked")
            $0.member("status", status)
        }
    }
}

/// Marks jobs as revoked, for `ttl`: one that is queued will not be answered, one in flight is aborted within a second.
///
/// Doing it again renews the mark. A job with an answer is left alone; one whose stored reply is no answer (`failed`,
/// say) is marked too, since it may have been requeued.
/// - Returns: in the order of `ids`.
/// - Throws: ``OperationError`` when Redis is away or refuses; nothing is known of any of them then.
package func revoke(
    _ ids: [JobID], ttl: Duration, redis: RedisConfiguration, keys: RedisKeys, logger: Logger
) async throws(OperationError) -> [Revocation] {
    let milliseconds = max(1, Int(ttl.wholeMilliseconds))
    return try await withRedis(redis, logger: logger) { client throws(RedisError) in
        var revocations: [Revocation] = []
        // So many in one pipeline, whose replies may be whole answers.
        for start in stride(from: 0, to: ids.count, by: 256) {
            let some = Array(ids[start..<min(start + 256, ids.count)])
            let before = try await statuses(some, client, keys)
            let marked = zip(some, before).filter { $1 != Reply.Status.succeeded.rawValue }.map(\.0)
            if !marked.isEmpty {
                let marks = marked.map { RedisCommand("SET", keys.revoked(keys.job($0)), "1", "PX", milliseconds) }
                // Counted after the marks, in one pipeline: who sees the count finds them.
                for value in try await client.send(marks + [RedisCommand("INCR", keys.revocations)]) {
                    _ = try value.get()
                }
            }
            // Once more, for those that were answered meanwhile.
            revocations += zip(some, try await statuses(some, client, keys)).map { Revocation(id: $0, status: $1) }
        }
        return revocations
    }
}

/// Takes revocations back: a job that was not yet refused because of one is answered as if nothing had been.
/// - Returns: in the order of `ids`, whether there was a mark.
/// - Throws: ``OperationError`` when Redis is away or refuses.
package func unrevoke(
    _ ids: [JobID], redis: RedisConfiguration, keys: RedisKeys, logger: Logger
) async throws(OperationError) -> [Bool] {
    try await withRedis(redis, logger: logger) { client throws(RedisError) in
        var found: [Bool] = []
        for start in stride(from: 0, to: ids.count, by: 256) {
            let some = ids[start..<min(start + 256, ids.count)]
            for value in try await client.send(some.map { RedisCommand("DEL", keys.revoked(keys.job($0))) }) {
                found.append(try value.get().int ?? 0 > 0)
            }
        }
        return found
    }
}

/// What replies are stored. No answer is read where the job's claim says how it ended: an operator need not see answers.
private func statuses(
    _ ids: [JobID], _ client: RedisClient, _ keys: RedisKeys
) async throws(RedisError) -> [String?] {
    let jobs = ids.map { keys.job($0) }
    let known = try await client.send(
        jobs.flatMap { [RedisCommand("EXISTS", keys.result($0)), RedisCommand("GET", keys.claim($0))] })
    var statuses: [String?] = []
    for (index, job) in jobs.enumerated() {
        guard try known[2 * index].get().int ?? 0 > 0 else {
            statuses.append(nil)
            continue
        }
        if let claim = try known[2 * index + 1].get().bytes, let status = EndMark.status(inClaim: claim) {
            statuses.append(status.rawValue)
            continue
        }
        // Stored without a claim: the reply to a message that was no job.
        let reply = try await client.send(RedisCommand("GET", keys.result(job)))
        let bytes = reply.string?.isEmpty == false ? reply.bytes : nil
        statuses.append(bytes.flatMap { (try? JSONDocument($0))?.root["status"]?.string } ?? "unknown")
    }
    return statuses
}
