import ParleyRedis
import TestSupport
import Testing

/// Peers that misbehave. Nothing that they send ends more than their connection.
@Suite(.serialized) struct RedisNonsenseTests {
    @Test(arguments: Nonsense.all)
    func nonsenseEndsTheConnectionAndNothingElse(nonsense: Nonsense) async throws {
        // It says no more and hangs up only when the client does: what is wrong must be seen in what is there.
        let peer = try ScriptedRedis([
            [ScriptedRedis.greeting, .take, .say(nonsense.bytes), .silence],
            [ScriptedRedis.greeting, .answer("+A\r\n"), .silence],
        ])
        let patient: (inout RedisConfiguration) -> Void = { $0.commandTimeout = .seconds(600) }
        try await withClient(peer.url, adjust: patient) { client in
            try await client.connect()
            let error = await #expect(throws: RedisError.self) { try await client.send(RedisCommand("GET", "a")) }
            #expect(error?.code == .connectionLost)
            #expect(error?.message.contains(nonsense.reason) == true, "\(error.map { "\($0)" } ?? "")")
            try await client.waitUntilConnected()
            #expect(try await client.send(RedisCommand("GET", "a")) == .status("A"))
        }
    }

    @Test(arguments: Nonsense.all)
    func nonsenseAsAGreetingIsNoConnection(nonsense: Nonsense) async throws {
        let peer = try ScriptedRedis(.take, .say(nonsense.bytes), .silence)
        try await withClient(peer.url) { client in
            let error = await #expect(throws: RedisError.self) { try await client.connect() }
            #expect(error?.code == .protocolViolation)
            #expect(error?.message.contains(nonsense.reason) == true, "\(error.map { "\($0)" } ?? "")")
        }
    }

    @Test func aReplyLargerThanAllowedEndsTheConnectionWhenItIsAnnounced() async throws {
        let peer = try ScriptedRedis([
            [ScriptedRedis.greeting, .answer("$1048577\r\nabc"), .silence],
            // Each of the strings may be; the reply as a whole not.
            [
                ScriptedRedis.greeting, .take, .say(Array("*3\r\n$600000\r\n".utf8)),
                .say([UInt8](repeating: 1, count: 600_000)), .say(Array("\r\n$600000\r\nabc".utf8)), .silence,
            ],
            [
                ScriptedRedis.greeting, .take, .say(Array("$1048000\r\n".utf8)),
                .say([UInt8](repeating: 1, count: 1_048_000)), .say([13, 10]), .silence,
            ],
        ])
        let adjust: (inout RedisConfiguration) -> Void = {
            $0.maximumReply = 1 << 20
            $0.commandTimeout = .seconds(600)
        }
        try await withClient(peer.url, adjust: adjust) { client in
            for _ in 0..<2 {
                try await client.waitUntilConnected()
                let error = await #expect(throws: RedisError.self) { try await client.send(RedisCommand("GET", "a")) }
                #expect(error?.message.contains("a reply of more than 1 MiB") == true)
            }
            try await client.waitUntilConnected()
            #expect(try await client.send(RedisCommand("GET", "a")).bytes?.count == 1_048_000)
        }
    }

    @Test func repliesInPiecesAreRepliesStill() async throws {
        let reply = "*4\r\n$3\r\nabc\r\n:-12\r\n*1\r\n$-1\r\n$0\r\n\r\n"
        let peer = try ScriptedRedis(
            ScriptedRedis.greeting, .dribble(reply), .answer("+A\r"), .say(Array("\n:7\r\n".utf8)), .silence)
        try await withClient(peer.url) { client in
            try await client.connect()
            let expected = RedisValue.array([.bytes([97, 98, 99]), .integer(-12), .array([.null]), .bytes([])])
            #expect(try await client.send(RedisCommand("GET", "a")) == expected)
            #expect(
                try await client.send([RedisCommand("GET", "b"), RedisCommand("GET", "c")]) == [
                    .status("A"), .integer(7),
                ])
        }
    }

    @Test func aReplyThatNobodyAskedForEndsTheConnection() async throws {
        let peer = try ScriptedRedis(ScriptedRedis.greeting, .answer("+A\r\n+B\r\n"), .silence)
        let events = EventLog()
        try await withClient(peer.url, events: events) { client in
            try await client.connect()
            #expect(try await client.send(RedisCommand("GET", "a")) == .status("A"))
            try await waitUntil("the client connects anew") { peer.connections == 2 }
        }
    }

    @Test func aPeerThatEndsInTheMiddleOfAReplyLosesTheConnection() async throws {
        for end in [ScriptedRedis.Step.reset, .say([])] {
            let peer = try ScriptedRedis([
                [ScriptedRedis.greeting, .answer("$5\r\nab"), end], [ScriptedRedis.greeting, .silence],
            ])
            try await withClient(peer.url) { client in
                try await client.connect()
                let error = await #expect(throws: RedisError.self) { try await client.send(RedisCommand("GET", "a")) }
                #expect(error?.code == .connectionLost)
                try await client.waitUntilConnected()
            }
        }
    }

    @Test func aPeerThatSaysNothingTimesOutAtTheGreetingAndAfter() async throws {
        let peer = try ScriptedRedis([
            [.silence], [ScriptedRedis.greeting, .silence], [ScriptedRedis.greeting, .silence],
        ])
        let impatient: (inout RedisConfiguration) -> Void = { $0.commandTimeout = .milliseconds(200) }
        try await withClient(peer.url, adjust: impatient) { client in
            let greeting = await #expect(throws: RedisError.self) { try await client.connect() }
            #expect(greeting?.code == .timedOut)
            try await client.waitUntilConnected()
            let error = await #expect(throws: RedisError.self) { try await client.send(RedisCommand("GET", "a")) }
            #expect(error?.code == .timedOut)
            try await client.waitUntilConnected()
        }
    }

    @Test func aServerThatKnowsNoScriptEvenWithItsSourceIsNotAskedForEver() async throws {
        let peer = try ScriptedRedis(ScriptedRedis.greeting, .always("-NOSCRIPT No matching script.\r\n"))
        try await withClient(peer.url) { client in
            try await client.connect()
            let script = RedisScript("return 1")
            #expect(try await client.evaluate(script).errorKind == "NOSCRIPT")
            let both = try await client.send([RedisCommand("GET", "a"), RedisCommand(script: script, keys: [])])
            #expect(both.map(\.errorKind) == ["NOSCRIPT", "NOSCRIPT"])
            #expect(peer.commands.map { $0[0] } == ["PING", "EVAL", "SCRIPT", "EVAL", "GET", "EVAL", "EVAL"])
        }
    }

    @Test func whatAServerSaysBeforeItHangsUpIsTold() async throws {
        for (text, code) in [
            ("ERR max number of clients reached", RedisError.Code.unreachable),
            ("LOADING Redis is loading the dataset in memory", .unreachable),
            ("MASTERDOWN Link with MASTER is down", .unreachable),
            ("NOAUTH Authentication required.", .authenticationFailed),
            ("DENIED Redis is running in protected mode", .server("DENIED")),
        ] {
            for credentials in ["", ":pw@"] where credentials.isEmpty || code == .unreachable {
                let peer = try ScriptedRedis(.take, .say(Array("-\(text)\r\n".utf8)))
                try await withClient("redis://\(credentials)127.0.0.1:\(peer.port)/3") { client in
                    let error = await #expect(throws: RedisError.self) { try await client.connect() }
                    #expect(error?.code == code, "\(text): \(error.map { "\($0)" } ?? "")")
                    #expect(error?.message.contains(text) == true)
                }
            }
        }
    }
}

struct Nonsense: Sendable, CustomTestStringConvertible {
    let testDescription: String
    /// Made when it is needed: the test runner looks into arguments.
    let make: @Sendable () -> String
    /// In the error's message.
    let reason: String

    private init(_ name: String, _ text: @autoclosure @escaping @Sendable () -> String, _ reason: String = "RESP2") {
        (testDescription, make, self.reason) = (name, text, reason)
    }

    var bytes: [UInt8] { Array(make().utf8) }

    static let all = [
        Nonsense("nested a million times", String(repeating: "*1\r\n", count: 1_000_000) + ":1\r\n"),
        Nonsense("two thousand million elements", "*2147483647\r\n"),
        Nonsense("sixteen million elements", "*16777216\r\n"),
        Nonsense("a million elements, seven times", String(repeating: "*1048576\r\n", count: 7)),
        Nonsense(
            "a million elements in parts",
            "*3\r\n*500000\r\n" + String(repeating: ":1\r\n", count: 500_000) + "*600000\r\n"),
        Nonsense("a count beyond 64 bits", "*99999999999999999999\r\n", "multi-bulk length"),
        Nonsense("a string of 90 TiB", "$99999999999999\r\nabc", "512 MiB"),
        Nonsense("a string of 9 EiB", "$9223372036854775807\r\nabc", "512 MiB"),
        Nonsense("a length beyond 64 bits", "$99999999999999999999\r\nabc", "Bad bulk string length"),
        Nonsense("a negative length", "$-7\r\nabc", "out of range"),
        Nonsense("a negative count", "*-5\r\n", "out of range"),
        Nonsense("a line without an end", "+" + String(repeating: "x", count: 3 << 20), "a line of more than 1 MiB"),
        Nonsense("a length without an end", "$" + String(repeating: "1", count: 3 << 20), "a line of more than 1 MiB"),
        Nonsense("a web server", "HTTP/1.1 400 Bad Request\r\n\r\n", "\"H\""),
        Nonsense("NUL bytes", "\0\0\0\0", "\\x00"),
        Nonsense("a number that is none", ":12a\r\n", "Bad integer"),
        // RESP3, which nobody asked for.
        Nonsense("a push", ">3\r\n+message\r\n+a\r\n+b\r\n"),
        Nonsense("a double", ",3.14\r\n"),
        Nonsense("a double, as other countries write it", ",3,14\r\n"),
        Nonsense("a truth", "#t\r\n"),
        Nonsense("a map", "%1\r\n+a\r\n+b\r\n"),
        Nonsense("a set", "~1\r\n+a\r\n"),
        Nonsense("a big number", "(3492890328409238509324850943850943825024385\r\n"),
        Nonsense("a text with its kind", "=7\r\ntxt:abc\r\n"),
    ]
}
