import Answering
import ParleyRedis

/// What is said of an answer while it is made, `chat:cache:<name>:pieces`, for those who wait for it in other workers and want
/// pieces. Only while there is one of them: by looking it tells the maker (`chat:cache::<token>:wanted`).
///
/// It begins with the maker's token and 16 digits that name the call: what is left of a dead maker's, or of an earlier
/// call, is taken for nobody else's.
extension RedisAnswers {
    package func followed(among keys: [AnswerKey]) async -> Set<AnswerKey> {
        let wanted = try? await redis.send(RedisCommand("ZRANGE", self.keys.wanted(of: worker), 0, -1))
        let names = Set(wanted?.array?.compactMap(\.string) ?? [])
        return names.isEmpty ? [] : Set(keys.filter { names.contains(self.keys.answer($0.text)) })
    }

    package func say(_ pieces: SaidPieces, as key: AnswerKey, isFirst: Bool) async -> Bool {
        let reply = try? await redis.send(
            RedisCommand(
                script: Self.say, keys: [keys.pieces(key.text), keys.maker(key.text)],
                arguments: [
                    .text(worker), .text(Self.digits(of: pieces.call)), .text(pieces.text),
                    .text(isFirst ? "first" : ""),
                    .number(Self.lifeOfMaker.wholeMilliseconds),
                ]))
        return reply?.int == 1
    }

    package func hush(_ key: AnswerKey) async { _ = try? await redis.send(RedisCommand("DEL", keys.pieces(key.text))) }

    /// Keys: an answer's pieces, its maker. Arguments: this worker's token, the call's digits, what it says, `first` or nothing, the
    /// life of all that it says. 1: it is there. 0: this worker is not the maker, or what came before is gone.
    private static let say = RedisScript(
        """
        if redis.call('MGET', KEYS[2])[1] ~= ARGV[1] then return 0 end
        local head = ARGV[1] .. ARGV[2]
        if ARGV[4] == 'first' then
          redis.call('SET', KEYS[1], head .. ARGV[3], 'PX', ARGV[5])
          return 1
        end
        if redis.call('GETRANGE', KEYS[1], 0, #head - 1) ~= head then return 0 end
        redis.call('APPEND', KEYS[1], ARGV[3])
        return 1
        """)

    private static func digits(of call: UInt64) -> String {
        let digits = String(call, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// As `look` reads it; nothing when nobody wants pieces.
    static func text(of heard: HeardPieces?) -> String {
        heard.map { "\(digits(of: $0.call ?? 0)) \($0.call == nil ? 0 : $0.bytes)" } ?? ""
    }

    /// Nil when there is nothing new. A character that is not whole is left for the next time.
    static func pieces(_ bytes: [UInt8]) -> SaidPieces? {
        guard bytes.count > 16, let call = UInt64(String(decoding: bytes.prefix(16), as: UTF8.self), radix: 16) else {
            return nil
        }
        for cut in 0...3 where bytes.count > 16 + cut {
            if let text = String(validating: bytes[16..<bytes.count - cut], as: UTF8.self) {
                return SaidPieces(call: call, text: text)
            }
        }
        return nil
    }
}
