import Answering
import ParleyPrimitives
import ParleyRedis
import ParleyZstd
import Topology

/// Kept answers in Redis, for all workers: `chat:cache:…`. As JSON, compressed, since they come with their passages.
/// With a dictionary of what such answers have in common (``AnswerDictionary``); one that was made with another is a miss.
///
/// What Redis cannot do at the moment is a miss: claims and results, which cannot do without it, say so.
package struct RedisAnswers: AnswerStore {
    private static let longest = 16 << 20
    /// A larger one is read and written off the loop; for one that is not, changing threads would cost more.
    private static let small = 16 << 10

    /// How long others wait for a worker after its last sign of life; and how often it gives one.
    private static let lifeOfSign = Duration.milliseconds(1600)
    private static let beat = Duration.milliseconds(500)
    /// No answer takes so long: should a maker forget that it is one, others do not wait for ever.
    static let lifeOfMaker = Duration.seconds(600)

    let redis: RedisClient
    let keys: RedisKeys
    /// Names this worker among those that make answers.
    let worker: String

    package init(redis: RedisClient, keys: RedisKeys, worker: String) {
        self.redis = redis
        self.keys = keys
        self.worker = worker
    }

    package func look(
        for sought: [AnswerKey], stale: Duration, heard: [AnswerKey: HeardPieces]
    ) async -> [AnswerKey: AnswerStanding] {
        var bytes: [AnswerKey: [UInt8]] = [:]
        var makers: [AnswerKey: AnswerStanding.Maker] = [:]
        var pieces: [AnswerKey: SaidPieces] = [:]
        for some in sought.chunked(by: RedisResults.keysAtOnce) {
            let names = some.flatMap { [keys.answer($0.text), keys.maker($0.text)] }
            let reply = try? await redis.send(
                RedisCommand(
                    script: Self.look, keys: names,
                    arguments: [
                        .text(worker), .text(keys.makerLives("")), .number(Self.lifeOfSign.wholeMilliseconds),
                        .number(Self.lifeOfMaker.wholeMilliseconds), .number(stale.wholeMilliseconds),
                    ] + (heard.isEmpty ? [] : some.map { .text(Self.text(of: heard[$0])) })))
            guard let values = reply?.array, values.count >= names.count else { continue }
            for (place, key) in some.enumerated() {
                bytes[key] = values[2 * place].bytes
                makers[key] = Self.maker(values[2 * place + 1].int)
                if values.count == names.count + some.count {
                    pieces[key] = values[names.count + place].bytes.flatMap(Self.pieces)
                }
            }
        }
        let kept = await Self.read(bytes)
        return Dictionary(
            uniqueKeysWithValues: makers.map { key, maker in
                // What cannot be read is not there, whatever the script took it for.
                let isLost = maker == .nobody && kept[key] == nil
                return (
                    key, AnswerStanding(kept: kept[key], maker: isLost ? .thisWorker : maker, pieces: pieces[key])
                )
            })
    }

    private static func maker(_ number: Int?) -> AnswerStanding.Maker {
        switch number {
        case 0: .nobody
        case 2: .another
        default: .thisWorker
        }
    }

    private static func read(_ bytes: [AnswerKey: [UInt8]]) async -> [AnswerKey: KeptAnswer] {
        if bytes.isEmpty { return [:] }
        return bytes.values.allSatisfy { $0.count <= small }
            ? bytes.compactMapValues { read($0, zstd) }
            : await offTheLoop { bytes.compactMapValues { read($0, largeZstd) } }
    }

    /// Keys: of each answer its name, and its maker's. Arguments: this worker's token, what the signs of living workers begin
    /// with, the lives of such a sign and of a maker's name, and how long before it goes an answer is not fresh any more, all
    /// in milliseconds. Then, if anybody wants pieces, of each answer what has been heard of it, or nothing.
    ///
    /// For each answer: what is kept; 0 it is fresh, 1 this worker is its maker now, 2 another is. Then, if anybody wants pieces,
    /// for each answer the call's digits and what it says beyond what was heard, or nothing. Signs and pieces are not among
    /// KEYS: right on a single server, not in a cluster.
    private static let look = RedisScript(
        """
        local call = redis.call
        local worker, prefix, life, stale = ARGV[1], ARGV[2], ARGV[4], tonumber(ARGV[5])
        call('SET', prefix .. worker, '', 'PX', ARGV[3])
        local lives = {}
        local function is_alive(token)
          if lives[token] == nil then lives[token] = call('EXISTS', prefix .. token) == 1 end
          return lives[token]
        end
        local function hear(name, maker, heard)
          if heard == '' then return '' end
          local wanted = prefix .. maker .. ':wanted'
          call('ZADD', wanted, 0, name)
          call('PEXPIRE', wanted, 5000)
          local said = name .. ':pieces'
          local head = call('GETRANGE', said, 0, #maker + 15)
          if #head < #maker + 16 or string.sub(head, 1, #maker) ~= maker then return '' end
          local digits, bytes = string.sub(head, -16), tonumber(string.sub(heard, 18))
          if digits ~= string.sub(heard, 1, 16) then bytes = 0 end
          local text = call('GETRANGE', said, #head + bytes, -1)
          return text ~= '' and digits .. text or ''
        end
        local pieces = {}
        local kept = call('MGET', unpack(KEYS))
        for i = 1, #KEYS, 2 do
          local maker = kept[i + 1]
          if kept[i] and (stale == 0 or call('PTTL', KEYS[i]) > stale) then
            kept[i + 1] = 0
          elseif maker and maker ~= worker and is_alive(maker) then
            kept[i + 1] = 2
            if ARGV[6] then pieces[i] = hear(KEYS[i], maker, ARGV[5 + (i + 1) / 2]) end
          else
            call('SET', KEYS[i + 1], worker, 'PX', life)
            kept[i + 1] = 1
          end
        end
        if ARGV[6] then
          for i = 1, #KEYS, 2 do kept[#KEYS + (i + 1) / 2] = pieces[i] or '' end
        end
        return kept
        """)

    package func renew(_ key: AnswerKey, left: Duration) async -> AnswerRenewal {
        let reply = try? await redis.send(
            RedisCommand(
                script: Self.renew, keys: [keys.answer(key.text), keys.maker(key.text)],
                arguments: [
                    .text(worker), .number(Self.lifeOfMaker.wholeMilliseconds),
                    .number((left + Self.slack).wholeMilliseconds),
                ]))
        if reply?.int == 1 { return .thisWorker }
        guard let bytes = reply?.bytes, let kept = await Self.read([key: bytes])[key] else { return .another }
        return .nobody(kept)
    }

    /// Whoever has an answer knows its end less exactly than Redis.
    private static let slack = Duration.seconds(1)

    /// Keys: an answer's name, its maker's. Arguments: this worker's token, the life of a maker's name, how long the answer is
    /// there that this worker knows, in milliseconds. The answer when there is a newer one; 1 this worker is its maker now, 0
    /// another is.
    private static let renew = RedisScript(
        """
        if redis.call('PTTL', KEYS[1]) > tonumber(ARGV[3]) then return redis.call('MGET', KEYS[1])[1] end
        return redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) and 1 or 0
        """)

    package func keep(_ answer: KeptAnswer, as key: AnswerKey, for life: Duration) async {
        let plain = answer.encoded()
        guard plain.count <= Self.longest,
            let bytes = plain.count <= Self.small
                ? Self.zstd?.compress(plain) : await offTheLoop({ Self.largeZstd?.compress(plain) })
        else { return await giveUp([key]) }
        _ = try? await redis.send([
            RedisCommand(
                arguments: [
                    .text("SET"), .text(keys.answer(key.text)), .bytes(bytes), .text("PX"),
                    .number(max(1, life.wholeMilliseconds)),
                ]),
            RedisCommand(arguments: [.text("DEL"), .text(keys.maker(key.text))]),
        ])
    }

    package func giveUp(_ given: [AnswerKey]) async {
        for some in given.chunked(by: RedisResults.keysAtOnce) {
            _ = try? await redis.send(
                RedisCommand(script: Self.giveUp, keys: some.map { keys.maker($0.text) }, arguments: [.text(worker)]))
        }
    }

    /// Keys: makers' names, of which those that are this worker's are deleted. Argument: its token.
    private static let giveUp = RedisScript(
        """
        for i, maker in ipairs(redis.call('MGET', unpack(KEYS))) do
          if maker == ARGV[1] then redis.call('DEL', KEYS[i]) end
        end
        """)

    /// Shows that this worker lives, until the task is cancelled.
    package func showLife() async {
        while !Task.isCancelled {
            _ = try? await redis.send(
                RedisCommand("SET", keys.makerLives(worker), "", "PX", Self.lifeOfSign.wholeMilliseconds))
            try? await Task.sleep(for: Self.beat)
        }
    }

    /// Nothing that this worker was to make is waited for any more.
    package func farewell() async { _ = try? await redis.send(RedisCommand("DEL", keys.makerLives(worker))) }

    private static func read(_ bytes: [UInt8], _ zstd: Zstd?) -> KeptAnswer? {
        zstd?.decompress(bytes, limit: longest).flatMap(KeptAnswer.init(decoding:))
    }

    /// One on the loop and one off it: they do not wait for each other.
    private static let zstd = makeZstd()
    private static let largeZstd = makeZstd()

    static func makeZstd() -> Zstd? {
        decodeBase64(AnswerDictionary.text).flatMap { Zstd(dictionary: $0, level: 2) }
    }
}
