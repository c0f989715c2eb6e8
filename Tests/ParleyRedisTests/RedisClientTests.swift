import ParleyRedis
import TestSupport
import Testing

@Suite(.enabled(if: PrivateRedis.isAvailable, "redis-server is not installed"))
struct RedisClientTests {
    @Test func anyBytesComeBackAsTheyWere() async throws {
        let server = try await PrivateRedis()
        try await withClient(server.url()) { client in
            try await client.connect()
            let every = (0...255).map { UInt8($0) }
            let values: [[UInt8]] = [
                [], [0], every, [0xff, 0xfe, 0, 13, 10, 0xc3], .init(repeating: 0, count: 3 << 20),
            ]
            for value in values {
                let key: [UInt8] = [0, 255, 10] + value.prefix(9)
                #expect(try await client.send(RedisCommand("SET", key, value)) == .status("OK"))
                #expect(try await client.send(RedisCommand("GET", key)) == .bytes(value))
            }
            #expect(try await client.send(RedisCommand("GET", "absent")) == .null)
        }
    }

    @Test func tenThousandCommandsInOnePipelineAnswerInOrder() async throws {
        let server = try await PrivateRedis()
        try await withClient(server.url()) { client in
            try await client.connect()
            let replies = try await client.send((0..<10_000).map { RedisCommand("ECHO", $0) })
            #expect(replies.map(\.int) == Array(0..<10_000))
            #expect(try await client.send([]).isEmpty)
        }
    }

    @Test func aThousandTasksEachGetTheirOwnReply() async throws {
        let server = try await PrivateRedis()
        try await withClient(server.url()) { client in
            try await client.connect()
            let wrong = try await withThrowingTaskGroup(of: Bool.self) { group in
                for number in 0..<1_000 {
                    group.addTask {
                        let value = "value-\(number)"
                        if number.isMultiple(of: 3) {
                            let replies = try await client.send([
                                RedisCommand("SET", "k\(number)", value), RedisCommand("GET", "k\(number)"),
                            ])
                            return replies == [.status("OK"), .bytes(Array(value.utf8))]
                        }
                        return try await client.send(RedisCommand("ECHO", value)).string == value
                    }
                }
                return try await group.reduce(0) { $0 + ($1 ? 0 : 1) }
            }
            #expect(wrong == 0)
        }
    }

    @Test func aServerErrorIsAValueAndTheRestOfThePipelineRuns() async throws {
        let server = try await PrivateRedis()
        try await withClient(server.url()) { client in
            try await client.connect()
            let replies = try await client.send([
                RedisCommand("SET", "text", "x"), RedisCommand("INCR", "text"), RedisCommand("NOSUCH"),
                RedisCommand("LPUSH", "text", 1), RedisCommand("GET", "text"),
            ])
            #expect(replies.map(\.isError) == [false, true, true, true, false])
            #expect(replies[3].errorKind == "WRONGTYPE")
            #expect(replies[4].string == "x")
        }
    }

    @Test func arraysNest() async throws {
        let server = try await PrivateRedis()
        try await withClient(server.url()) { client in
            try await client.connect()
            let nested = try await client.send(RedisCommand("EVAL", "return {1, {'a', {false}}, {}}", 0))
            #expect(nested == .array([.integer(1), .array([.bytes([97]), .array([.null])]), .array([])]))
        }
    }

    @Test func scriptsRunAgainAfterTheServerForgotThem() async throws {
        let server = try await PrivateRedis()
        try await withClient(server.url()) { client in
            try await client.connect()
            let script = RedisScript("return {KEYS[1], ARGV[1], redis.call('INCR', KEYS[1])}")
            let argument: [UInt8] = [0, 255]
            for round in 1...4 {
                if round == 3 { _ = try await client.send(RedisCommand("SCRIPT", "FLUSH")) }
                let reply = try await client.evaluate(script, keys: ["k"], arguments: [argument])
                #expect(reply == .array([.bytes([107]), .bytes(argument), .integer(Int64(round))]))
            }
            _ = try await client.send(RedisCommand("SCRIPT", "FLUSH"))
            let mixed = try await client.send([
                RedisCommand("SET", "other", 1),
                RedisCommand(script: script, keys: ["k"], arguments: [.bytes(argument)]),
                RedisCommand("GET", "other"),
            ])
            #expect(mixed[1].array?.last == .integer(5))
            #expect(mixed[2].string == "1")
            #expect(try await client.evaluate(RedisScript("return redis.call('NOSUCH')")).isError)
        }
    }

    @Test func aUserWithTheRightPasswordGetsInAndOthersDoNot() async throws {
        let server = try await PrivateRedis(options: [
            "--user", "worker", "on", ">s3:cr/et", "~*", "+@all", "--requirepass", "main",
        ])
        for credentials in ["worker:s3%3Acr%2Fet@", ":main@", "default:main@"] {
            let adjust: @Sendable (inout RedisConfiguration) -> Void = { $0.clientName = "parley" }
            try await withClient(server.url(credentials, database: 4), adjust: adjust) { client in
                try await client.connect()
                #expect(try await client.send(RedisCommand("CLIENT", "GETNAME")).string == "parley")
                let info = try await client.send(RedisCommand("CLIENT", "INFO")).string
                #expect(info?.contains(" db=4 ") == true)
            }
        }
        let events = EventLog()
        for credentials in ["worker:wrong@", "nobody:main@", ":wrong@", ""] {
            try await withClient(server.url(credentials), events: events) { client in
                let error = await #expect(throws: RedisError.self) { try await client.connect() }
                #expect(error?.code == .authenticationFailed, "\(credentials) \(error.map { "\($0)" } ?? "")")
                #expect(error?.message.contains("wrong") != true)
                #expect(await !client.isConnected)
            }
        }
        #expect(events.failedWaits.count == 4)
        #expect(events.failedWaits.allSatisfy { $0 >= .seconds(2) })
    }

    @Test func aMissingRightAndAMissingDatabaseAreTyped() async throws {
        let server = try await PrivateRedis(options: ["--user", "narrow", "on", ">pw", "~*", "+get"])
        try await withClient(server.url("narrow:pw@")) { client in
            try await client.connect()
            #expect(try await client.send(RedisCommand("SET", "a", 1)).errorKind == "NOPERM")
        }
        try await withClient(server.url("narrow:pw@", database: 1)) { client in
            let error = await #expect(throws: RedisError.self) { try await client.connect() }
            #expect(error?.code == .authenticationFailed)
        }
        try await withClient(server.url(database: 16)) { client in
            let error = await #expect(throws: RedisError.self) { try await client.connect() }
            #expect(error?.code == .invalidConfiguration)
        }
    }

    @Test func aScriptTravelsAsItsSourceOnceAndAsItsDigestThen() async throws {
        let server = try await PrivateRedis()
        try await withClient(server.url()) { client in
            try await client.connect()
            let script = RedisScript("return ARGV[1]")
            for round in 0..<5 {
                #expect(try await client.evaluate(script, arguments: [[UInt8(round)]]) == .bytes([UInt8(round)]))
            }
            let stats = try #require(try await client.send(RedisCommand("INFO", "commandstats")).string)
            #expect(calls("eval", in: stats) == 1)
            #expect(calls("script|load", in: stats) == 1)
            #expect(calls("evalsha", in: stats) == 4)
        }
    }

    @Test func whereScriptLoadIsForbiddenScriptsTravelAsTheirSource() async throws {
        let server = try await PrivateRedis(options: ["--user", "narrow", "on", ">pw", "+eval", "+evalsha", "+ping"])
        try await withClient(server.url("narrow:pw@")) { client in
            try await client.connect()
            let script = RedisScript("return ARGV[1]")
            for _ in 0..<5 { #expect(try await client.evaluate(script, arguments: [[1]]) == .bytes([1])) }
        }
        try await withClient(server.url()) { client in
            try await client.connect()
            let stats = try #require(try await client.send(RedisCommand("INFO", "commandstats")).string)
            #expect(calls("eval", in: stats) == 5)
            #expect(stats.contains("rejected_calls=1"), "it was asked for once: \(stats)")
        }
    }

    private func calls(_ command: String, in stats: String) -> Int? {
        stats.split(separator: "\r\n").first { $0.hasPrefix("cmdstat_\(command):calls=") }
            .flatMap { Int($0.split(separator: "=")[1].prefix { $0 != "," }) }
    }

    @Test func commandsThatWouldBreakTheConnectionAreNotSent() async throws {
        let server = try await PrivateRedis()
        try await withClient(server.url()) { client in
            try await client.connect()
            for other in [RedisCommand("SUBSCRIBE", "x"), RedisCommand("MULTI"), RedisCommand("WATCH", "x")] {
                let error = await #expect(throws: RedisError.self) {
                    try await client.send([RedisCommand("PING"), other])
                }
                #expect(error?.code == .invalidCommand)
                #expect(try await client.send(RedisCommand("PING")) == .status("PONG"), "not QUEUED")
            }
        }
    }

    @Test func whatIsTooLargeIsRefusedBeforeItIsSent() async throws {
        let server = try await PrivateRedis()
        let adjust: @Sendable (inout RedisConfiguration) -> Void = { $0.maximumOutput = 1 << 20 }
        try await withClient(server.url(), adjust: adjust) { client in
            try await client.connect()
            let half = RedisCommand("SET", "a", [UInt8](repeating: 1, count: 600_000))
            #expect(try await client.send(half) == .status("OK"))
            for commands in [[RedisCommand("SET", "a", [UInt8](repeating: 1, count: 1 << 20))], [half, half]] {
                let error = await #expect(throws: RedisError.self) { try await client.send(commands) }
                #expect(error?.code == .invalidCommand)
                #expect(error?.message.contains("1 MiB") == true, "\(error.map { "\($0)" } ?? "")")
            }
            #expect(try await client.send(RedisCommand("PING")) == .status("PONG"), "the connection is as it was")
        }
    }

    @Test func aHundredMegabytesInOneReplyAndManySmallOnesAfter() async throws {
        let server = try await PrivateRedis()
        try await withClient(server.url()) { client in
            try await client.connect()
            let piece = [UInt8](repeating: 0xab, count: 10 << 20)
            for index in 0..<10 { _ = try await client.send(RedisCommand("SET", "big\(index)", piece)) }
            let reply = try await client.send(RedisCommand("MGET", "big0", "big1", "big2", "big3", "big4", "big9"))
            #expect(reply.array?.allSatisfy { $0 == .bytes(piece) } == true)
            #expect(try await client.send((0..<100).map { RedisCommand("ECHO", $0) }).map(\.int) == Array(0..<100))
        }
    }
}
