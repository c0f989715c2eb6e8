import ChatJobs
import Logging
import ParleyJSON
import ParleyRedis
import Topology

/// What was asked most, from what workers have recorded (`analytics.questions`) in the last days.
///
/// - Returns: jobs' bodies without ids, the most frequent first, at most `count`.
/// - Throws: ``OperationError`` when Redis is away or refuses.
package func frequentQuestions(
    _ count: Int, until now: Timestamp, redis: RedisConfiguration, keys: RedisKeys, logger: Logger
) async throws(OperationError) -> [[UInt8]] {
    let days = recordedDays(until: now)
    return try await withRedis(redis, logger: logger) { client throws(RedisError) in
        var counts: [[UInt8]: Double] = [:]
        for day in days {
            let reply = try await client.send(RedisCommand("ZRANGE", keys.questions(day), 0, -1, "WITHSCORES")).get()
            let parts = reply.array ?? []
            for place in stride(from: 0, to: parts.count - 1, by: 2) {
                guard let body = parts[place].bytes else { continue }
                counts[body, default: 0] += parts[place + 1].string.flatMap(Double.init) ?? 0
            }
        }
        // Of questions asked equally often the order is the same each time.
        return counts.sorted {
            $0.value == $1.value ? $0.key.lexicographicallyPrecedes($1.key) : $0.value > $1.value
        }.prefix(count).map(\.key)
    }
}

/// Today's and those that are kept: one more than workers keep, since a day ends elsewhere.
private func recordedDays(until now: Timestamp) -> [String] {
    (0...8).map { String(Timestamp(milliseconds: now.milliseconds - $0 * 86_400_000).rfc3339.prefix(10)) }
}

/// Deletes the recorded questions of a tenant, of a user, or of a tenant's user.
///
/// - Returns: how many.
func forgetQuestions(
    user: String?, tenant: String?, until now: Timestamp, _ client: RedisClient, _ keys: RedisKeys
) async throws(RedisError) -> Int {
    var count = 0
    for day in recordedDays(until: now) {
        var fields: [String] = []
        if let user {
            fields = try await askerFields(user, keys.askers(day), client)
            if fields.isEmpty { continue }
        }
        let asked = Set(fields.compactMap { $0.split(separator: ":").last.map(String.init) })
        let reply = try await client.send(RedisCommand("ZRANGE", keys.questions(day), 0, -1)).get()
        let theirs = (reply.array ?? []).compactMap(\.bytes).filter { body in
            if user != nil, RecordedAsker.digest(of: body).map(asked.contains) != true { return false }
            guard let tenant else { return true }
            return (try? JSONDocument(body).root["tenant"]?.string) == tenant
        }
        count += try await remove("ZREM", theirs, from: keys.questions(day), client)
        // Who asked them is deleted, too: of a user all, of a tenant whoever asked.
        if tenant != nil {
            let digests = Set(theirs.compactMap { RecordedAsker.digest(of: $0) })
            let asked = digests.isEmpty ? [] : try await askerFields(user, keys.askers(day), client)
            fields = asked.filter { $0.split(separator: ":").last.map { digests.contains(String($0)) } ?? false }
        }
        _ = try await remove("HDEL", fields.map { Array($0.utf8) }, from: keys.askers(day), client)
    }
    return count
}

/// - Parameter user: nil: all.
private func askerFields(_ user: String?, _ key: String, _ client: RedisClient) async throws(RedisError) -> [String] {
    guard let beginning = user.map({ RecordedAsker.beginning(of: $0) }) ?? "" else { return [] }
    var fields: [String] = []
    var cursor = "0"
    repeat {
        let page =
            try await client.send(
                RedisCommand("HSCAN", key, cursor, "MATCH", beginning + "*", "COUNT", 1000)
            ).get().array ?? []
        cursor = page.first?.string ?? "0"
        // Field and value by turns.
        fields += (page.last?.array ?? []).enumerated().filter { $0.offset % 2 == 0 }.compactMap { $0.element.string }
    } while cursor != "0"
    return fields
}

private func remove(
    _ command: String, _ members: [[UInt8]], from key: String, _ client: RedisClient
) async throws(RedisError) -> Int {
    var count = 0
    for start in stride(from: 0, to: members.count, by: 512) {
        let some = members[start..<min(start + 512, members.count)]
        let arguments = [Array(command.utf8), Array(key.utf8)] + some
        count += try await client.send(RedisCommand(arguments: arguments)).get().int ?? 0
    }
    return count
}
