import Answering
import Logging
import ParleyPrimitives
import ParleyRedis
import Synchronization
import Topology

/// Limits that all workers share, in Redis: `chat:limit:…`. Token buckets that hold a minute's worth, and leases for calls under way.
///
/// By Redis' own clock. Leases of a worker that has died are given up as soon as somebody needs them.
package struct RedisLimits: LimitStore {
    let redis: RedisClient
    let keys: RedisKeys
    /// Names this worker among those that take from the buckets.
    let worker: String
    let logger: Logger
    private let state = Sharing()

    /// Whether the limits are shared at the moment: told once, when that changes.
    private final class Sharing: Sendable { let isBroken = Atomic(false) }

    package init(redis: RedisClient, keys: RedisKeys, worker: String, logger: Logger) {
        self.redis = redis
        self.keys = keys
        self.worker = worker
        self.logger = logger
    }

    package func take(
        _ buckets: [LimitBucket], tokens: Int, call: String, life: Duration
    ) async -> (answer: LimitAnswer, workers: Int)? {
        var arguments: [RedisCommand.Argument] = [
            .text("\(worker).\(call)"), .number(life.wholeMilliseconds), .text(worker), .number(Int64(tokens)),
            .text(keys.worker("")),
        ]
        for bucket in buckets { arguments += Self.numbers(of: bucket) }
        let command = RedisCommand(script: Self.take, keys: names(buckets) + [keys.limitWorkers], arguments: arguments)
        let reply: RedisValue
        do throws(RedisError) {
            reply = try await redis.send(command).get()
        } catch {
            if !state.isBroken.exchange(true, ordering: .relaxed) {
                logger.warning(
                    "limits.* are not shared: each worker keeps to its last share of them",
                    metadata: ["reason": "\(error)"])
            }
            return nil
        }
        guard let numbers = reply.array?.map({ $0.int ?? 0 }), numbers.count == 5 else { return nil }
        if state.isBroken.exchange(false, ordering: .relaxed) { logger.notice("limits.* are shared again") }
        let workers = max(1, numbers[0])
        guard numbers[1] > 0 else { return (.granted, workers) }
        return (
            .refused(
                wait: .milliseconds(numbers[2]), interval: .milliseconds(numbers[3]), bucket: numbers[1] - 1,
                tokens: numbers[4]), workers
        )
    }

    package func end(_ buckets: [LimitBucket], tokens: Int, call: String, wasMade: Bool) async {
        var arguments: [RedisCommand.Argument] = [
            .text("\(worker).\(call)"), .number(Int64(tokens)), .number(wasMade ? 1 : 0),
        ]
        for bucket in buckets { arguments += Self.numbers(of: bucket) }
        _ = try? await redis.send(RedisCommand(script: Self.end, keys: names(buckets), arguments: arguments))
    }

    private func names(_ buckets: [LimitBucket]) -> [String] {
        buckets.flatMap { bucket in
            let name = keys.limit("\(bucket.scope.rawValue):\(bucket.name)")
            return [name, name + ":calls"]
        }
    }

    /// 0: there is no such limit.
    private static func numbers(of bucket: LimitBucket) -> [RedisCommand.Argument] {
        [bucket.limits.requests, bucket.limits.tokens, bucket.limits.concurrent].map { .number(Int64($0 ?? 0)) }
    }

    /// `level`: what is left of requests and tokens, refilled up to now; a full bucket when nothing is known. `keep`: the reverse.
    private static let levels = """
        local call = redis.call
        local time = call('TIME')
        local now = time[1] * 1000 + math.floor(time[2] / 1000)

        local function level(key, requests, tokens)
          local held = call('GET', key)
          local r, t, at = string.match(held or '', '^(%S+) (%S+) (%d+)$')
          r, t, at = tonumber(r), tonumber(t), tonumber(at)
          if not r or not t or not at then return requests, tokens end
          local passed = math.max(0, now - at) / 60000
          return math.min(requests, r + passed * requests), math.min(tokens, t + passed * tokens)
        end

        local function keep(key, r, t)
          call('SET', key, string.format('%.6f %.6f %d', r, t, now), 'PX', 120000)
        end

        """

    /// Keys: of each bucket its levels and its calls; then who takes from them. Arguments: the call, its life in milliseconds, this
    /// worker, the tokens, what workers' signs of life begin with, then of each bucket its requests, tokens and concurrent calls.
    /// The signs are not among KEYS: right on a single server, not in a cluster.
    ///
    /// Workers; 0, or which bucket refuses; how long to wait and then between two calls, in milliseconds; the tokens that the
    /// latter is for, or 0.
    private static let take = RedisScript(
        levels + """
            local workers = KEYS[#KEYS]
            call('ZADD', workers, now, ARGV[3])
            call('ZREMRANGEBYSCORE', workers, '-inf', now - 60000)
            call('PEXPIRE', workers, 120000)
            local count = call('ZCARD', workers)
            local wanted, signs = tonumber(ARGV[4]), ARGV[5]
            call('SET', signs .. ARGV[3], '{}', 'NX', 'PX', 5000)

            local function room(calls, most)
              if call('ZCARD', calls) < most then return true end
              call('ZREMRANGEBYSCORE', calls, '-inf', now)
              local alive = {}
              for _, name in ipairs(call('ZRANGE', calls, 0, -1)) do
                local token = string.match(name, '^([^.]*)')
                if alive[token] == nil then alive[token] = call('EXISTS', signs .. token) == 1 end
                if not alive[token] then call('ZREM', calls, name) end
              end
              return call('ZCARD', calls) < most
            end

            local taken = {}
            for i = 1, (#KEYS - 1) / 2 do
              local place = 3 * i + 3
              local requests, tokens = tonumber(ARGV[place]), tonumber(ARGV[place + 1])
              local concurrent = tonumber(ARGV[place + 2])
              local r, t = level(KEYS[2 * i - 1], requests, tokens)
              local needed = math.min(wanted, tokens)
              if requests > 0 and r < 1 then
                return {count, i, math.ceil((1 - r) * 60000 / requests), math.ceil(60000 / requests), 0}
              end
              if tokens > 0 and t < needed then
                return {count, i, math.ceil((needed - t) * 60000 / tokens), math.ceil(needed * 60000 / tokens), needed}
              end
              if concurrent > 0 and not room(KEYS[2 * i], concurrent) then
                return {count, i, 100, math.ceil(1000 / concurrent), 0}
              end
              -- Without such a limit nothing is owed when one is set later.
              taken[i] = {requests > 0 and r - 1 or 0, tokens > 0 and t - needed or 0, concurrent}
            end
            for i, left in ipairs(taken) do
              keep(KEYS[2 * i - 1], left[1], left[2])
              if left[3] > 0 then
                call('ZADD', KEYS[2 * i], now + ARGV[2], ARGV[1])
                call('PEXPIRE', KEYS[2 * i], ARGV[2])
              end
            end
            return {count, 0, 0, 0, 0}
            """)

    /// Keys: of each bucket its levels and its calls. Arguments: the call, its tokens beyond the estimate, 1 when it was made, then of
    /// each bucket its requests, tokens and concurrent calls.
    private static let end = RedisScript(
        levels + """
            local more, made = tonumber(ARGV[2]), ARGV[3] == '1'
            for i = 1, #KEYS / 2 do
              local place = 3 * i + 1
              local requests, tokens = tonumber(ARGV[place]), tonumber(ARGV[place + 1])
              if tokens > 0 and more ~= 0 or not made then
                local r, t = level(KEYS[2 * i - 1], requests, tokens)
                -- No more debt than a minute's.
                t = math.min(tokens, math.max(-tokens, t - more))
                keep(KEYS[2 * i - 1], made and r or math.min(requests, r + 1), t)
              end
              if ARGV[place + 2] ~= '0' then call('ZREM', KEYS[2 * i], ARGV[1]) end
            end
            """)
}
