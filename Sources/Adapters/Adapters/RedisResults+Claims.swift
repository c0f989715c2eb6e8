import Answering
import ChatJobs
import ParleyRedis
import Pipeline

/// Who works on what. `chat:claim:<id>` holds `TOKEN STARTS LOSSES`: the token of the worker (empty when the claim was
/// given up, but its counts are kept), how often work on the attempt has begun, and how many workers have died over it.
extension RedisResults {
    /// How long a claim stays when nobody deletes it: an hour, longer than work on any job takes. A claim that expires
    /// costs a job its counts and, while it is in work, its protection against a duplicate; never its result.
    static let claimLife = Duration.seconds(3600)

    /// Where each job stands, and takes those that nobody has: one round trip for the window, atomic for each job.
    ///
    /// - A stored result comes first, then a revocation; neither leaves a claim.
    /// - A claim of nobody is taken: `starts` is 1, or one more than the claim given up had.
    /// - A claim of this worker is its own still, its counts as they are. So it is after an outage in which Redis carried
    ///   the call out and its answer was lost.
    /// - Another's is ``Standing/elsewhere`` while that worker lives. When it does not, the claim is taken over: `starts`
    ///   is one more, and so is `losses` unless that worker left in good order.
    /// - A claim that cannot be read is nobody's.
    ///
    /// An id that stands twice in `ids` is claimed once, and both are told so.
    ///
    /// - Parameter anew: only a succeeded reply counts as stored; any other is passed over.
    package func begin(
        _ ids: [JobID], anew: Bool = false
    ) async throws(Outage) -> [Standing] {
        let what = "claiming jobs"
        let chunks = ids.chunked(by: Self.keysAtOnce)
        let replies = try await send(chunks.map { beginning($0, anew: anew) }, what)
        var standings: [Standing] = []
        standings.reserveCapacity(ids.count)
        for (chunk, reply) in zip(chunks, replies) {
            guard let some = reply.array, some.count == chunk.count else { throw refused(what, reply) }
            for value in some {
                guard let standing = Self.standing(value) else { throw refused(what, value) }
                standings.append(standing)
            }
        }
        return standings
    }

    package func look(_ ids: [JobID]) async throws(Outage) -> [Standing] {
        guard !ids.isEmpty else { return [] }
        let known = try await values(ids.map(keys.result) + ids.map(keys.revoked), "looking jobs up")
        return ids.indices.map { index in
            if let reply = known[index] { return .stored(reply) }
            return known[ids.count + index] == nil ? .free : .revoked
        }
    }

    private func beginning(_ ids: ArraySlice<JobID>, anew: Bool) -> RedisCommand {
        RedisCommand(
            script: Self.begin,
            keys: ids.map(keys.result) + ids.map(keys.revoked) + ids.map(keys.claim) + [keys.worker(worker)],
            arguments: [
                worker.redisBytes, keys.worker("").redisBytes, Self.claimLife.wholeMilliseconds.redisBytes,
                Self.presenceLife.wholeMilliseconds.redisBytes, anew ? "anew".redisBytes : [],
            ])
    }

    private static func standing(_ value: RedisValue) -> Standing? {
        switch value {
        case .bytes(let reply): .stored(reply)
        case .integer(1): .claimed(starts: 1, losses: 0)
        case .integer(0): .revoked
        case .integer(-1): .elsewhere
        case .array(let counts):
            if counts.count == 2, let starts = counts[0].int, let losses = counts[1].int {
                .claimed(starts: starts, losses: losses)
            } else {
                nil
            }
        default: nil
        }
    }

    /// Gives the job's claim up, if it is this worker's; otherwise does nothing.
    ///
    /// - Parameter starts: how many starts whoever begins next counts on from; nil is none. Losses are kept until the job
    ///   ends.
    package func release(_ id: JobID, keepingStarts starts: Int?) async throws(Outage) {
        let what = "giving a job up"
        let reply = try await send(
            RedisCommand(
                script: Self.release, keys: [keys.claim(id)],
                arguments: [
                    worker.redisBytes, max(0, starts ?? 0).redisBytes,
                    Self.claimLife.wholeMilliseconds.redisBytes,
                ]), what)
        if reply.isError { throw refused(what, reply) }
    }

    /// Those among the jobs that were revoked, in their order.
    package func revoked(among ids: [JobID]) async throws(Outage) -> [JobID] {
        let marks = try await values(ids.map(keys.revoked), "looking revocations up")
        return zip(ids, marks).compactMap { id, mark in mark == nil ? nil : id }
    }

    /// Keys: of n jobs the results, the revocations, the claims; then this worker's. Arguments: this worker's token, the
    /// prefix of workers' keys, the lives of a claim and of a worker's key in milliseconds, and `anew` or nothing.
    ///
    /// For each job: its result; 0 revoked; -1 elsewhere; 1 claimed for the first time; {starts, losses} claimed.
    ///
    /// `MGET` and not `GET`, because a key of another type must not be an error. The worker's own key is seen to first,
    /// so that no claim is ever taken for a dead worker's before that worker has shown its first sign of life. Other
    /// workers' keys are not among KEYS: right on a single server, not in a cluster.
    ///
    /// It is on every job's way: where nothing is known of a job it costs a third of an `MGET` and one `SET`.
    private static let begin = RedisScript(
        """
        local call = redis.call
        local worker, prefix, life = ARGV[1], ARGV[2], ARGV[3]
        local count = (#KEYS - 1) / 3
        call('SET', KEYS[#KEYS], '{}', 'NX', 'PX', ARGV[4])

        local signs = {}
        local function sign_of(token)
          -- Nothing: dead. The empty string: left in good order.
          if signs[token] == nil then signs[token] = call('GET', prefix .. token) or false end
          return signs[token]
        end

        local function claim(key, held)
          local token, starts, losses = string.match(held, '^(%S*) (%d+) (%d+)$')
          if not token or #starts > 9 or #losses > 9 then
            starts, losses = 0, 0
          elseif token == worker then
            return {tonumber(starts), tonumber(losses)}
          elseif token ~= '' then
            local sign = sign_of(token)
            if sign and sign ~= '' then return -1 end
            if not sign then losses = losses + 1 end
          end
          starts, losses = starts + 1, losses + 0
          call('SET', key, worker .. ' ' .. starts .. ' ' .. losses, 'PX', life)
          return {starts, losses}
        end

        local function answers(reply)
          if ARGV[5] ~= 'anew' then return true end
          local readable, read = pcall(cjson.decode, reply)
          return readable and type(read) == 'table' and read.status == 'succeeded'
        end

        local known = call('MGET', unpack(KEYS, 1, 3 * count))
        local first = worker .. ' 1 0'
        local standings = {}
        for i = 1, count do
          local key, held = KEYS[2 * count + i], known[2 * count + i]
          if known[i] and answers(known[i]) then
            standings[i] = known[i]
          elseif known[count + i] then
            standings[i] = 0
          elseif held then
            standings[i] = claim(key, held)
          else
            call('SET', key, first, 'PX', life)
            standings[i] = 1
          end
        end
        return standings
        """)

    /// Key: the claim. Arguments: this worker's token, the starts to keep, the life of a claim.
    private static let release = RedisScript(
        """
        local held = redis.call('MGET', KEYS[1])[1] or ''
        local token, losses = string.match(held, '^(%S*) %d+ (%d+)$')
        if token ~= ARGV[1] then return 0 end
        if ARGV[2] == '0' and losses == '0' then return redis.call('DEL', KEYS[1]) end
        redis.call('SET', KEYS[1], ' ' .. ARGV[2] .. ' ' .. losses, 'PX', ARGV[3])
        return 1
        """)
}

extension Duration {
    /// Rounded down.
    var wholeMilliseconds: Int64 { components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000 }
}
