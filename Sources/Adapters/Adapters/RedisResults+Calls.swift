import Answering
import ChatJobs
import ParleyPrimitives
import ParleyRedis
import Pipeline
import Synchronization
import Topology

/// The model calls that workers have under way: `chat:calls:<token>`, a hash of a worker's, by their numbers. A call is put
/// there before it is made, and taken out in the step that notes what came of it. What is left when the worker has ended, other
/// workers note as lost: once, since that is one step, too.
///
/// A worker that only seemed to be dead, since it or its way to Redis stood still, may yet come to an end with such a call. So
/// the lost ones are remembered for an hour in `chat:calls:<token>:lost`: then what was noted is taken back.
extension RedisResults {
    /// Of this worker.
    struct OpenCalls: Sendable {
        /// The key of the hash.
        let own: String
        /// What all such keys begin with.
        let all: String
        private let state = State()

        private final class State: Sendable { let isListed = Atomic(false) }

        init(_ keys: RedisKeys, _ worker: String) {
            own = keys.calls(worker)
            all = keys.calls("")
        }

        /// The first of this worker's.
        func isFirst() -> Bool {
            !state.isListed.load(ordering: .relaxed) && !state.isListed.exchange(true, ordering: .relaxed)
        }
    }

    /// How long calls wait for a worker that notes them.
    private static let lifeOfCalls = RedisCommand.Argument.number(7 * 86_400 * 1000)
    private static let lifeOfLost = RedisCommand.Argument.number(3600 * 1000)

    package func open(_ mark: CallMark, _ account: Account) {
        // Before anything says that this worker lives.
        if calls.isFirst() { redis.post(RedisCommand("ZADD", keys.callers, 0, worker)) }
        redis.post(
            RedisCommand(
                arguments: [
                    .text("HSET"), .text(calls.own), .number(Int64(clamping: mark.number)), .text(account.asOpen),
                ]))
    }

    package func close(_ marks: [CallMark]) {
        redis.post(
            RedisCommand(
                arguments: [.text("HDEL"), .text(calls.own)] + marks.map { .number(Int64(clamping: $0.number)) }))
    }

    /// Notes the calls of workers that have ended with them. To be called every second: until then nobody knows of this worker
    /// that it may have such calls.
    ///
    /// - Returns: how many there were.
    package func noteLostCalls() async throws(Outage) -> Int {
        let what = "noting the calls of workers that have died"
        let reply = try await send(
            RedisCommand(
                script: CallScripts.noteLost, keys: [keys.callers],
                arguments: [
                    .text(worker), .text(workersKeys), .text(calls.all), .text(keys.costs("")),
                    .text(Account.everybody),
                    .number(Account.mostFields), .number(Account.life), Self.lifeOfCalls, Self.lifeOfLost,
                ]), what)
        guard let count = reply.int else { throw refused(what, reply) }
        return count
    }
}

extension Account {
    /// As `lose` reads it: the day, tokens and billionths, and how its fields begin.
    fileprivate var asOpen: String { "\(day) \(usage.promptTokens) \(billionths) " + whose }
}

enum CallScripts {
    /// `lose`: notes an open call as one that came to no answer; `sign` `-` takes that back.
    static let lose =
        """
        local function lose(open, sign, days, everybody, most, life)
          local day, tokens, cost, whose = string.match(open, '^(%d+-%d+-%d+) (%d+) (%d+) (.*)$')
          if not day then return end
          local key = days .. day
          local known = redis.pcall('HLEN', key)
          if type(known) == 'number' and known >= most then whose = everybody end
          local function add(what, number) redis.pcall('HINCRBY', key, whose .. what, sign .. number) end
          add('calls', 1)
          add('failed_calls', 1)
          add('estimated_calls', 1)
          add('prompt_tokens', tokens)
          if cost ~= '0' then add('cost', cost) end
          redis.pcall('PEXPIRE', key, life)
        end

        """

    /// Key: the workers that may have calls under way, least lately seen first. Arguments: this worker's token, what workers' keys,
    /// open calls and days begin with, the beginning of fields when there are too many, how many are, then the lives of a day, of
    /// open calls and of lost ones in milliseconds. Other workers' keys are not among KEYS: right on a single server, not in a
    /// cluster.
    static let noteLost = RedisScript(
        lose + """
            local call = redis.call
            local worker, signs, all, days = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
            local time = call('TIME')
            call('ZADD', KEYS[1], time[1], worker)
            call('PEXPIRE', KEYS[1], ARGV[8])
            call('PEXPIRE', all .. worker, ARGV[8])
            local count = 0
            for _, token in ipairs(call('ZRANGE', KEYS[1], 0, 15)) do
              local sign = token == worker or redis.pcall('GET', signs .. token)
              -- Dead, or left in good order.
              if not sign or sign == '' then
                local open = redis.pcall('HGETALL', all .. token)
                for i = 1, #open, 2 do
                  lose(open[i + 1], '', days, ARGV[5], tonumber(ARGV[6]), ARGV[7])
                  call('HSET', all .. token .. ':lost', open[i], open[i + 1])
                  count = count + 1
                end
                if #open > 0 then call('PEXPIRE', all .. token .. ':lost', ARGV[9]) end
                call('DEL', all .. token)
                call('ZREM', KEYS[1], token)
              end
            end
            return count
            """)
}
