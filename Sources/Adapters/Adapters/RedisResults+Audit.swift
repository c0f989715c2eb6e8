import Answering
import ChatJobs
import ParleyRedis

/// The end of what operators did: workers drop what is old, since an operator may not.
extension RedisResults {
    /// Drops the audit's entries from before `limit`, some at a time.
    ///
    /// From the old end only, and never past an entry that is young: who can only add cannot have another's entry dropped,
    /// whatever time his own claims. One that cannot be read or is of the future goes with the old one behind it.
    /// - Returns: how many were dropped; with ``droppedAtOnce`` there may be more.
    package func dropOldAudit(before limit: Timestamp, now: Timestamp) async throws(Outage) -> Int {
        let what = "dropping old audit entries"
        let reply = try await send(
            RedisCommand(
                script: Self.dropOld, keys: [keys.audit],
                arguments: [.text(limit.rfc3339), .text(now.rfc3339), .number(Int64(Self.droppedAtOnce))]), what)
        guard let count = reply.int else { throw refused(what, reply) }
        return count
    }

    package static let droppedAtOnce = 1000

    /// Key: the audit. Arguments: from when on entries stay, now, how many to look at. Times are compared to the second.
    package static let dropOld = RedisScript(
        """
        local limit, now, dropped = string.sub(ARGV[1], 1, 19), string.sub(ARGV[2], 1, 19), 0
        for i, entry in ipairs(redis.call('LRANGE', KEYS[1], 0, ARGV[3] - 1)) do
          local readable, read = pcall(cjson.decode, entry)
          local time = readable and type(read) == 'table' and read.time
          time = type(time) == 'string' and string.match(time, '^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d')
          if time and time < limit then
            dropped = i
          elseif time and time <= now then
            break
          end
        end
        if dropped > 0 then redis.call('LTRIM', KEYS[1], dropped, -1) end
        return dropped
        """)
}
