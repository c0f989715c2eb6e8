import Glibc
import IOLoop
import Logging
import ParleyRedis
import TestSupport
import Testing

@Suite(.enabled(if: PrivateRedis.isAvailable, "redis-server is not installed"))
struct RedisOutageTests {
    @Test func afterARestartOutstandingCommandsHaveFailedAndLaterOnesWork() async throws {
        let server = try await PrivateRedis()
        let events = EventLog()
        try await withClient(server.url(), events: events) { client in
            try await client.connect()
            let outstanding = Task { try await client.send(RedisCommand("BLPOP", "never", 0)) }
            try await waitUntil("the server sees the blocked client") {
                try await withClient(server.url()) { other in
                    try await other.connect()
                    return try await other.send(RedisCommand("INFO", "clients")).string?
                        .contains("blocked_clients:1") == true
                }
            }
            try await server.stop()
            let lost = await #expect(throws: RedisError.self) { try await outstanding.value }
            #expect(lost?.code == .connectionLost)
            let refused = await #expect(throws: RedisError.self) { try await client.send(RedisCommand("PING")) }
            #expect(refused?.code == .notConnected)

            async let back: Void = client.waitUntilConnected()
            try await server.start()
            try await back
            #expect(try await client.send(RedisCommand("PING")) == .status("PONG"))
            #expect(events.connections == 2)
        }
    }

    @Test func waitingForAServerThatNeverComesCanBeCancelledAndEndsWithClose() async throws {
        try await withClient("redis://127.0.0.1:\(freePort())") { client in
            let waiter = Task { try await client.waitUntilConnected() }
            waiter.cancel()
            await #expect(throws: CancellationError.self) { try await waiter.value }
            let other = Task { try await client.waitUntilConnected() }
            try await waitUntil("the client tries") { await !client.isConnected }
            await client.close()
            let error = await #expect(throws: RedisError.self) { try await other.value }
            #expect(error?.code == .notConnected)
            let late = await #expect(throws: RedisError.self) { try await client.send(RedisCommand("PING")) }
            #expect(late?.code == .notConnected)
        }
    }

    @Test func aServerThatStandsStillTimesOutAndIsFoundAgain() async throws {
        let server = try await PrivateRedis()
        let adjust: @Sendable (inout RedisConfiguration) -> Void = { $0.commandTimeout = .milliseconds(300) }
        try await withClient(server.url(), adjust: adjust) { client in
            try await client.connect()
            _ = try await client.send(RedisCommand("PING"))
            server.signal(SIGSTOP)
            let start = ContinuousClock.now
            let error = await #expect(throws: RedisError.self) { try await client.send(RedisCommand("PING")) }
            let took = ContinuousClock.now - start
            #expect(error?.code == .timedOut)
            #expect(took >= .milliseconds(300), "\(took)")
            server.signal(SIGCONT)
            try await client.waitUntilConnected()
            #expect(try await client.send(RedisCommand("PING")) == .status("PONG"))
        }
    }

    @Test func nobodyListeningIsUnreachableAtOnceAndRetriedWithGrowingRests() async throws {
        let events = EventLog()
        try await withClient("redis://127.0.0.1:\(freePort())", events: events) { client in
            let error = await #expect(throws: RedisError.self) { try await client.connect() }
            #expect(error?.code == .unreachable)
            #expect(error?.message.contains("refused") == true)
            try await waitUntil("five attempts") { events.failedWaits.count >= 5 }
            for (index, wait) in events.failedWaits.prefix(5).enumerated() {
                let ceiling = Duration.milliseconds(50 << index)
                #expect(wait >= ceiling / 2 && wait <= ceiling)
            }
        }
    }

    @Test func aNameThatDoesNotExistIsUnreachable() async throws {
        try await withClient("redis://no-such-host.invalid") { client in
            let error = await #expect(throws: RedisError.self) { try await client.connect() }
            #expect(error?.code == .unreachable)
        }
    }

    @Test func fiftyReconnectsLeaveOneSocket() async throws {
        let server = try await PrivateRedis()
        let events = EventLog()
        try await withClient(server.url(), events: events) { client in
            try await client.connect()
            for round in 1...50 {
                let id = try await client.send(RedisCommand("CLIENT", "ID")).int ?? 0
                // The reply may or may not make it out before the server hangs up.
                _ = try? await client.send(RedisCommand("CLIENT", "KILL", "ID", id, "SKIPME", "no"))
                try await waitUntil("connection \(round + 1)") { events.connections == round + 1 }
            }
            try await waitUntil("one socket is left") { openSockets(to: server.port) == 1 }
        }
        try await waitUntil("no socket is left") { openSockets(to: server.port) == 0 }
    }

    @Test func aClientDroppedWithoutCloseLeavesNoSocket() async throws {
        let server = try await PrivateRedis()
        let loop = try IOLoop(name: "redis-test")
        defer { loop.stop() }
        var client: RedisClient? = RedisClient(
            configuration: try RedisConfiguration(url: server.url()), loop: loop, logger: Logger(label: "redis-test"))
        try await client?.connect()
        // Who looked whether the server was there may not have left yet.
        try await waitUntil("one socket is left") { openSockets(to: server.port) == 1 }
        client = nil
        try await waitUntil("the socket closes") { openSockets(to: server.port) == 0 }
    }

    @Test func aDemotedPrimaryIsLeftAndLookedForAgain() async throws {
        let server = try await PrivateRedis()
        let events = EventLog()
        try await withClient(server.url(), events: events) { client in
            try await client.connect()
            _ = try await client.send(RedisCommand("REPLICAOF", "127.0.0.1", 1))
            let reply = try await client.send(RedisCommand("SET", "a", 1))
            #expect(reply.errorKind == "READONLY")
            try await waitUntil("a second connection") { events.connections >= 2 }
        }
    }

    @Test func outputIsBoundedWhileTheServerDoesNotRead() async throws {
        let server = try await PrivateRedis()
        try await withClient(server.url()) { client in
            try await client.connect()
            server.signal(SIGSTOP)
            let value = [UInt8](repeating: 1, count: 8 << 20)
            let codes = await withTaskGroup(of: RedisError.Code?.self) { group in
                for _ in 0..<20 {
                    group.addTask {
                        do throws(RedisError) {
                            _ = try await client.send(RedisCommand("SET", "a", value))
                            return nil
                        } catch { return error.code }
                    }
                }
                // The refused come back first; then the server may go on.
                var codes = [await group.next() ?? nil]
                server.signal(SIGCONT)
                for await code in group { codes.append(code) }
                return codes
            }
            #expect(codes.first == .some(.bufferFull))
            #expect(codes.contains(nil))
            #expect(codes.allSatisfy { $0 == nil || $0 == .bufferFull })
            #expect(try await client.send(RedisCommand("STRLEN", "a")).int == 8 << 20)
        }
    }
}

/// Sockets of this machine's processes whose peer is `port` on IPv4 and that a process still holds (/proc/net/tcp:
/// column 3 is the remote address, column 10 the inode, 0 once the last descriptor is closed).
private func openSockets(to port: UInt16) -> Int {
    guard let file = fopen("/proc/net/tcp", "r") else { return -1 }
    defer { fclose(file) }
    let suffix =
        ":" + String(repeating: "0", count: 4 - min(4, String(port, radix: 16).count))
        + String(port, radix: 16, uppercase: true)
    var count = 0
    var line = [CChar](repeating: 0, count: 512)
    while fgets(&line, Int32(line.count), file) != nil {
        let text = String(decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        let columns = text.split(whereSeparator: \.isWhitespace)
        if columns.count > 9, columns[2].hasSuffix(suffix), columns[9] != "0" { count += 1 }
    }
    return count
}
