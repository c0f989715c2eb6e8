import Testing

@testable import ParleyRedis

@Suite struct RedisCommandTests {
    @Test func commandsAreArraysOfBulkStrings() {
        var wire: [UInt8] = []
        RedisCommand("SET", "k", [0, 255, 13, 10], 1_234_567_890, "").encode(into: &wire)
        let expected =
            Array("*5\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\n".utf8) + [0, 255, 13, 10]
            + Array("\r\n$10\r\n1234567890\r\n$0\r\n\r\n".utf8)
        #expect(wire == expected)
        #expect(wire.count <= RedisCommand("SET", "k", [0, 255, 13, 10], 1_234_567_890, "").encodedSize)
    }

    @Test(arguments: [0, 1, 9, 10, 11, 99, 100, 101, 255, 1000])
    func lengthsAreWrittenInDecimal(count: Int) {
        var wire: [UInt8] = []
        RedisCommand(arguments: [[UInt8](repeating: 7, count: count)]).encode(into: &wire)
        #expect(wire.starts(with: Array("*1\r\n$\(count)\r\n".utf8)))
    }

    @Test(arguments: [
        RedisCommand("SUBSCRIBE", "x"), RedisCommand("psubscribe", "x"), RedisCommand("Monitor"),
        RedisCommand("client", "Reply", "OFF"), RedisCommand("HELLO", 3), RedisCommand("select", 1), RedisCommand(),
        RedisCommand(""), RedisCommand("AUTH", "x"), RedisCommand("RESET"),
    ])
    func commandsThatBreakASharedConnectionAreRefused(command: RedisCommand) {
        #expect(command.refusal != nil)
    }

    @Test(arguments: [
        RedisCommand("SET", "k", "v"), RedisCommand("CLIENT", "ID"), RedisCommand("PUBLISH", "c", "m"),
        RedisCommand("SCRIPT", "FLUSH"), RedisCommand("EVALSHA"), RedisCommand("MULTI"), RedisCommand("client"),
    ])
    func otherCommandsPass(command: RedisCommand) {
        #expect(command.refusal == nil)
    }

    @Test(arguments: [
        ("", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        ("abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "84983e441c3bd26ebaae4aa1f95129e5e54670f1"
        ),
        (String(repeating: "a", count: 1_000), "291e9a6c66994949b57ba5e650361e98fc36b1ba"),
    ])
    func digestsMatchThePublishedOnes(text: String, digest: String) {
        #expect(RedisScript(text).sha1 == digest)
    }

    @Test func valuesConvert() {
        #expect(RedisValue.bytes(Array("42".utf8)).int == 42)
        #expect(RedisValue.integer(7).string == "7")
        #expect(RedisValue.status("OK").string == "OK")
        #expect(RedisValue.null.string == nil)
        #expect(RedisValue.null.isNull)
        #expect(RedisValue.error("WRONGTYPE Operation").errorKind == "WRONGTYPE")
        let thrown = #expect(throws: RedisError.self) { try RedisValue.error("OOM command not allowed").get() }
        #expect(thrown?.code == .server("OOM"))
    }
}
