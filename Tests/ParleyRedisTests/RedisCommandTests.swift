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

    @Test(arguments: [0, 9, 10, -1, -10, 1_234_567, Int64.max, .min])
    func numbersAreWrittenAsTextsAre(number: Int64) {
        var (wire, expected) = ([UInt8](), [UInt8]())
        RedisCommand("INCRBY", "k", number).encode(into: &wire)
        RedisCommand("INCRBY", "k", String(number)).encode(into: &expected)
        #expect(wire == expected)
    }

    @Test(arguments: [
        RedisCommand("SUBSCRIBE", "x"), RedisCommand("psubscribe", "x"), RedisCommand("Monitor"),
        RedisCommand("client", "Reply", "OFF"), RedisCommand("HELLO", 3), RedisCommand("select", 1), RedisCommand(),
        RedisCommand(""), RedisCommand("AUTH", "x"), RedisCommand("RESET"), RedisCommand("multi"), RedisCommand("EXEC"),
        RedisCommand("Discard"), RedisCommand("WATCH", "x"), RedisCommand("UNWATCH"), RedisCommand("QUIT"),
        RedisCommand("REPLCONF", "ACK", 1), RedisCommand("SCRIPT", "DEBUG", "YES"),
    ])
    func commandsThatBreakASharedConnectionAreRefused(command: RedisCommand) {
        #expect(command.refusal != nil)
    }

    @Test func soManyArgumentsRedisDoesNotTake() {
        #expect(RedisCommand(arguments: Array(repeating: [65], count: 1_048_577)).refusal != nil)
        #expect(RedisCommand(arguments: Array(repeating: [65], count: 1_048_576)).refusal == nil)
    }

    @Test(arguments: [
        RedisCommand("SET", "k", "v"), RedisCommand("CLIENT", "ID"), RedisCommand("PUBLISH", "c", "m"),
        RedisCommand("SCRIPT", "FLUSH"), RedisCommand("EVALSHA"), RedisCommand("client"), RedisCommand("script"),
        RedisCommand("EXISTS", "x"), RedisCommand(script: RedisScript("return 1"), keys: []),
    ])
    func otherCommandsPass(command: RedisCommand) {
        #expect(command.refusal == nil)
    }

    @Test func aScriptTravelsAsItsSourceOrAsItsDigest() {
        let command = RedisCommand(script: RedisScript("return 1"), keys: ["k"], arguments: [.bytes([7])])
        let digest = [UInt8](repeating: 0x61, count: 40)
        for (name, text, known) in [("EVAL", "return 1", nil), ("EVALSHA", String(repeating: "a", count: 40), digest)] {
            var (wire, expected) = ([UInt8](), [UInt8]())
            command.encode(into: &wire, digest: known)
            RedisCommand(name, text, 1, "k", [7]).encode(into: &expected)
            #expect(wire == expected)
            #expect(wire.count <= command.encodedSize)
        }
    }

    @Test func digestsAreAskedForOnceAndBelievedWhenTheyAreSome() {
        var digests = ScriptDigests()
        let (one, other) = (RedisScript("return 1"), RedisScript("return 2"))
        let asked = [one, one, other].map { digests.ask($0) }
        #expect(asked == [0, nil, 1])
        let digest = Array("0123456789abcdef0123456789abcdef01234567".utf8)
        for answer in [
            RedisValue.null, .error("NOPERM no"), .bytes([]), .bytes(digest + [0x61]),
            .bytes(digest.dropLast() + [0x67]),
            .status("0123456789abcdef0123456789abcdef01234567"), .integer(1), .array([.bytes(digest)]),
        ] {
            digests.answered(0, answer)
            #expect(digests[one] == nil)
        }
        digests.answered(0, .bytes(digest))
        #expect(digests[one] == digest)
        #expect(digests[other] == nil)
        // Nobody keeps a thousand scripts.
        let numbers = (0..<1_000).map { digests.ask(RedisScript("return \($0)")) }
        #expect(numbers.count { $0 != nil } == 62)
        #expect(digests[one] == digest)
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
        #expect(thrown?.message.hasSuffix("OOM command not allowed (its maxmemory is used up)") == true)
        #expect(RedisValue.null.refusal == nil)
    }

    @Test(arguments: [
        ("MOVED 3999 127.0.0.1:6381", "Cluster"), ("CLUSTERDOWN The cluster is down", "Cluster"),
        ("CROSSSLOT Keys in request don't hash to the same slot", "Cluster"), ("ASK 3999 127.0.0.1:6381", "Cluster"),
        ("NOAUTH Authentication required.", "redis://user:password@host"), ("READONLY You can't write", "Sentinels"),
        ("MASTERDOWN Link with MASTER is down", "Sentinels"), ("MISCONF Errors writing to the AOF file", "disk"),
        ("BUSY Redis is busy running a script.", "SCRIPT KILL"), ("NOREPLICAS Not enough", "min-replicas-to-write"),
    ])
    func anErrorThatDoesNotSayWhatToDoIsExplained(text: String, remedy: String) {
        let refusal = RedisValue.error(text).refusal
        #expect(refusal?.hasPrefix(text) == true)
        #expect(refusal?.contains(remedy) == true)
    }

    @Test(arguments: [
        "ERR syntax error", "LOADING Redis is loading the dataset", "NOPERM this user has no permissions", "",
    ])
    func anErrorThatSaysItItselfIsToldAsItIs(text: String) {
        #expect(RedisValue.error(text).refusal == text)
    }
}
