import Glibc
import IOLoop
import TestSupport
import Testing

@testable import ParleyRedis

@Suite(.enabled(if: PrivateRedis.isAvailable, "redis-server is not installed"))
struct RedisFailoverTests {
    @Test func replicasArePassedOverForThePrimary() async throws {
        let pair = try await Pair()
        let events = EventLog()
        let nobody = try freePort()
        let url = "redis://127.0.0.1:\(nobody),127.0.0.1:\(pair.replica.port),127.0.0.1:\(pair.primary.port)"
        try await withClient(url, events: events) { client in
            try await client.connect()
            #expect(try await client.send(RedisCommand("SET", "a", 1)) == .status("OK"))
            #expect(events.failedWaits == [.zero, .zero])
        }
        try await withClient("redis://127.0.0.1:\(pair.replica.port),127.0.0.1:\(freePort())/0") { client in
            let error = await #expect(throws: RedisError.self) { try await client.connect() }
            #expect(error?.code == .unreachable)
            #expect(error?.message.contains("a replica of 127.0.0.1:\(pair.primary.port)") == true)
            #expect(error?.message.contains("refused") == true)
        }
    }

    @Test func afterAFailoverByHandTheClientGoesOnWithTheOther() async throws {
        let pair = try await Pair()
        try await withClient(pair.url) { client in
            try await client.connect()
            let script = RedisScript("return redis.call('INCR', KEYS[1])")
            #expect(try await client.evaluate(script, keys: ["n"]) == .integer(1))
            try await pair.waitUntilReplicated("n", "1")
            try await pair.primary.stop()
            _ = try? await client.send(RedisCommand("PING"))
            let refused = await #expect(throws: RedisError.self) { try await client.send(RedisCommand("PING")) }
            #expect(refused?.code == .notConnected)

            async let back: Void = client.waitUntilConnected()
            try await pair.replica.command("REPLICAOF", "NO", "ONE")
            try await back
            #expect(try await client.evaluate(script, keys: ["n"]) == .integer(2))
        }
    }

    @Test func aPrimaryThatBecameAReplicaIsLeftForTheOneThatTookItsPlace() async throws {
        let pair = try await Pair()
        try await withClient(pair.url) { client in
            try await client.connect()
            #expect(try await client.send(RedisCommand("SET", "a", 1)) == .status("OK"))
            try await pair.replica.command("REPLICAOF", "NO", "ONE")
            try await pair.primary.command("REPLICAOF", "127.0.0.1", "\(pair.replica.port)")
            let script = RedisScript("return redis.call('SET', KEYS[1], '2')")
            #expect(try await client.evaluate(script, keys: ["a"]).errorKind == "READONLY")
            try await waitUntil("writes go to the new primary") {
                (try? await client.evaluate(script, keys: ["a"])) == .status("OK")
            }
            #expect(try await pair.replica.command("GET", "a").string == "2")
        }
    }

    @Test func whereRoleIsForbiddenTheFirstWriteTells() async throws {
        let user = ["--user", "narrow", "on", ">pw", "~*", "+set", "+ping", "-role"]
        let pair = try await Pair(options: user)
        let url = "redis://narrow:pw@127.0.0.1:\(pair.replica.port),127.0.0.1:\(pair.primary.port)"
        try await withClient(url) { client in
            try await client.connect()
            #expect(try await client.send(RedisCommand("SET", "a", 1)).errorKind == "READONLY")
        }
    }

    @Test func sentinelsLeadToThePrimaryAndAfterAFailoverToTheNextOne() async throws {
        let pair = try await Pair(options: ["--requirepass", "secret", "--masterauth", "secret"])
        let sentinels = try await Sentinels(of: pair.primary, password: "secret")
        let events = EventLog()
        let url = "redis+sentinel://:secret@127.0.0.1:\(try freePort()),\(sentinels.hosts)/main/0"
        try await withClient(url, events: events) { client in
            try await client.connect()
            let port = RedisCommand("CONFIG", "GET", "port")
            #expect(try await client.send(port).array?.last?.int == Int(pair.primary.port))
            #expect(try await client.send(RedisCommand("SET", "a", 1)) == .status("OK"))
            try await pair.primary.stop()
            // A Sentinel that did not run for two seconds does nothing for thirty (TILT).
            try await waitUntil("the promoted replica serves", within: .seconds(100)) {
                (try? await client.send(RedisCommand("SET", "a", 2))) == .status("OK")
            }
            #expect(try await client.send(port).array?.last?.int == Int(pair.replica.port))
            #expect(events.connections == 2)
        }
    }

    @Test func whatIsWrongWithSentinelsIsSaid() async throws {
        let server = try await PrivateRedis(options: ["--requirepass", "secret"])
        let sentinel = try await PrivateRedis(sentinel: [
            "sentinel monitor main 127.0.0.1 \(server.port) 1", "sentinel auth-pass main secret", "requirepass door",
        ])
        let at = "127.0.0.1:\(sentinel.port)"
        try await withClient("redis+sentinel://:secret@\(at)/main?sentinel_password=door") { client in
            try await client.connect()
            #expect(try await client.send(RedisCommand("SET", "a", 1)) == .status("OK"))
        }
        let wrong: [(String, RedisError.Code, String)] = [
            ("redis+sentinel://:secret@\(at)/main", .authenticationFailed, "sentinel_password"),
            ("redis+sentinel://:secret@\(at)/main?sentinel_password=no", .authenticationFailed, "sentinel_password"),
            ("redis+sentinel://:no@\(at)/main?sentinel_password=door", .authenticationFailed, "\(server.port)"),
            ("redis+sentinel://:secret@\(at)/other?sentinel_password=door", .invalidConfiguration, "\"other\""),
            ("redis+sentinel://:secret@127.0.0.1:\(server.port)/main", .invalidConfiguration, "redis://"),
            ("redis://:door@\(at),127.0.0.1:\(try freePort())", .unreachable, "redis+sentinel://"),
        ]
        for (url, code, names) in wrong {
            try await withClient(url) { client in
                let error = await #expect(throws: RedisError.self) { try await client.connect() }
                #expect(error?.code == code, "\(url): \(error.map { "\($0)" } ?? "")")
                #expect(error?.message.contains(names) == true, "\(url): \(error.map { "\($0)" } ?? "")")
                #expect(error?.message.contains("secret") != true)
            }
        }
    }

    @Test(.timeLimit(.minutes(2))) func aSentinelThatDripsIsPassedOverInTime() async throws {
        let peer = try ScriptedRedis(.take, .say(Array("$60000\r\n".utf8)), .drip("x"))
        let configuration = try RedisConfiguration(url: "redis+sentinel://127.0.0.1:\(peer.port)/main")
        let result = try await offload("sentinel") {
            Result { () throws(RedisError) in
                try configuration.askSentinel(configuration.endpoints[0], for: "main", within: .milliseconds(300))
            }
        }
        let error = #expect(throws: RedisError.self) { try result.get() }
        #expect(error?.code == .unreachable)
    }

    @Test(arguments: ["$99999999\r\nabc", "*16777216\r\n", "+x\r\n", "*2\r\n+a\r\n+b\r\n", "%1\r\n+a\r\n+b\r\n"])
    func whatIsNoAddressIsNoAddress(answer: String) async throws {
        let peer = try ScriptedRedis(.take, .say(Array(answer.utf8)), .silence)
        try await withClient("redis+sentinel://127.0.0.1:\(peer.port)/main") { client in
            let error = await #expect(throws: RedisError.self) { try await client.connect() }
            #expect(error?.message.contains("the Sentinel 127.0.0.1:\(peer.port)") == true)
        }
    }

    @Test func aSentinelThatStandsStillIsPassedOver() async throws {
        let server = try await PrivateRedis()
        let lines = ["sentinel monitor main 127.0.0.1 \(server.port) 1"]
        let still = try await PrivateRedis(sentinel: lines)
        let awake = try await PrivateRedis(sentinel: lines)
        still.signal(SIGSTOP)
        let url = "redis+sentinel://127.0.0.1:\(still.port),127.0.0.1:\(awake.port)/main"
        let impatient: (inout RedisConfiguration) -> Void = { $0.connectTimeout = .seconds(1) }
        try await withClient(url, adjust: impatient) { client in
            try await client.waitUntilConnected()
            #expect(try await client.send(RedisCommand("SET", "a", 1)) == .status("OK"))
        }
    }
}

/// A primary and its replica.
private struct Pair {
    let primary: PrivateRedis
    let replica: PrivateRedis

    init(options: [String] = []) async throws {
        let primary = try await PrivateRedis(options: options + ["--repl-diskless-sync-delay", "0"])
        let replica = try await PrivateRedis(options: options + ["--replicaof", "127.0.0.1", "\(primary.port)"])
        (self.primary, self.replica) = (primary, replica)
        let secret = options.contains("--requirepass") ? "secret" : nil
        try await waitUntil("the replica follows") {
            try await replica.command("ROLE", password: secret).array?.dropFirst(3).first?.string == "connected"
        }
    }

    var url: String { "redis://127.0.0.1:\(primary.port),127.0.0.1:\(replica.port)/0" }

    func waitUntilReplicated(_ key: String, _ value: String) async throws {
        try await waitUntil("\(key) is replicated") { try await replica.command("GET", key).string == value }
    }
}

/// Three Sentinels that agree on a primary by two, after a second.
private struct Sentinels {
    let all: [PrivateRedis]

    init(of primary: PrivateRedis, password: String) async throws {
        var all: [PrivateRedis] = []
        for _ in 0..<3 {
            all.append(
                try await PrivateRedis(sentinel: [
                    "sentinel monitor main 127.0.0.1 \(primary.port) 2", "sentinel auth-pass main \(password)",
                    "sentinel down-after-milliseconds main 1000", "sentinel failover-timeout main 5000",
                ]))
        }
        self.all = all
        for sentinel in all {
            try await waitUntil("the Sentinels know each other and the replica") {
                let info = try await sentinel.command("INFO", "sentinel").string
                return info?.contains("status=ok") == true && info?.contains("slaves=1,sentinels=3") == true
            }
        }
    }

    var hosts: String { all.map { "127.0.0.1:\($0.port)" }.joined(separator: ",") }
}

extension PrivateRedis {
    /// What this very server says to a command.
    @discardableResult
    fileprivate func command(_ parts: String..., password: String? = nil) async throws -> RedisValue {
        try await withClient(url(password.map { ":\($0)@" } ?? "")) { client in
            try await client.connect()
            return try await client.send(RedisCommand(arguments: parts.map { Array($0.utf8) }))
        }
    }
}
