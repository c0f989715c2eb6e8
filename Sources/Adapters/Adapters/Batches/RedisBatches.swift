import Answering
import ChatJobs
import ParleyJSON
import ParleyRedis
import ParleyZstd
import Topology

/// What workers know of their batches, in Redis: `chat:batch:…`. By Redis' own clock.
///
/// | key | holds |
/// |---|---|
/// | `…:name:NAME` | which question of which batch: `BATCH NUMBER` |
/// | `…:state:BATCH` | ``BatchState`` |
/// | `…:state:BATCH:lease`, `:turn` | there while its maker has it, or somebody asks for it |
/// | `…:strays:SERVICE` | batches that were given up, by when: they may come up at the provider |
/// | `…:item:BATCH:NUMBER` | the passages, and `:line` what came of it, `:payer` whose account that is on |
///
/// Its scripts touch keys that are only known inside of them: right on a single server, not in a cluster.
package struct RedisBatches: BatchRecords {
    /// A batch takes a day at most; its jobs may be away for some more.
    private static let life: Int64 = 3 * 86_400 * 1000
    private static let longest = 16 << 20

    let redis: RedisClient
    let keys: RedisKeys
    package let worker: String

    package init(redis: RedisClient, keys: RedisKeys, worker: String) {
        self.redis = redis
        self.keys = keys
        self.worker = worker
    }

    private func names(_ names: [String]) -> [String] { names.map { keys.batch("name:\($0)") } }
    private func state(_ batch: String) -> String { keys.batch("state:\(batch)") }

    private func send(_ commands: [RedisCommand]) async throws(Outage) -> [RedisValue] {
        let values: [RedisValue]
        do throws(RedisError) { values = try await redis.send(commands) } catch {
            throw Outage(.redis, "\(error)")
        }
        if let refusal = values.lazy.compactMap(\.refusal).first { throw Outage(.redis, refusal) }
        return values
    }

    // MARK: - Looking

    package func look(for names: [String], payer: String) async throws(Outage) -> BatchEntry? {
        let value = try await send([
            RedisCommand(
                script: Self.look, keys: self.names(names),
                arguments: [.text(keys.batch("")), .text(keys.worker("")), .text(payer), .number(Self.life)])
        ])[0]
        guard let parts = value.array, parts.count == 7, let batch = parts[0].string,
            let state = parts[1].string.flatMap({ BatchState(text: $0) })
        else { return nil }
        let line = parts[3].bytes.flatMap { $0.isEmpty ? nil : Self.unpacked($0) }
        return BatchEntry(
            batch: batch, state: state, draft: BatchDraft(decoding: parts[2].bytes.flatMap(Self.unpacked) ?? []),
            line: line, pays: parts[4].int == 1, isMakerAlive: parts[5].int == 1, isLeased: parts[6].int == 1)
    }

    /// Keys: a question's names. Arguments: what all other keys begin with, what workers' signs of life do, who asks, how long
    /// things are kept. The batch, its state, the draft, the line, whether who asks pays, whether its maker lives and has it.
    private static let look = RedisScript(
        """
        local call, prefix = redis.call, ARGV[1]
        for i, name in ipairs(KEYS) do
          local place = call('GET', name)
          local batch, number = string.match(place or '', '^(%S+) (%d+)$')
          local key = prefix .. 'state:' .. (batch or '')
          local state = batch and call('GET', key)
          local item = prefix .. 'item:' .. (batch or '') .. ':' .. (number or '')
          local line, pays = state and call('GET', item .. ':line'), 0
          -- Who has not waited for an answer that was given already asks for one of his own, or the cache.
          if state and (i == 1 or not line or call('EXISTS', item .. ':payer') == 0) then
            if i > 1 then call('SET', KEYS[1], place, 'PX', ARGV[4]) end
            if line then
              call('SET', item .. ':payer', ARGV[3], 'NX', 'PX', ARGV[4])
              if call('GET', item .. ':payer') == ARGV[3] then pays = 1 end
            end
            local token = string.match(state, '^%a+ (%S+)$')
            return {batch, state, call('GET', item) or '', line or '', pays,
              token and call('EXISTS', ARGV[2] .. token) or 0, call('EXISTS', key .. ':lease')}
          end
        end
        return false
        """)

    // MARK: - Making

    package func begin(
        _ batch: String, _ items: [(names: [String], draft: BatchDraft)]
    ) async throws(Outage) -> [Bool] {
        let uploading = BatchState.uploading(worker: worker)
        var commands = [
            RedisCommand("SET", state(batch), uploading.text, "PX", Self.life),
            RedisCommand(
                "SET", state(batch) + ":lease", "", "PX", BatchOffice.uploadLease.wholeMilliseconds),
            // Who has just started may not have said yet that it lives.
            RedisCommand("SET", keys.worker(worker), "{}", "NX", "PX", 5000),
        ]
        let others = commands.count
        for (number, item) in items.enumerated() {
            commands.append(
                RedisCommand(
                    script: Self.begin, keys: names(item.names),
                    arguments: [
                        .text(keys.batch("")), .text(batch), .number(Int64(number)),
                        .bytes(Self.packed(item.draft.encoded())),
                        .number(Self.life),
                    ]))
        }
        return try await send(commands).dropFirst(others).map { $0.int == 1 }
    }

    /// Keys: a question's names. Arguments: what all other keys begin with, the batch, its number there, its draft, how long things
    /// are kept. 1 it is in the batch; 0 it is in another.
    private static let begin = RedisScript(
        """
        local call, prefix = redis.call, ARGV[1]
        for _, name in ipairs(KEYS) do
          local batch = string.match(call('GET', name) or '', '^(%S+) %d+$')
          if batch and call('EXISTS', prefix .. 'state:' .. batch) == 1 then return 0 end
        end
        for _, name in ipairs(KEYS) do call('SET', name, ARGV[2] .. ' ' .. ARGV[3], 'PX', ARGV[5]) end
        call('SET', prefix .. 'item:' .. ARGV[2] .. ':' .. ARGV[3], ARGV[4], 'PX', ARGV[5])
        return 1
        """)

    package func move(
        _ batch: String, from old: BatchState, to state: BatchState?, lease: Duration?
    ) async throws(Outage) -> Bool {
        let key = self.state(batch)
        return try await send([
            RedisCommand(
                script: Self.move, keys: [key, key + ":lease"],
                arguments: [
                    .text(old.text), .text(state?.text ?? ""), .number(Self.life),
                    .number(lease.map { max(1, $0.wholeMilliseconds) } ?? 0),
                ])
        ])[0].int == 1
    }

    /// Keys: the batch's state, its lease. Arguments: what the state is to be, and is to become, or nothing; how long it is kept, and
    /// leased. Whether it was.
    private static let move = RedisScript(
        """
        local call = redis.call
        if call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
        if ARGV[4] ~= '0' then call('SET', KEYS[2], '', 'PX', ARGV[4]) else call('DEL', KEYS[2]) end
        if ARGV[2] == '' then call('DEL', KEYS[1]) else call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
        return 1
        """)

    package func state(of batch: String) async throws(Outage) -> BatchState? {
        try await send([RedisCommand("GET", state(batch))])[0].string.flatMap { BatchState(text: $0) }
    }

    package func takeTurn(at batch: String, for time: Duration) async throws(Outage) -> Bool {
        let value = try await send([
            RedisCommand("SET", state(batch) + ":turn", worker, "NX", "PX", max(1, time.wholeMilliseconds))
        ])[0]
        return value.string == "OK"
    }

    private func strays(_ service: String) -> String { keys.batch("strays:\(service)") }

    package func giveUp(_ batch: String, of service: String, at time: Timestamp) async throws(Outage) {
        _ = try await send([
            RedisCommand("ZADD", strays(service), time.milliseconds, batch),
            RedisCommand("PEXPIRE", strays(service), Self.life),
        ])
    }

    package func givenUp(of service: String, since time: Timestamp) async throws(Outage) -> [String] {
        let values = try await send([
            RedisCommand("ZREMRANGEBYSCORE", strays(service), "-inf", "(\(time.milliseconds)"),
            RedisCommand("ZRANGE", strays(service), 0, -1),
        ])
        return values[1].array?.compactMap(\.string).reversed() ?? []
    }

    package func settle(_ batch: String, of service: String) async throws(Outage) {
        _ = try await send([RedisCommand("ZREM", strays(service), batch)])
    }

    package func keep(_ lines: [Int: [UInt8]], of batch: String) async throws(Outage) {
        for some in lines.sorted(by: { $0.key < $1.key }).chunked(by: 100) {
            let packed = await offTheLoop { some.map { ($0.key, Self.packed($0.value, Self.largeZstd)) } }
            _ = try await send(
                packed.map { number, line in
                    RedisCommand("SET", keys.batch("item:\(batch):\(number):line"), line, "PX", Self.life)
                })
        }
    }

    package func forget(_ names: [String]) async {
        _ = try? await redis.send(RedisCommand(arguments: [.text("DEL")] + self.names(names).map { .text($0) }))
    }

    // MARK: - As they are kept

    /// One on the loop and one off it: they do not wait for each other.
    private static let zstd = RedisAnswers.makeZstd()
    private static let largeZstd = RedisAnswers.makeZstd()

    /// Compressed behind a 1, as it is behind a 0.
    private static func packed(_ bytes: [UInt8], _ zstd: Zstd? = zstd) -> [UInt8] {
        guard bytes.count >= 64, let packed = zstd?.compress(bytes), packed.count < bytes.count else {
            return [0] + bytes
        }
        return [1] + packed
    }

    private static func unpacked(_ bytes: [UInt8]) -> [UInt8]? {
        guard let first = bytes.first else { return nil }
        let rest = Array(bytes.dropFirst())
        return first == 0 ? rest : zstd?.decompress(rest, limit: longest)
    }
}

extension BatchDraft {
    func encoded() -> [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.key("sources")
            json.array { for source in sources { source.write(to: &$0) } }
            json.member("spared", sparedTokens)
            guard let rewriting else { return }
            json.key("rewriting")
            json.array {
                $0.int(rewriting.promptTokens)
                $0.int(rewriting.completionTokens)
                $0.int(rewriting.cachedTokens)
            }
        }
        return json.bytes
    }

    /// What cannot be read is not there: the answer is then without its sources.
    init(decoding bytes: [UInt8]) {
        self.init()
        guard let root = try? JSONDocument(bytes).root else { return }
        sources = root["sources"]?.elements.map(Source.init(reading:)) ?? []
        sparedTokens = max(0, root["spared"]?.int ?? 0)
        let counts = root["rewriting"]?.elements.compactMap(\.int) ?? []
        if counts.count == 3, counts.allSatisfy({ (0...1_000_000_000).contains($0) }) {
            rewriting = Usage(promptTokens: counts[0], completionTokens: counts[1], cachedTokens: counts[2])
        }
    }
}
